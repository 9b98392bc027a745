"""Put a public dataset into data/.

    python scripts/get_data.py cifar10                        # downloads 170 MB
    python scripts/get_data.py cifar10 --archive FILE         # from an archive you already have
    python scripts/get_data.py digits                         # no network: ships with scikit-learn
    python scripts/get_data.py noisy-digits                   # the same with a class that is hard, for `make demo`

CIFAR comes from its source, and every checksum that torchvision publishes is verified. `digits` are
1,797 handwritten digits as image folders; `noisy-digits` are the same as a poor camera sees them, with few eights to
learn from. The bytes are the same on every machine.
"""

import argparse
import hashlib
import socket
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from classifier.errors import InputError, run
from classifier.files import atomic_write
from classifier.paths import DATA

if TYPE_CHECKING:
    import numpy as np
    from torchvision.datasets import CIFAR10

TIMEOUT = 20  # seconds without an answer
NOISE = 64  # of noisy-digits: standard deviation in grey levels
EIGHTS = 7  # … and how many there are to learn from


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=["cifar10", "cifar100", "digits", "noisy-digits"])
    parser.add_argument("--out", type=Path, default=DATA, help="target folder (default: data)")
    parser.add_argument("--archive", type=Path, help="CIFAR's .tar.gz, instead of the download")
    arguments = parser.parse_args()
    if arguments.dataset == "digits":
        write_digits(arguments.out)
    elif arguments.dataset == "noisy-digits":
        write_noisy_digits(arguments.out)
    else:
        fetch_cifar(arguments.dataset, arguments.out, arguments.archive)


def fetch_cifar(name: str, out: Path, archive: Path | None) -> None:
    """Write the batch files of CIFAR-10 or CIFAR-100 below `out`, each with its published MD5."""
    from torchvision import datasets

    source = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[name]
    md5s = dict([*source.train_list, *source.test_list, (source.meta["filename"], source.meta["md5"])])
    folder = out / source.base_folder
    if all(md5(folder / file) == expected for file, expected in md5s.items()):
        print(f"{folder}/ is complete already")
        return
    require_empty(out, allowed=source.base_folder)
    with tempfile.TemporaryDirectory() as temporary:
        if archive and not archive.is_file():
            raise InputError(f"{archive} not found.")
        archive = archive or download(source, Path(temporary))
        if md5(archive) != source.tgz_md5:
            raise InputError(f"{archive} is not {source.filename}: its MD5 is {md5(archive)}, not {source.tgz_md5}.")
        # Only the files named in torchvision's list are read, so nothing else in the archive matters.
        with tarfile.open(archive) as tar:
            for file, expected in md5s.items():
                member = tar.extractfile(f"{source.base_folder}/{file}")
                data = member.read() if member else b""
                if hashlib.md5(data, usedforsecurity=False).hexdigest() != expected:
                    raise InputError(f"{file} in {archive} does not have the published MD5 {expected}.")
                with atomic_write(folder / file) as target:
                    target.write(data)
    print(f"{folder}/: {len(md5s)} files, checksums verified")


def download(source: "type[CIFAR10]", folder: Path) -> Path:
    from torchvision.datasets.utils import download_url

    socket.setdefaulttimeout(TIMEOUT)
    try:
        download_url(source.url, folder, source.filename, source.tgz_md5)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{source.url} could not be downloaded ({error}). On a machine without a network, bring "
            f"{source.filename} and pass it with --archive, or use `python scripts/get_data.py digits`."
        ) from None
    return folder / source.filename


def write_digits(out: Path) -> None:
    """Write scikit-learn's handwritten digits as image folders, in the order they come.

    Neighbouring digits are by the same writer: the last fifth is test and the fifth before it is val,
    so that both hold other handwriting than train.
    """
    images, labels = load_digits()
    count = len(images)
    splits = [("train", "train", "train", "val", "test")[i * 5 // count] for i in range(count)]
    write_folders(out, images, labels, splits)


def write_noisy_digits(out: Path) -> None:
    """Write the digits with noise in every image and few eights in train, as rare things are in people's own data.

    The noise leaves eights that look like other digits, and a network that has seen few takes those for the others. Val
    and test have all of the eights: more than fifty each, so that a recall means something. Two fifths are train.
    """
    import numpy as np

    images, labels = load_digits()
    count = len(images)
    # RandomState's numbers stay the same in every version of numpy (NEP 19).
    images = np.clip(images + NOISE * np.random.RandomState(0).standard_normal(images.shape), 0, 255)
    tenths = ["train"] * 4 + ["val"] * 3 + ["test"] * 3
    splits: list[str | None] = [tenths[i * 10 // count] for i in range(count)]
    eights = [i for i in range(count) if (labels[i], splits[i]) == ("eight", "train")]
    for i in eights[EIGHTS:]:
        splits[i] = None
    write_folders(out, images, labels, splits)


def load_digits() -> "tuple[np.ndarray, list[str]]":
    """scikit-learn's digits: float64 [N, 8, 8] from 0 to 255, and the name of each."""
    from sklearn import datasets

    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    digits = datasets.load_digits()
    return digits.images * 255 / 16, [names[label] for label in digits.target]


def write_folders(out: Path, images: "np.ndarray", labels: Sequence[str], splits: Sequence[str | None]) -> None:
    """Write each image that has a split as SPLIT/LABEL/NUMBER.png.

    Args:
        out: a folder that is empty or absent.
        images: float64 [N, H, W], from 0 to 255.
    """
    import numpy as np
    from PIL import Image

    require_empty(out)
    for i, (image, label, split) in enumerate(zip(images, labels, splits, strict=True)):
        if split:
            path = out / split / label / f"{i:04}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Uncompressed: what a compressor writes depends on the zlib that Pillow was built with.
            Image.fromarray(np.round(image).astype(np.uint8)).save(path, "PNG", compress_level=0)
    print(f"{out}/: {sum(map(bool, splits))} handwritten digits in {len(set(labels))} classes")


def require_empty(out: Path, allowed: str = "") -> None:
    if out.exists() and any(path.name != allowed for path in out.iterdir()):
        raise InputError(f"{out}/ already holds something: move it away first, or choose another folder with --out.")


def md5(path: Path) -> str | None:
    """The MD5 that torchvision and DVC name files by; None where there is no file."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


if __name__ == "__main__":
    run(main)
