"""bench/gpu.py, as far as it can be tested without a GPU."""

import time
from types import SimpleNamespace

from classifier.errors import InputError
from tests.conftest import ROOT

import pytest
import torch
from safetensors.torch import save_file

LOG = """
---------------------------------------------------------------------------
|  run   |  epoch  |  train_acc  |  val_acc  |  tta_val_acc  |  time_seconds  |
---------------------------------------------------------------------------
|  warmup  |      0  |     0.1  |  0.1  |               |        90.1000  |
|          |   eval  |     0.1  |  0.1  |       0.1000  |        99.0000  |
|       0  |      0  |     0.5  |  0.4  |               |         0.3000  |
|          |   eval  |     0.9  |  0.9  |       0.9300  |         2.0000  |
|          |   eval  |     0.9  |  0.9  |       0.9500  |         4.0000  |
---------------------------------------------------------------------------
Mean: 0.9400    Std: 0.0100
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A function: something to run scripts with for so many seconds."""
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import timed

    return lambda seconds, on_gpu=False: timed.Bench(tmp_path, time.monotonic() + seconds, on_gpu)


@pytest.fixture
def gpu(bench):
    import gpu

    return gpu


def test_a_script_starts_cold_and_its_words_and_seconds_are_kept(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("TRITON_CACHE_DIR", "warm")
    (tmp_path / "script.py").write_text(
        "import os, time; time.sleep(0.2)\nprint(os.environ['WANDB_MODE'], 'TRITON_CACHE_DIR' in os.environ)"
    )
    printed, seconds = bench(60).python(tmp_path, "script.py")
    assert printed == "disabled False\n"
    assert 0.2 < seconds < 60


def test_a_script_without_time_ends_with_what_it_has_started(bench, tmp_path):
    alive = tmp_path / "alive"
    (tmp_path / "child.py").write_text(f"import time; time.sleep(5); open({str(alive)!r}, 'w')")
    (tmp_path / "script.py").write_text("import subprocess, sys; subprocess.run([sys.executable, 'child.py'])")
    from timed import NoTimeLeft

    start = time.monotonic()
    with pytest.raises(NoTimeLeft):
        bench(1).python(tmp_path, "script.py")
    time.sleep(max(0, start + 6 - time.monotonic()))
    assert not alive.exists()


def test_a_script_that_fails_is_quoted(bench, tmp_path):
    (tmp_path / "script.py").write_text("raise SystemExit('no such image')")
    with pytest.raises(InputError, match=r"script\.py failed:\nno such image"):
        bench(60).python(tmp_path, "script.py")


def test_a_script_runs_as_by_itself_where_its_memory_is_measured(bench, tmp_path):
    (tmp_path / "script.py").write_text("import sys\nprint(__name__, sys.argv[1:])")
    printed, _, memory = bench(60).measure(tmp_path, tmp_path / "script.py")
    assert (printed, memory) == ("__main__ []\n", "-")


def test_the_speed_of_the_last_epoch_is_read_also_where_it_is_below_one(gpu, workspace):
    said = "epoch 1/2  train loss 1.0 accuracy 50.0%  1,234 images/s\nepoch 2/2  train loss 1.0  0.37 images/s\n"
    bench = SimpleNamespace(measure=lambda *_: (said, 1.0, "-"))
    (workspace / "models").mkdir()
    (workspace / "models" / "classifier.safetensors").touch()
    assert gpu.Subject(bench, workspace, {"train": {}}, matters=False).train({}).speed == 0.37


def test_the_table_has_a_row_for_each_variant_and_says_what_determinism_costs(gpu, capsys):
    speeds = {gpu.AS_IT_IS: 800.0, gpu.FAST: 1000.0, gpu.COMPILED: 900.0, gpu.COMPILED_FAST: 1000.0}
    wanted = {str(changes): speeds.get(name, 500.0) for name, changes in gpu.VARIANTS.items() if name != gpu.AGAIN}

    def subject(model, digests):
        def train(changes):
            if (speed := wanted[str(changes)]) == 500:
                raise gpu.NoTimeLeft
            return gpu.Row(12.34, speed, "1.50", digests.pop(0))

        return SimpleNamespace(
            params={"train": {"model": model}},
            matters=model == "small",
            prepare=lambda: None,
            evaluate=lambda: "91.0%",
            train=train,
        )

    # Five variants have time: the fourth is the first one again.
    notes = gpu.compare([subject("small", list("aaaaa")), subject("resnet50", list("abcde"))], None).splitlines()
    rows = capsys.readouterr().out.splitlines()
    assert len(rows) == 2 * len(gpu.VARIANTS)
    assert rows[0] == "| small | as it is | 12.3 | 800 | 91.0% | 1.50 |"
    assert rows[1] == "| resnet50 | as it is | 12.3 | 800 | - | 1.50 |"
    assert rows[-1] == "| resnet50 | precision: fp32 | no time left | | | |"
    assert notes == [
        "small, as it is: determinism costs 20% of the images/s.",
        "small, compile: true: determinism costs 10% of the images/s.",
        "small, trained twice as it is: the same bits.",
        "resnet50, as it is: determinism costs 20% of the images/s.",
        "resnet50, compile: true: determinism costs 10% of the images/s.",
        "resnet50, trained twice as it is: OTHER bits.",
    ]


def test_the_variants_are_valid_parameters(gpu, params, workspace):
    from classifier.config import load_params

    for changes in gpu.VARIANTS.values():
        (workspace / "params.yaml").write_text(params({f"train.{name}": value for name, value in changes.items()}))
        load_params("train")


def test_airbench_s_own_figures_are_those_after_its_warm_up(gpu):
    import airbench

    assert airbench.read_log(LOG) == (3.0, 0.94)


def test_airbench_gets_the_prepared_images_in_its_own_form(bench, gpu, tmp_path):
    import airbench

    workspace = tmp_path / "dataset"
    (workspace / "prepared").mkdir(parents=True)
    (workspace / "prepared/dataset.json").write_text('{"classes": ["0","1","2","3","4","5","6","7","8","9"]}')
    images = torch.arange(4 * 3 * 32 * 32, dtype=torch.int32).remainder(251).byte().view(4, 3, 32, 32)
    for name in ("train", "test"):
        save_file({"images": images, "labels": torch.arange(4)}, workspace / f"prepared/{name}.safetensors")
    script = f"""
import torch
data = torch.load("cifar10/train.pt")
assert data["images"].shape == (4, 32, 32, 3) and data["images"][1, 2, 3, 0] == {images[1, 0, 2, 3].item()}
assert len(range(200)) == {airbench.RUNS} and torch.load("cifar10/test.pt")["labels"].tolist() == [0, 1, 2, 3]
print('''{LOG}''')
"""
    assert "needs a CUDA GPU" in airbench.airbench_row(bench(60), workspace, script)
    pretended = bench(60, on_gpu=True)
    pretended.measure = lambda *command: (*pretended.python(command[0], command[1]), "1.50")
    row = airbench.airbench_row(pretended, workspace, script)
    assert row.startswith("airbench's script | 5 runs and one to warm up, each 3.00 s by its own clock | ")
    assert row.endswith(" | 94.0% | 1.50")
