"""What a GPU makes of this project, in ten minutes at most: time, accuracy, memory, and the price of determinism.

    python bench/gpu.py DATASET [--airbench airbench94_muon.py] [--minutes 10]
    DEVICE=cpu python bench/gpu.py DATASET --quick

DATASET is a folder in one of the layouts that prepare.py knows, such as CIFAR-10. Two networks are trained with several
values of train.compile, train.deterministic and train.precision: that of params.yaml on the dataset, and a ResNet-50 at
224 pixels, with random weights, on synthetic images. Each row of the table is a process of train.py, started cold: with
imports, the transfer of the images and, if asked for, compilation without a cache. images/s are those of the last
epoch, at full size. A row for which no time is left says so.

--airbench runs https://github.com/KellerJordan/cifar10-airbench on the same prepared images, where these are 32 pixels
wide and of ten classes. Its own clock leaves out imports, loading and compilation.

Without an installed environment, `PYTHONPATH=. python bench/gpu.py …` does with torch and what these modules import.
--quick makes all of it so small that a CPU can do it: to see that the command works, not how fast anything is.
"""

import argparse
import json
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifier.errors import run
from classifier.files import sha256
from classifier.paths import CHECKPOINT, METRICS, PARAMS
from classifier.reproducibility import select_device

import numpy as np
import torch
import yaml
from airbench import airbench_row
from PIL import Image
from timed import ROOT, Bench, NoTimeLeft

AS_IT_IS, AGAIN, FAST = "as it is", "as it is, again", "deterministic: false"
COMPILED, COMPILED_FAST = "compile: true", "compile: true, deterministic: false"
VARIANTS: dict[str, dict[str, Any]] = {  # the first are of most interest, if time is short
    AS_IT_IS: {},
    FAST: {"deterministic": False},
    COMPILED: {"compile": True},
    AGAIN: {},
    "precision: tf32": {"precision": "tf32"},
    COMPILED_FAST: {"compile": True, "deterministic": False},
    "precision: fp32": {"precision": "fp32"},
}
PLAIN = {"low_res_share": 0.0, "mixup": 0.0, "cutmix": 0.0, "ema": 0.0, "warmup": 0.0, "calibrate": False}
RESNET = PLAIN | {"model": "resnet50", "epochs": 4, "batch_size": 256, "lr": 0.1}
CLASSES = 10  # of the synthetic images


@dataclass
class Row:
    """Cold seconds of train.py, images/s of its last epoch, peak memory, and the digest of the model it wrote."""

    wall: float
    speed: float
    memory: str
    digest: str


@dataclass
class Subject:
    """A network to train in a workspace, with `params`; does what it answers matter?"""

    bench: Bench
    workspace: Path
    params: dict[str, Any]
    matters: bool

    def prepare(self) -> None:
        self.write_params({})
        self.bench.python(self.workspace, ROOT / "prepare.py")

    def write_params(self, changes: dict[str, Any]) -> None:
        changed = self.params | {"train": self.params["train"] | changes}
        (self.workspace / PARAMS).write_text(yaml.safe_dump(changed, sort_keys=False))

    def train(self, changes: dict[str, Any]) -> Row:
        """Train with `changes` of the section `train`."""
        self.write_params(changes)
        printed, wall, memory = self.bench.measure(self.workspace, ROOT / "train.py")
        speeds = re.findall(r"^epoch .* ([\d,.]+) images/s$", printed, re.MULTILINE)
        return Row(wall, float(speeds[-1].replace(",", "")), memory, sha256(self.workspace / CHECKPOINT))

    def evaluate(self) -> str:
        """The accuracy on the test split, or on val without one."""
        self.bench.python(self.workspace, ROOT / "evaluate.py")
        metrics = json.loads((self.workspace / METRICS).read_text())
        return f"{metrics.get('test', metrics['val'])['accuracy']:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--airbench", type=Path, metavar="FILE")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if not arguments.dataset.is_dir() or (arguments.airbench and not arguments.airbench.is_file()):
        parser.error("DATASET must be a folder, and FILE a file")
    device = select_device()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), time.monotonic() + 60 * arguments.minutes, device.type == "cuda")
        print(f"Device: {describe(device)}, torch {torch.__version__}{', sizes of --quick' * arguments.quick}\n")
        print("| network | params.yaml | train.py, cold s | images/s | test accuracy | peak GPU memory, GB |")
        print("| --- | --- | --- | --- | --- | --- |", flush=True)
        subjects = [
            small_images(bench, arguments.dataset.resolve(), arguments.quick),
            photographs(bench, arguments.quick),
        ]
        notes = compare(subjects, arguments.airbench)
    print(f"\n{notes}")


def describe(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type} with {torch.get_num_threads()} thread(s)"


def small_images(bench: Bench, data: Path, quick: bool) -> Subject:
    """The network of params.yaml on the dataset."""
    workspace = bench.folder / "dataset"
    workspace.mkdir()
    (workspace / "data").symlink_to(data)
    params = yaml.safe_load((ROOT / PARAMS).read_text())
    params["train"] |= {"epochs": 2, "low_res_share": 0.0, "precision": "fp32"} if quick else {}
    return Subject(bench, workspace, params, matters=True)


def photographs(bench: Bench, quick: bool) -> Subject:
    """A ResNet-50 at 224 of 256 pixels on synthetic images; with `quick`, a ResNet-18 at 56 of 64."""
    workspace = bench.folder / "photographs"
    count, stored, seen = (40, 64, 56) if quick else (4096, 256, 224)
    random = np.random.default_rng(0)
    for i in range(count):
        path = workspace / "data" / "train" / f"class {i % CLASSES}" / f"{i:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        blots = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        blots.resize((stored, stored)).save(path)
    params = yaml.safe_load((ROOT / "recipes/imagenet.yaml").read_text())
    params["prepare"] |= {"image_size": stored, "val_fraction": 0.1, "test_fraction": 0.1}
    params["train"] |= RESNET | {"image_size": seen, "augment": {"RandomResizedCrop": {"size": seen}}}
    params["train"] |= {"model": "resnet18", "epochs": 1, "batch_size": 16, "precision": "fp32"} if quick else {}
    return Subject(bench, workspace, params, matters=False)


def compare(subjects: list[Subject], airbench: Path | None) -> str:
    """Print a row for each variant of each subject; returns what those that there was time for say of determinism."""
    rows: dict[tuple[str, str], Row] = {}
    for variant, changes in VARIANTS.items():
        for subject in subjects:
            model = subject.params["train"]["model"]
            try:
                if variant == AS_IT_IS:
                    subject.prepare()
                row = rows[model, variant] = subject.train(changes)
                accuracy = subject.evaluate() if subject.matters and variant != AGAIN else "-"
                cells = f"{row.wall:.1f} | {row.speed:,g} | {accuracy} | {row.memory}"
            except NoTimeLeft:
                cells = "no time left | | |"
            print(f"| {model} | {variant} | {cells} |", flush=True)
        if variant == COMPILED and airbench:
            first = subjects[0]
            print(f"| {airbench_row(first.bench, first.workspace, airbench.read_text())} |", flush=True)
    notes = []
    for model in (subject.params["train"]["model"] for subject in subjects):
        for slow, fast in ((AS_IT_IS, FAST), (COMPILED, COMPILED_FAST)):
            if (model, slow) in rows and (model, fast) in rows:
                price = 1 - rows[model, slow].speed / rows[model, fast].speed
                notes.append(f"{model}, {slow}: determinism costs {price:.0%} of the images/s.")
        if (model, AGAIN) in rows:
            same = rows[model, AGAIN].digest == rows[model, AS_IT_IS].digest
            notes.append(f"{model}, trained twice {AS_IT_IS}: {'the same' if same else 'OTHER'} bits.")
    return "\n".join(notes)


if __name__ == "__main__":
    run(main)
