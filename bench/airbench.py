"""airbench's published script on the images that prepare.py has prepared, for bench/gpu.py."""

import json
import re
from pathlib import Path

from classifier.paths import DATASET

import torch
from safetensors.torch import load_file
from timed import Bench, NoTimeLeft

RUNS, EPOCHS, BATCH = 5, 8, 2000  # runs instead of the script's 200; the rest is as it has it
NEEDED = "it needs a CUDA GPU, ten classes of 32 pixels, and its 200 runs to be called `range(200)`"


def airbench_row(bench: Bench, workspace: Path, script: str) -> str:
    """The cells of a row: its name, what it did, cold seconds, images/s, test accuracy, peak memory."""
    if not (workspace / DATASET).exists():
        return "airbench's script | no time left | | | |"
    classes = json.loads((workspace / DATASET).read_text())["classes"]
    splits = {name: load_file(workspace / f"prepared/{name}.safetensors") for name in ("train", "test")}
    adapted, count = re.subn(r"range\(200\)", f"range({RUNS})", script)
    if not bench.on_gpu or len(classes) != 10 or splits["train"]["images"].shape[-1] != 32 or count != 1:
        return f"airbench's script | left out: {NEEDED} | | | |"
    folder = bench.folder / "airbench"
    (folder / "cifar10").mkdir(parents=True)
    for name, split in splits.items():  # as the script would leave them there
        images = split["images"].permute(0, 2, 3, 1).contiguous()
        torch.save({"images": images, "labels": split["labels"], "classes": classes}, folder / f"cifar10/{name}.pt")
    (folder / "script.py").write_text(adapted)
    try:
        printed, wall, memory = bench.measure(folder, folder / "script.py")
    except NoTimeLeft:
        return "airbench's script | no time left | | | |"
    seconds, accuracy = read_log(printed)
    speed = EPOCHS * (len(splits["train"]["labels"]) // BATCH) * BATCH / seconds
    did = f"{RUNS} runs and one to warm up, each {seconds:.2f} s by its own clock"
    return f"airbench's script | {did} | {wall:.1f} | {speed:,.0f} | {accuracy:.1%} | {memory}"


def read_log(printed: str) -> tuple[float, float]:
    """Mean seconds of a run, the first of which warms up and does not count, and mean accuracy."""
    seconds = [float(value) for value in re.findall(r"eval .*\|\s+([\d.]+)\s+\|\s*$", printed, re.MULTILINE)][1:]
    (accuracy,) = re.findall(r"^Mean: ([\d.]+)", printed, re.MULTILINE)
    return sum(seconds) / len(seconds), float(accuracy)
