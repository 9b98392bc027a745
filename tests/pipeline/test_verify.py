"""`make verify` runs everything again and says whether the results come out again."""

import hashlib
import shutil
import signal
from pathlib import Path

from tests.clones import Clone

import pytest

pytestmark = pytest.mark.slow

COMMAND = ["python", "scripts/verify.py"]
MODEL = "models/classifier.safetensors"


def verify(clone: Clone) -> tuple[int, dict[str, str], str]:
    """Exit status, the verdict on each output and the last line."""
    process = clone.start(*COMMAND)
    lines = process.communicate()[0].splitlines()
    header = next((line for line in lines if line.startswith("stage ")), "")
    table = [line for line in lines if line.startswith(("prepare ", "weights ", "train ", "evaluate "))]
    start = header.find("verdict")
    return process.returncode, {line.split()[1]: line[start:] for line in table}, lines[-1]


def snapshot(folder: Path) -> dict[str, tuple[str, int]]:
    """The content and the time of every file but DVC's and Python's own notes."""
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {
        str(path.relative_to(folder)): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in files
        if not path.is_relative_to(folder / ".dvc" / "tmp")
    }


def leftovers(clone: Clone) -> list[Path]:
    return list((clone.path / ".dvc" / "tmp").glob("verify-*"))


def test_a_finished_clone_comes_out_again_and_stays_as_it_is(pipeline, tmp_path):
    clone = Clone(shutil.copytree(pipeline.path, tmp_path / "a clone"))
    before, status = snapshot(clone.path), clone.run("dvc", "status")
    code, verdicts, last = verify(clone)
    assert code == 0, last
    assert len(verdicts) == 15
    assert set(verdicts.values()) == {"same"}
    assert last == "reproduced: all 15 outputs are what dvc.lock records, bit for bit."
    assert snapshot(clone.path) == before
    assert clone.run("dvc", "status") == status
    assert not leftovers(clone)


def test_a_weight_changed_by_hand_is_found(pipeline):
    path = pipeline.path / MODEL
    data = bytearray(path.read_bytes())
    data[-5] ^= 4
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(data)
    code, verdicts, last = verify(pipeline)
    assert code == 1
    assert {output: verdict for output, verdict in verdicts.items() if verdict != "same"} == {MODEL: "changed by hand"}
    assert f"{MODEL} (train)" in last
    assert path.read_bytes() == data


def test_training_without_a_seed_is_named_as_the_culprit(pipeline):
    pipeline.edit("train.py", "torch.manual_seed(params.seed)", "torch.seed()")
    pipeline.edit(
        "classifier/reproducibility.py",
        "return ((seed * 1_000_003 + epoch) * 1_000_003 + step) % 2**64",
        "return int.from_bytes(os.urandom(8), 'little')",
    )
    pipeline.run("dvc", "repro")
    code, verdicts, last = verify(pipeline)
    assert code == 1
    assert verdicts[MODEL] == "differs"
    assert verdicts["predictions.csv"] == "differs, as its inputs do"
    assert verdicts["prepared/train.safetensors"] == "same"
    assert last == "not reproduced: train wrote other bytes from the same inputs; as a consequence: evaluate."
    assert not leftovers(pipeline)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("train.py", "wrote", "Wrote"),
        ("params.yaml", "tta: none", "tta: flip"),
        ("dvc.yaml", "${python} evaluate.py", "${python} -u evaluate.py"),
        ("data.dvc", "md5: ", "md5: 0"),
    ],
)
def test_results_of_other_code_parameters_or_data_are_refused(pipeline, file, old, new):
    pipeline.edit(file, old, new)
    code, verdicts, last = verify(pipeline)
    assert (code, verdicts) == (1, {})
    assert last == f"error: {file.removesuffix('.dvc')} changed since dvc.lock was written: run `dvc repro` first."


def test_results_of_which_only_a_part_was_made_anew_are_refused(pipeline):
    pipeline.edit("params.yaml", "image_size: 16", "image_size: 20")
    pipeline.run("dvc", "repro", "prepare")
    code, _, last = verify(pipeline)
    assert code == 1
    assert last.startswith("error: prepared/")


def test_without_dvc_lock_there_is_nothing_to_verify(pipeline):
    (pipeline.path / "dvc.lock").unlink()
    code, _, last = verify(pipeline)
    assert code == 1
    assert last == "error: dvc.lock not found: nothing is recorded yet, run `dvc repro` first."


def test_data_that_is_not_in_the_cache_says_how_to_get_it_there(pipeline, tmp_path):
    clone = Clone(shutil.copytree(pipeline.path, tmp_path / "clone"))
    shutil.rmtree(clone.path / ".dvc" / "cache")
    code, _, last = verify(clone)
    assert code == 1
    assert "`dvc commit data.dvc`" in last
    shutil.rmtree(clone.path / "data")
    code, _, last = verify(clone)
    assert code == 1
    assert "`dvc pull data.dvc`" in last


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_verification_leaves_nothing_behind(pipeline, number):
    with Clone(pipeline.path, cold=True).start(*COMMAND) as process:
        assert any("Running stage 'train'" in line for line in process.stdout)
        assert leftovers(pipeline)
        process.send_signal(number)
        rest = process.stdout.read()  # to its end: no process holds it any more
    assert process.returncode == 128 + number
    assert "error" not in rest.lower()  # neither a traceback nor a stage that misses its folder
    assert not leftovers(pipeline)
