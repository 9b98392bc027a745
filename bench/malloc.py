"""How much faster training is when glibc's malloc keeps freed tensors (classifier/reproducibility.py).

    python bench/malloc.py [--rounds 5]

Times training steps of the default network in fresh processes, with and without keep_large_blocks,
taking turns so that a noisy machine disturbs both alike. Prints images per second and the median
ratio of neighbouring runs. Random images: the arithmetic does not depend on what is in them.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

STEPS = """
import sys, time
if {keep}:
    from classifier.reproducibility import keep_large_blocks
    keep_large_blocks()
import torch
import torch.nn.functional as F
from classifier.network.airbench import AirbenchNet
from classifier.reproducibility import autocast_dtype

torch.manual_seed(0)
dtype = autocast_dtype("auto", torch.device("cpu"))
model = AirbenchNet(10, (48, 192, 192)).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
x = torch.randn(500, 3, 32, 32).contiguous(memory_format=torch.channels_last)
y = torch.randint(10, (500,))
for step in range(10):
    if step == 2:
        start = time.perf_counter()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits = model(x)
    F.cross_entropy(logits.float(), y).backward()
    optimizer.step()
    optimizer.zero_grad()
print(8 * 500 / (time.perf_counter() - start))
"""


def images_per_second(keep: bool) -> float:
    command = [sys.executable, "-c", STEPS.format(keep=keep)]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    ratios = []
    for i in range(parser.parse_args().rounds):
        without, kept = images_per_second(keep=False), images_per_second(keep=True)
        ratios.append(kept / without)
        print(f"round {i + 1}: {without:.0f} images/s without, {kept:.0f} with, ratio {ratios[-1]:.2f}")
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
