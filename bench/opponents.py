"""What bench/transfer.py runs as its opponents: timm's training script and PyTorch's tutorial on transfer learning."""

import re
from pathlib import Path
from typing import Any, NamedTuple

from classifier.errors import InputError
from classifier.network.preprocessing import Preprocessing
from classifier.reproducibility import has_bf16

import torch

INSIDE = Path(__file__).with_name("inside.py")
# timm documents settings for ImageNet alone. AdamW and cosine are what AutoGluon takes for timm's networks.
TIMM = "--opt adamw --lr 1e-3 --weight-decay 0.05 --batch-size 64 --warmup-epochs 1 --sched-on-updates --channels-last"
FINETUNING, FROZEN = "Finetuning the ConvNet", "ConvNet as fixed feature extractor"  # sections of the tutorial
TUTORIAL_EPOCHS = 25


class Start(NamedTuple):
    """What the opponents start from."""

    images: Path  # SPLIT/CLASS/FILE
    network: str  # as timm calls it
    weights: Path
    preprocessing: Preprocessing  # that of the weights


def timm_commands(script: Path, start: Start, epochs: int, seed: int, folder: Path, options: str) -> list[list[Any]]:
    """Two calls of Python, which train in `folder` and answer the test images."""
    classes = len(list((start.images / "train").iterdir()))
    train = [script, "--data-dir", start.images, "--val-split", "val", "--num-classes", classes]
    train += ["--model", start.network, "--pretrained", "--pretrained-path", start.weights]
    train += ["--device", "cpu", "--epochs", epochs, "--seed", seed, *TIMM.split()]
    train += ["--amp", "--amp-dtype", "bfloat16"] if has_bf16(torch.device("cpu")) else []
    train += ["--output", folder, "--experiment", "run", "--checkpoint-hist", 1, *options.split()]
    return [train, [INSIDE, start.network, folder / "run" / "model_best.pth.tar", start.images / "test"]]


def adapt_tutorial(file: Path, start: Start, title: str, epochs: int, seed: int) -> str:
    """The tutorial up to the end of one of its two sections, without the other, for these images and weights.

    Raises:
        InputError: if it is not the tutorial that is known here.
    """
    text = file.read_text(encoding="utf-8")
    common, _, sections = text.partition("# Visualizing the model predictions\n")
    section = re.search(rf"# {title}\n.*?\n(?=visualize_model\((\w+)\))", sections, re.DOTALL)
    if not section:
        raise InputError(f"{file} has no section {title!r}: another version of the tutorial than is known here.")
    text = common + section[0]
    changes = {
        r"'data/hymenoptera_data'": repr(str(start.images)),
        r"Normalize\(.*\)": f"Normalize({list(start.preprocessing.mean)}, {list(start.preprocessing.std)})",
        r"(torchvision\.)?models\.resnet18\(.*\)": f"pretrained({start.network!r}, {str(start.weights)!r})",
        r"\.fc\b": ".classifier",
        r"nn\.Linear\(num_ftrs, 2\)": "nn.Linear(num_ftrs, len(class_names))",
        r"num_epochs=25": f"num_epochs={epochs}",
    }
    for pattern, by in changes.items():
        if not re.search(pattern, text):
            raise InputError(f"{file} has no {pattern}: another version of the tutorial than is known here.")
        text = re.sub(pattern, by.replace("\\", r"\\"), text)
    before = f"import torch\nfrom inside import answer, pretrained\ntorch.manual_seed({seed})\n"
    after = f"test = datasets.ImageFolder({str(start.images / 'test')!r}, data_transforms['val'])\n"
    return f"{before}{text}\n{after}answer({section[1]}, test, test.class_to_idx)\n"
