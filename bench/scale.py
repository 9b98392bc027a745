"""Does the pipeline take more images than memory holds? Measures prepare.py and train.py on more and more of them.

    python bench/scale.py [--images 1400]

Makes photographs out of noise, 1, 4 and 16 times so many, in parquet shards, in a temporary folder: with the default
1 GB of them, and 4.4 GB once prepared. Prints for prepare.py wall time and peak memory, which should grow in step and
not at all; and for one epoch on all of them images/s and peak memory with the split in memory and on the disk, and
whether the bits are equal. Memory is what cannot be had back from the disk (RssAnon): Linux alone tells. At last, on a
part of them, two processes of one thread take turns with one such process.
"""

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from classifier.files import atomic_write, sha256
from classifier.paths import CHECKPOINT, HISTORY, split_path
from scripts.pack import shard_schema

import numpy as np
import pyarrow
import pyarrow.parquet
import yaml
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ["plain", "striped"]
SIDE = 256  # pixels that are stored
TURNS = 3
STAGES = {
    "prepare": {"image_size": SIDE, "val_fraction": 0.005, "test_fraction": 0.005, "augment": {}},
    "train": {
        "model": "airbench_small",
        "image_size": 32,
        "epochs": 1,
        "batch_size": 64,
        "low_res_share": 0.0,
        "augment": {"RandomResizedCrop": {"size": 32}},
    },
}


class Run(NamedTuple):
    seconds: float
    peak: float  # MB
    output: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1400, help="of the smallest dataset (default: 1400)")
    count = parser.parse_args().images
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        params = yaml.safe_load((ROOT / "recipes" / "cifar10.yaml").read_text())
        for stage, values in STAGES.items():
            params[stage] |= values
        (workspace / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        for shard in range(16):
            write_shard(workspace / f"data/train-{shard:05}.parquet", count, shard)
            if (times := shard + 1) in (1, 4, 16):
                report_prepare(workspace, count, times)
        report_training(workspace)
        for shard in range(1, 16):
            (workspace / f"data/train-{shard:05}.parquet").unlink()
        run(workspace, "prepare.py")
        report_processes(workspace, params)


def write_shard(path: Path, count: int, seed: int) -> None:
    """Noise, in one direction or in both, as JPEG files of about 40 KB."""
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for i in range(count):
        pixels = rng.integers(0, 256, (SIDE // 8, SIDE // (8 if i % 2 == 0 else 64), 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).resize((SIDE + 64, SIDE + 32), Image.Resampling.BICUBIC).save(file, "JPEG", quality=95)
        images.append({"bytes": file.getvalue(), "path": f"{i}.jpg"})
        labels.append(i % 2)
    schema = shard_schema(CLASSES)
    with atomic_write(path) as out, pyarrow.parquet.ParquetWriter(out, schema) as writer:
        writer.write_batch(pyarrow.record_batch([images, labels], schema=schema))


def report_prepare(workspace: Path, count: int, times: int) -> None:
    done = run(workspace, "prepare.py")
    images, seconds = count * times, done.seconds
    print(
        f"prepare  {images:7,} images  {seconds:6.1f} s  {images / seconds:5.0f} images/s  {done.peak:5.0f} MB at most"
    )


def report_training(workspace: Path) -> None:
    size = (workspace / split_path("train")).stat().st_size
    bits = []
    for place in ("device", "disk"):
        forget(workspace / split_path("train"))
        done = run(workspace, "train.py", SPLITS=place)
        bits.append([sha256(workspace / path) for path in (CHECKPOINT, HISTORY)])
        told = f"{speed(done.output):6.0f} images/s  {done.peak:5.0f} MB at most"
        print(f"train    {size / 1e9:.1f} GB, SPLITS={place:6}  {told}", flush=True)
    print("the bits are equal" if bits[0] == bits[1] else "the bits DIFFER", flush=True)
    if bits[0] != bits[1]:
        sys.exit(1)


def report_processes(workspace: Path, params: dict[str, Any]) -> None:
    """Images/s of one process and of two, of one thread each, over several epochs and turns."""
    params["train"] |= {"epochs": 4, "batch_size": 256}
    (workspace / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    speeds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(TURNS):
        for count in speeds:
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
            done = run(workspace, "train.py", *(launch if count > 1 else []), OMP_NUM_THREADS="1")
            speeds[count].append(speed(done.output))
    for count, found in speeds.items():
        said = ", ".join(f"{value:.0f}" for value in found)
        print(f"{count} process(es) of one thread  {median(found):5.0f} images/s ({said})", flush=True)
    print(f"two are {median(speeds[2]) / median(speeds[1]):.2f} times as fast as one", flush=True)


def forget(path: Path) -> None:
    """Let the system's cache of a file go, so that the next to read it waits for the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def speed(output: str) -> float:
    """Images/s of the last epoch that train.py tells of."""
    return float(re.findall(r"([\d,.]+) images/s", output)[-1].replace(",", ""))


def run(workspace: Path, script: str, *launch: str, **environment: str) -> Run:
    """Run a stage, by itself or through a launcher."""
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, *launch, ROOT / script],
            cwd=workspace,
            env=os.environ | {"WANDB_MODE": "disabled"} | environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        while process.poll() is None:
            status = Path(f"/proc/{process.pid}/status").read_text()
            peak = max(peak, *map(int, re.findall(r"RssAnon:\s+(\d+)", status)), 0)
            time.sleep(0.05)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(f"{script} failed:\n{text}")
    return Run(time.monotonic() - start, peak / 1e3, text)


if __name__ == "__main__":
    main()
