"""The layouts in which a dataset may lie in data/, recognised without being told.

- CIFAR-10 and CIFAR-100 as torchvision unpacks them (cifar-10-batches-py/, cifar-100-python/),
- image folders: train/<class>/*, optionally val/<class>/* and test/<class>/*,
- parquet shards as the Hugging Face Hub publishes them: train-*.parquet, test-*.parquet.
"""

from pathlib import Path

from classifier.data.layouts import cifar, folders, parquet
from classifier.data.layouts.base import Dataset, Sample, Split
from classifier.errors import InputError

__all__ = ["Dataset", "Sample", "Split", "open_dataset"]


def open_dataset(root: str | Path) -> Dataset:
    """Recognise the layout of `root` and open it.

    Raises:
        InputError: if the folder is missing, has no known layout or contradicts itself.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(
            f"{root}/ not found: `make data` downloads CIFAR-10, `dvc pull` fetches what data.dvc pins, "
            "or copy a dataset of your own there."
        )
    if (root / "cifar-10-batches-py").is_dir():
        return cifar.open_cifar10(root / "cifar-10-batches-py")
    if (root / "cifar-100-python").is_dir():
        return cifar.open_cifar100(root / "cifar-100-python")
    if (root / "train").is_dir():
        return folders.open_folders(root)
    if shards := sorted([*root.glob("*.parquet"), *root.glob("*/*.parquet")]):
        return parquet.open_parquet(root, shards)
    raise InputError(
        f"{root}/ has none of the layouts that prepare.py knows: train/<class>/*.jpg (or another image format), "
        "train-*.parquet, or torchvision's cifar-10-batches-py/ and cifar-100-python/."
    )
