"""A split four times as large as the memory that training may take."""

import subprocess
import sys
from pathlib import Path

import prepare
from classifier.paths import CHECKPOINT, HISTORY, split_path
from tests.conftest import ROOT

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="ulimit -d counts no memory here")]

PERMITTED = 128 << 20  # bytes of memory, beside what the imports take
SIDE, COUNT = 256, 3000  # 590 MB of training images

# Trains with so much more memory than there is after the imports.
LIMITED = """
import resource, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
import scipy.optimize, torchvision, train
from classifier.errors import run

taken = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData"))
limit = 1024 * int(taken.split()[1]) + int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
run(train.main)
"""


@pytest.fixture
def large(workspace, small_dataset, params, monkeypatch):
    """A prepared dataset whose training split is four times what is permitted."""
    small_dataset(train=COUNT // 3, val=4, test=4, size=8)
    changes = {
        "prepare.image_size": SIDE,
        "train.model": "shufflenet_v2_x0_5",
        "train.image_size": 32,
        "train.batch_size": 8,
        "train.optimizer": "sgd",
        "train.lr": 0.01,
        "train.augment": {"RandomCrop": {"size": 32}},
    }
    Path("params.yaml").write_text(params(changes))
    prepare.main()
    assert split_path("train").stat().st_size > 4 * PERMITTED
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("DVC_ROOT", raising=False)


def train(monkeypatch, place: str, permitted: int) -> subprocess.CompletedProcess:
    monkeypatch.setenv("SPLITS", place)
    command = [sys.executable, "-c", LIMITED, ROOT, str(permitted)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_split_four_times_the_permitted_memory_trains_from_the_disk_with_the_bits_of_a_resident_one(
    large, monkeypatch
):
    resident = train(monkeypatch, "device", 4 << 30)
    assert resident.returncode == 0, resident.stderr
    expected = CHECKPOINT.read_bytes(), HISTORY.read_bytes()
    CHECKPOINT.unlink()
    too_large = train(monkeypatch, "device", PERMITTED)
    assert too_large.returncode != 0, "the limit must be felt"
    streamed = train(monkeypatch, "disk", PERMITTED)
    assert streamed.returncode == 0, streamed.stderr
    assert (CHECKPOINT.read_bytes(), HISTORY.read_bytes()) == expected
