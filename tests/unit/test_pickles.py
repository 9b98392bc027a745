"""A pickle runs code when it is read: one in the place of a file of ours is refused, and its code not run.

Checkpoints have this test in test_checkpoint.py, weights in test_pretrained.py, CIFAR's files in test_datasets.py.
"""

import io
import pickle

from classifier.training.resume import read_state

import pytest
import torch


class Canary:
    """Creates a file called canary when it is unpickled."""

    def __reduce__(self):
        return open, ("canary", "w")


def torch_saved() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weights": Canary()}, buffer)
    return buffer.getvalue()


FORMS = {
    "pickle": (lambda: pickle.dumps(Canary()), pickle.load),
    "torch.save": (torch_saved, lambda file: torch.load(file, weights_only=False)),
}


@pytest.fixture(params=FORMS)
def malicious(request, workspace):
    """The bytes of a pickle whose code would leave a canary; afterwards, there must be none."""
    write, read = FORMS[request.param]
    content = write()
    yield content
    assert not (workspace / "canary").exists()
    read(io.BytesIO(content))
    assert (workspace / "canary").exists(), "the attack works, where it is let in"


def test_a_pickle_in_the_place_of_a_state_to_go_on_from_is_not_read(malicious, workspace, capsys):
    state = workspace / "0123456789abcdef.safetensors"
    state.write_bytes(malicious)
    assert read_state(state) is None
    assert f"starting afresh: {state}" in capsys.readouterr().out
