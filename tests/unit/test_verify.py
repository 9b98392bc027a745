"""scripts/verify.py: what it says of the outputs of a new run, and which stage it names."""

from classifier.errors import InputError
from classifier.network.checkpoint import KEY
from classifier.runs.recorded import Lock, RecordedStage, read_lock
from classifier.tensors import write_tensors
from tests.conftest import ROOT

import pytest
import torch
import verify

RECORDED = {
    "prepare": RecordedStage({"data": "d", "prepare.py": "p"}, {"tensors": "t", "images": "i"}, {}),
    "train": RecordedStage({"tensors": "t", "train.py": "c"}, {"model": "m", "history": "h"}, {}),
    "evaluate": RecordedStage({"model": "m", "images": "i"}, {"metrics": "e"}, {}),
}
WORKSPACE = {path: md5 for stage in RECORDED.values() for path, md5 in stage.outs.items()}


def again(changes: dict[str, str]) -> Lock:
    """The recorded lock with other MD5s of some files, wherever they occur."""

    def change(files: dict[str, str]) -> dict[str, str]:
        return {path: changes.get(path, md5) for path, md5 in files.items()}

    return {name: RecordedStage(change(stage.deps), change(stage.outs), {}) for name, stage in RECORDED.items()}


def verdicts(changes: dict[str, str], workspace: dict[str, str | None] | None = None) -> tuple[dict[str, str], str]:
    """The verdict on each output but those that are the same, and the sentence."""
    rows = verify.judge(RECORDED, WORKSPACE | (workspace or {}), again(changes))
    assert [row.output for row in rows] == list(WORKSPACE)
    return {row.output: row.verdict for row in rows if row.verdict != "same"}, verify.conclude(rows)


def test_a_file_of_weights_is_linked_into_the_copy_unless_it_lies_elsewhere(workspace, params):
    digest = "0" * 64
    for path, linked in (("ignored/w.pth", True), ("absent.pth", False), ("../w.pth", False), (workspace / "w", False)):
        changes = {"train.pretrained": f"{path}@sha256:{digest}", "train.optimizer": "sgd"}
        (workspace / "params.yaml").write_text(params(changes))
        if path != "absent.pth":
            (workspace / path).parent.mkdir(exist_ok=True)
            (workspace / path).write_text("weights")
        target = workspace / "copies" / str(linked)
        target.mkdir(parents=True, exist_ok=True)
        before = set(workspace.rglob("*"))
        verify.link_weights(target)
        new = set(workspace.rglob("*")) - before
        assert (target / path in new) == linked
        assert bool(new) == linked
        if linked:
            assert (target / path).samefile(workspace / path)


def test_equal_locks_are_the_same():
    found, sentence = verdicts({})
    assert found == {}
    assert sentence == "reproduced: all 5 outputs are what dvc.lock records, bit for bit."


def test_a_stage_that_writes_other_bytes_is_named_and_the_stages_after_it_follow():
    found, sentence = verdicts({"model": "M", "metrics": "E"})
    assert found == {"model": "differs", "metrics": "differs, as its inputs do"}
    assert sentence == "not reproduced: train wrote other bytes from the same inputs; as a consequence: evaluate."


def test_what_comes_out_the_same_in_spite_of_other_inputs_is_the_same():
    found, sentence = verdicts({"model": "M"})
    assert found == {"model": "differs"}
    assert "evaluate" not in sentence


def test_two_stages_can_differ_by_themselves():
    found, sentence = verdicts({"images": "I", "history": "H"})
    assert found == {"images": "differs", "history": "differs"}
    assert sentence == "not reproduced: prepare, train wrote other bytes from the same inputs."


def test_other_data_than_recorded_blames_no_stage():
    found, sentence = verdicts({"data": "D", "tensors": "T", "model": "M"})
    assert set(found.values()) == {"differs, as its inputs do"}
    assert sentence == "not reproduced, as its inputs differ: prepare, train."


def test_a_file_of_the_workspace_that_is_not_the_recorded_one_was_changed_by_hand():
    found, sentence = verdicts({}, {"model": "x"})
    assert found == {"model": "changed by hand"}
    assert sentence == "changed by hand, `dvc repro` brings it back: model (train)."


def test_a_file_that_the_workspace_lacks_is_noted_and_no_failure():
    found, sentence = verdicts({}, {"model": None})
    assert found == {"model": "absent"}
    assert sentence.startswith("reproduced: all 5")
    assert "1 of them" in sentence


def test_a_file_can_differ_and_be_changed_by_hand_or_absent():
    found, sentence = verdicts({"model": "M"}, {"model": "x"})
    assert found == {"model": "differs"}
    assert "train wrote other bytes" in sentence
    assert "changed by hand, `dvc repro` brings it back: model (train)" in sentence
    assert verdicts({"model": "M"}, {"model": None})[0] == {"model": "differs"}


def test_a_lock_says_what_each_stage_read_and_wrote(tmp_path):
    (tmp_path / "dvc.lock").write_text("""
schema: '2.0'
stages:
  train:
    cmd: python train.py
    deps:
    - {path: tensors, hash: md5, md5: t, size: 1}
    - {path: "https://example.org/list", etag: x}
    params:
      params.yaml:
        train: {lr: 1e-05}
    outs:
    - {path: model, hash: md5, md5: m, size: 2}
  note:
    cmd: echo
""")
    assert read_lock(tmp_path / "dvc.lock") == {
        "train": RecordedStage(
            {"tensors": "t", "https://example.org/list": ""}, {"model": "m"}, {"train": {"lr": 1e-05}}
        ),
        "note": RecordedStage({}, {}, {}),
    }


@pytest.mark.parametrize(
    "text", ["", "[]", "schema: '2.0'", "stages: {train: {outs: [{md5: m}]}}", "<<<<<<< HEAD\na: 1"]
)
def test_a_damaged_dvc_lock_is_refused(tmp_path, text):
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(InputError, match="is not what DVC writes"):
        read_lock(tmp_path / "dvc.lock")


@pytest.fixture
def model(tmp_path):
    """A function: the path of a model that says it was made in `environment`."""

    def write(name, environment):
        description = {"environment": environment} if environment else {}
        write_tensors(tmp_path / name, KEY, {"weight": torch.zeros(1)}, description)
        return tmp_path / name

    return write


def test_another_environment_is_told_key_by_key(model):
    old = model("old", {"torch": "2.12", "threads": 4, "device": "cpu"})
    new = model("new", {"torch": "2.13", "threads": 4, "device": "cpu", "precision": "bf16"})
    told = verify.compare_environments(old, new)
    assert told.endswith("in another environment: torch 2.12, now 2.13; precision None, now bf16.")


def test_the_same_environment_is_told(model):
    same = model("a", {"threads": 4}), model("b", {"threads": 4})
    assert verify.compare_environments(*same).endswith("the same environment.")
    assert "train.deterministic: false" in verify.compare_environments(*same, deterministic=False)


def test_a_model_without_an_environment_or_no_model_at_all_is_told(model, tmp_path):
    new = model("new", {"threads": 4})
    for old in (model("old", None), tmp_path / "nothing", ROOT / "README.md"):
        assert "not known" in verify.compare_environments(old, new)
