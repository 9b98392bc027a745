"""Classify images with a checkpoint, which holds all that is needed: no dataset, no params.yaml, no DVC.

    python scripts/predict.py CHECKPOINT IMAGE… [--top K] [--tta VIEWS] [--precision P] [--json]

IMAGE is a file, or a folder that is searched for images. Prints a row for each: path, class and
confidence, the probability of that class; with `--top 3` also the next two classes. An image that cannot
be read is named on stderr and left out; the others are answered, and the exit status is 1. Where one of the
names does not exist, nothing is answered.

With `--json` a list with an object for each image is printed instead:

    {"path": "a.jpg", "prediction": "cat", "confidence": 0.93, "probabilities": {"cat": 0.93, "dog": 0.07}}

`probabilities` has every class, in the order of the checkpoint. With `--top K` there stands in its place
"top": [{"class": "cat", "probability": 0.93}, …], the K likeliest, of which the first is the prediction.

In 32 bits, as by default, every machine gives the same probabilities to three decimals or more. With `--tta` and
`--precision` as in the section `evaluate` of params.yaml, the images of predictions.csv get those that stand there.
DEVICE=cpu, cuda or mps says where to compute.
"""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from classifier.reproducibility import keep_large_blocks

keep_large_blocks()  # before torch allocates anything

from classifier.config import EvaluateParams
from classifier.data.images import decode, endings
from classifier.data.layouts.leftout import is_service
from classifier.data.limits import MAX_BYTES
from classifier.errors import InputError, run
from classifier.files import read_file
from classifier.network.inference import BATCH_SIZE
from classifier.network.predictor import Predictor
from classifier.network.preprocessing import Preprocessing

import numpy as np
from tqdm import tqdm

Result = tuple[Path, np.ndarray]  # an image and the probabilities of the classes, float64 [num_classes]


def main() -> None:
    arguments = parse_arguments()
    paths = find_images(arguments.images)
    predictor = Predictor(arguments.checkpoint, arguments.tta, arguments.precision)
    classes = predictor.metadata.classes
    if arguments.top is not None and not 1 <= arguments.top <= len(classes):
        raise InputError(f"--top must be between 1 and {len(classes)}, the number of classes, not {arguments.top}.")
    bad: list[Path] = []
    results = classify(paths, predictor, bad)
    if arguments.json:
        print_json(results, classes, arguments.top)
    else:
        print_table(results, classes, arguments.top or 1, max(len(printable(path)) for path in paths))
    if bad:
        raise InputError(f"{len(bad)} of {len(paths)} image(s) cannot be used, for the reasons above.")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="such as models/classifier.safetensors")
    parser.add_argument("images", metavar="IMAGE", type=Path, nargs="+", help="a file, or a folder of images")
    parser.add_argument("--top", metavar="K", type=int, help="show the K likeliest classes")
    tta, precision = (get_args(EvaluateParams.__annotations__[name]) for name in ("tta", "precision"))
    parser.add_argument("--tta", choices=tta, default="none", help="average over views of the image (default: none)")
    parser.add_argument("--precision", choices=precision, default="fp32", help="of the arithmetic (default: fp32)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def find_images(given: list[Path]) -> list[Path]:
    """The files given, and in the place of a folder all images below it, in a fixed order, without hidden ones.

    Raises:
        InputError: naming what does not exist, an address on the web, or a folder without images.
    """
    if addresses := [str(path).replace(":/", "://", 1) for path in given if re.match(r"\w+:/", str(path))]:
        raise InputError(
            f"{', '.join(addresses)}: this reads no addresses, only files and folders of images on this machine. "
            f"Download first: curl -LO '{addresses[0]}'"
        )
    if missing := [printable(path) for path in given if not exists(path)]:
        raise InputError(f"not found: {', '.join(missing)}.")
    known, paths = endings(), []
    for path in given:
        found = [path]
        if path.is_dir():
            found = [p for p in path.rglob("*") if p.suffix.lower() in known and not p.is_dir()]
            found = [p for p in found if not any(map(is_service, p.relative_to(path).parts))]
        if not found:
            raise InputError(f"{path}/ holds no images: no file in it ends in .jpg, .png or another image ending.")
        paths += sorted(found)
    return paths


def exists(path: Path) -> bool:
    """Whether there is something of this name, be it a link to nothing; a name that no file can have is not there."""
    try:
        return os.path.lexists(path)
    except ValueError:  # a NUL in it
        return False


def printable(path: Path) -> str:
    """A path as a row of a table can hold it: what would break the line or drive the terminal is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(path))


def classify(paths: list[Path], predictor: Predictor, bad: list[Path]) -> Iterator[Result]:
    """Read and classify batch by batch, so that memory does not grow with the number of images.

    Yields a result for each image; what cannot be read is named on stderr and added to `bad` instead.
    """
    preprocessing = predictor.metadata.preprocessing
    hidden = sys.stdout.isatty() or None  # where the rows themselves are the progress, or nobody watches
    waiting = iter(tqdm(paths, unit=" images", disable=hidden, leave=False))
    with ThreadPoolExecutor() as pool:
        while batch := list(islice(waiting, BATCH_SIZE)):
            good = []
            for path, image in zip(batch, pool.map(lambda path: read(path, preprocessing), batch), strict=True):
                if isinstance(image, str):
                    tqdm.write(f"{printable(path)}: {image}", file=sys.stderr)
                    bad.append(path)
                else:
                    good.append((path, image))
            if good:
                names, images = zip(*good, strict=True)
                yield from zip(names, predictor(np.stack(images)), strict=True)


def read(path: Path, preprocessing: Preprocessing) -> np.ndarray | str:
    """An image as the network wants it, uint8 [3, size, size], or the reason why there is none."""
    try:
        return decode(read_file(path, MAX_BYTES), preprocessing.size, preprocessing.fit, preprocessing.interpolation)
    except OSError as error:
        return str(error.strerror)
    except InputError as error:
        return str(error).removeprefix(f"{path} ")
    except ValueError as error:
        return str(error)


def print_table(results: Iterable[Result], classes: list[str], top: int, width: int) -> None:
    """A row per image, as soon as it is classified; `width` is that of the paths."""
    name = max(map(len, [*classes, "class"]))
    print(f"{'path':{width}}  {'class':{name}}  confidence" + ("  runner-ups" if top > 1 else ""))
    for path, probabilities in results:
        first, *others = likeliest(probabilities, classes, top)
        cells = [f"{printable(path):{width}}", f"{first[0]:{name}}", f"{first[1]:10.1%}"]
        print("  ".join(cells + [f"{other:{name}} {probability:5.1%}" for other, probability in others]))


def print_json(results: Iterable[Result], classes: list[str], top: int | None) -> None:
    """One list, printed object by object."""
    start = "[\n"
    for path, probabilities in results:
        text = json.dumps(json_object(path, probabilities, classes, top), ensure_ascii=False)
        # A byte of a name that is no UTF-8 is written as JSON escapes it, and read back as Python has it.
        print(start + text.encode("utf-8", "backslashreplace").decode(), end="")
        start = ",\n"
    print("[]" if start == "[\n" else "\n]")


def json_object(path: Path, probabilities: np.ndarray, classes: list[str], top: int | None) -> dict[str, Any]:
    """The object that JSON has for an image."""
    [(prediction, confidence)] = likeliest(probabilities, classes, 1)
    answer = {"path": str(path), "prediction": prediction, "confidence": confidence}
    if top is None:
        return answer | {"probabilities": dict(zip(classes, probabilities.round(6).tolist(), strict=True))}
    return answer | {"top": [{"class": c, "probability": p} for c, p in likeliest(probabilities, classes, top)]}


def likeliest(probabilities: np.ndarray, classes: list[str], count: int) -> list[tuple[str, float]]:
    """The classes of the highest probabilities with these, rounded as in predictions.csv."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [(classes[i], probabilities[i].round(6).item()) for i in order]


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # `| head` ends it, without a traceback
    # File names may be any bytes. (Whoever replaces sys.stdout need not have this method; nobody does here.)
    sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    run(main)
