"""Unpack parquet shards or CIFAR's files into image folders, in which each image can be looked at, moved and removed.

The images' bytes are kept as they are; CIFAR's pixels become PNG files. scripts/pack.py does the opposite.

    python scripts/unpack.py data/ my-images/
"""

import argparse
import io
from pathlib import Path

from classifier.data.edits import editable
from classifier.data.images import FORMATS
from classifier.data.layouts import Sample, open_dataset
from classifier.errors import InputError, run

import numpy as np
from PIL import Image
from tqdm import tqdm

ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "JPEG2000": "jp2"}  # where that is not the format's name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds shards or CIFAR's files")
    parser.add_argument("out", type=Path, help="new folder for <split>/<class>/*")
    arguments = parser.parse_args()
    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise InputError(f"{arguments.out}/ already holds something: choose a new folder.")
    dataset = open_dataset(arguments.folder)
    if editable(dataset):
        raise InputError(f"{arguments.folder}/ holds image folders already: copy it.")
    if unfit := [name for name in dataset.classes if "/" in name or name.startswith(".")]:
        raise InputError(f"{arguments.folder}/ has a class called {unfit[0]!r}, which no folder can be called.")
    for name, split in dataset.splits.items():
        for label in dataset.classes:
            (arguments.out / name / label).mkdir(parents=True)
        for sample in tqdm(split.samples(), name, split.count, unit=" images", disable=None, leave=False):
            file, content = unpack(sample)
            with open(arguments.out / name / dataset.classes[sample.label] / file, "xb") as target:
                target.write(content)
        print(f"{arguments.out / name}: {split.count} images")


def unpack(sample: Sample) -> tuple[str, bytes]:
    """The name and the content of an image's file; the name tells its place in the dataset."""
    name = sample.path.replace("/", "-").replace("#", "-")
    if isinstance(sample.image, np.ndarray):
        buffer = io.BytesIO()
        Image.fromarray(sample.image).save(buffer, "PNG")
        return f"{name.removesuffix('.png')}.png", buffer.getvalue()
    try:
        with Image.open(io.BytesIO(sample.image), formats=FORMATS) as picture:
            ending = ENDINGS.get(str(picture.format), str(picture.format).lower())
    except Exception:  # Pillow's readers raise nearly anything on damaged files
        raise InputError(f"{sample.path} is no image: scripts/recommend.py lists all such.") from None
    return f"{name}.{ending}", sample.image


if __name__ == "__main__":
    run(main)
