"""train.compile: the same training through what torch.compile makes of the network."""

from functools import partial
from pathlib import Path

import prepare
import train
from classifier.errors import InputError
from classifier.paths import CHECKPOINT, split_path
from classifier.tensors import read_tensors
from classifier.training import compiler
from classifier.training.compiler import make_compiler
from tests.conftest import small

import pytest
import torch
from torch import nn
from torch._dynamo.exc import InternalTorchDynamoError

CPU = torch.device("cpu")


@pytest.fixture
def run_train(workspace, small_dataset, params):
    """A function: the weights that a training with the given parameters leaves, with compiler or without."""
    small_dataset("data")
    Path("params.yaml").write_text(params())
    prepare.main()

    def run(compile: bool, changes=None) -> dict[str, torch.Tensor]:
        Path("params.yaml").write_text(params({"train.compile": compile} | (changes or {})))
        train.main()
        return read_tensors(CHECKPOINT, "checkpoint")[0]

    return run


@pytest.fixture
def graphs(monkeypatch) -> list[tuple[int, int, bool]]:
    """What was compiled, as (images, their side, for training), while the code stays as it is: bits are equal."""
    found = []

    def note(graph, inputs, options):
        images = next(tensor for tensor in inputs if tensor.ndim == 4 and not isinstance(tensor, nn.Parameter))
        found.append((images.shape[0], images.shape[-1], torch.is_grad_enabled()))
        return graph.forward

    probe = compiler.nn.Softmax

    def compile_with(module, **options):
        return module if isinstance(module, probe) else _compile(module, backend=note, **options)

    _compile = torch.compile
    monkeypatch.setattr(torch, "compile", compile_with)
    yield found
    torch.compiler.reset()


@pytest.mark.slow
def test_a_compiled_training_ends_with_about_the_same_weights_under_the_same_names(run_train):
    try:
        make_compiler(CPU, torch.float32, deterministic=True)
    except InputError as error:
        pytest.skip(str(error))
    changes = {"train.batch_size": 9, "train.optimizer": "sgd", "train.lr": 0.01}
    plain, compiled = run_train(False, changes), run_train(True, changes)
    assert plain.keys() == compiled.keys()
    torch.testing.assert_close(compiled, plain, rtol=1e-3, atol=1e-4)
    assert any(not torch.equal(compiled[name], plain[name]) for name in plain)  # other code did it
    again = run_train(True, changes)
    assert all(torch.equal(again[name], compiled[name]) for name in again)


@pytest.mark.parametrize("average", [0.0, 0.9])
def test_training_and_validation_are_compiled_once_for_each_size(run_train, graphs, average):
    changes = {"train.epochs": 4, "train.batch_size": 6, "train.low_res_share": 0.5, "train.low_res_scale": 0.94}
    changes |= {"train.optimizer": "sgd", "train.lr": 0.01, "train.ema": average}
    plain, compiled = run_train(False, changes), run_train(True, changes)
    assert plain.keys() == compiled.keys()
    assert all(torch.equal(compiled[name], plain[name]) for name in plain)
    # 18 images are three batches; from 3/8 of the training on, before its images grow, the whitening stands still,
    # but for that of the average.
    assert graphs.count((6, 15, True)) == 2
    assert graphs.count((6, 16, True)) == 1
    assert graphs.count((6, 16, False)) == (1 if average else 2)
    assert len(graphs) == (4 if average else 5)


def test_more_sizes_are_compiled_than_torch_would_by_itself(graphs):
    module = nn.Flatten()
    compiled = make_compiler(CPU, torch.float32, deterministic=True)(module)
    for count in range(2, 22):
        compiled(torch.zeros(count, 3, 4, 4))
    assert [count for count, *_ in graphs] == list(range(2, 22))


@pytest.mark.parametrize("deterministic", [True, False])
def test_kernels_are_chosen_by_timing_only_where_bits_may_differ(monkeypatch, deterministic):
    wanted = []
    monkeypatch.setattr(torch, "compile", lambda module, **options: wanted.append(options) or module)
    make_compiler(CPU, torch.float32, deterministic)
    assert wanted == [{"dynamic": False, "options": {"deterministic": deterministic}}]


def test_wrappers_that_come_later_are_compiled_too():
    network = small("airbench_small", 3, 16)
    network.compile(partial(torch.compile, backend="eager"))
    network.wrap(lambda module: nn.Sequential(module))
    for _ in range(2):
        assert type(network._called).__name__ == "OptimizedModule"
        assert network._called._orig_mod[0] is network.module
        network.set_progress(0.5)  # what learns has changed, so it is wrapped anew
    double = network.copy()
    assert double._called._orig_mod is double.module
    assert double.module is not network.module


def test_without_a_compiler_one_sentence_says_so_before_data_are_read(run_train, monkeypatch):
    def compile_nothing(module, **options):
        def call(*_):
            raise InternalTorchDynamoError("No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1")

        return call

    monkeypatch.setattr(torch, "compile", compile_nothing)
    for split in ("train", "val"):
        split_path(split).unlink()
    with pytest.raises(InputError) as caught:
        run_train(True)
    assert str(caught.value) == (
        "train.compile: true cannot be had on this machine's cpu: No working C++ compiler found. Install a C++ "
        "compiler such as g++, and Python's headers, or write train.compile: false in params.yaml."
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_on_a_cpu_only_fp32_is_compiled(run_train, precision):
    with pytest.raises(InputError, match=r"cannot be trusted on a CPU with b?float16.*train\.precision: fp32"):
        run_train(True, {"train.precision": precision})
