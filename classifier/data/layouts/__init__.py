"""The layouts in which a dataset may lie in data/, recognised without being told.

- CIFAR-10 and CIFAR-100 as torchvision unpacks them (cifar-10-batches-py/, cifar-100-python/),
- image folders: train/<class>/*, optionally val/<class>/* and test/<class>/*,
- parquet shards as the Hugging Face Hub publishes them: train-*.parquet, test-*.parquet, or as it converts datasets:
  default/train/0000.parquet.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from classifier.data.layouts import cifar, folders, parquet
from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.data.layouts.finding import find_shards, readable, refuse_passed_over, require_names, split_of
from classifier.errors import InputError

__all__ = ["Dataset", "Sample", "Split", "open_dataset"]


def open_dataset(root: str | Path) -> Dataset:
    """Recognise the layout of `root` and open it.

    Raises:
        InputError: if the folder is missing, has no known layout or several, cannot be read, or contradicts itself.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(
            f"{root}/ not found: `make data` downloads CIFAR-10, `dvc pull` fetches what data.dvc pins, "
            "or copy a dataset of your own there."
        )
    with readable():
        dataset = _open(root)
    require_names(dataset.classes, root)
    return dataset


def _open(root: Path) -> Dataset:
    shards = find_shards(root)
    found: dict[str, Callable[[], Dataset]] = {}
    for name, open_cifar in (("cifar-10-batches-py", cifar.open_cifar10), ("cifar-100-python", cifar.open_cifar100)):
        if (root / name).is_dir():
            found[str(root / name)] = partial(open_cifar, root / name)
    for folder in sorted(root.iterdir()):
        if split_of(folder.name) == "train" and folder.is_dir() and folder not in {shard.parent for shard in shards}:
            found[str(folder)] = partial(folders.open_folders, root)
    if shards:
        found[str(shards[0])] = partial(parquet.open_parquet, root, shards)
    first = next(iter(found), None)
    if not first:
        raise InputError(
            f"{root}/ has none of the layouts that prepare.py knows: train/<class>/*.jpg (or another image format), "
            "train-*.parquet, or torchvision's cifar-10-batches-py/ and cifar-100-python/."
        )
    if len(found) > 1:
        raise InputError(f"{root}/ holds several datasets: keep one of {', '.join(found)}.")
    dataset = found[first]()
    refuse_passed_over(root, dataset, shards)
    return dataset
