"""Several processes: what each draws and has, and the mistakes that people make."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from classifier.data.augment import build_augment
from classifier.data.augment.draws import PartGenerator
from classifier.data.augment.transforms import TRANSFORMS
from classifier.errors import InputError, run
from classifier.training.distributed import ALONE, Group, Processes, join, require_images, says_that_another_ended

import pytest
import torch
import torch.distributed as dist

CPU = torch.device("cpu")
ARGUMENTS = {
    "RandomAffine": {"degrees": 20, "translate": [0.1, 0.1], "scale": [0.8, 1.2], "shear": 10},
    "RandomRotation": {"degrees": 30},
    "RandomCrop": {"size": 16, "padding": 2},
    "RandomResizedCrop": {"size": 16},
    "RandomResize": {"min_size": 16, "max_size": 24},
    "ColorJitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "GaussianBlur": {"kernel_size": 3},
    "RandomGrayscale": {"p": 0.5},
}


class Part(Processes):
    """One of several processes, without the others."""

    def __init__(self, rank: int, size: int):
        self.rank, self.size = rank, size


@pytest.mark.parametrize("count", [6, 7, 8])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_parts_make_the_whole_in_its_order_and_differ_by_one_at_most(count, size):
    parts = [list(range(count))[Part(rank, size).part(count)] for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_part_of_a_batch_is_augmented_as_in_the_whole_batch(name):
    images = torch.rand(7, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    augment = build_augment({name: ARGUMENTS.get(name, {})}, 16, "train.augment")
    whole = augment(images, torch.Generator().manual_seed(2))
    assert not torch.equal(whole, images)
    for rank in range(3):
        part = Part(rank, 3).part(7)
        generator = PartGenerator(CPU)
        generator.manual_seed(2)
        generator.divide(7, part)
        torch.testing.assert_close(augment(images[part], generator), whole[part], rtol=0, atol=1e-6)


def test_a_generator_that_is_not_divided_draws_as_any_other():
    images, augment = torch.rand(5, 3, 16, 16), build_augment({"RandomErasing": {"p": 1}}, 16, "train.augment")
    own = PartGenerator(CPU)
    own.manual_seed(3)
    assert torch.equal(augment(images, own), augment(images, torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_each_process_drops_other_units_and_the_first_those_of_one_alone(rank):
    group = object.__new__(Group)  # without the others
    group.rank, group.size = rank, 3
    drawn = []
    for processes in (ALONE, group):
        torch.manual_seed(2**64 - 1)
        processes.draw_apart()
        drawn.append(torch.rand(5))
    assert torch.equal(*drawn) == (rank == 0)


# Mistakes


@pytest.fixture
def launched(monkeypatch):
    """A function: let this be a process that torchrun has started."""

    def launch(**changes: str) -> None:
        started = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
        for name, value in (started | changes).items():
            monkeypatch.setenv(name, value)

    return launch


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join(CPU, 7) == (ALONE, CPU)


@pytest.mark.parametrize(("batch_size", "size"), [(8, 3), (4, 4), (7, 2)])
def test_a_batch_that_cannot_be_shared_is_refused(launched, batch_size, size):
    launched(WORLD_SIZE=str(size))
    with pytest.raises(InputError, match=f"batch_size is {batch_size}, which {size} processes .* a multiple of {size}"):
        join(CPU, batch_size)


def test_fewer_gpus_than_processes_are_refused(launched, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    launched(RANK="1", LOCAL_RANK="1")
    with pytest.raises(InputError, match="process 1 has no GPU: there are 1"):
        join(torch.device("cuda"), 8)


def test_a_port_that_is_taken_is_named(launched):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        launched(MASTER_PORT=str(port))
        with pytest.raises(InputError, match=rf"cannot meet at 127\.0\.0\.1:{port}: .*Try another --master-port"):
            join(CPU, 8)


def test_too_few_images_are_refused_only_where_they_are_shared():
    require_images(ALONE, {"a batch": 1})
    require_images(Part(0, 2), {"a batch": 4})
    with pytest.raises(InputError, match="the val split has 3 images, too few for 2 processes"):
        require_images(Part(0, 2), {"a batch": 4, "the val split": 3})


def test_torchrun_around_another_script_is_refused(launched, monkeypatch):
    launched()
    monkeypatch.setattr(sys, "argv", ["prepare.py"])
    with pytest.raises(SystemExit, match=r"prepare\.py works in one process: start it with `python`"):
        run(lambda: pytest.fail("it has started"))
    done = []
    run(lambda: done.append(1), together=True)
    assert done


def test_whichever_of_several_operations_gives_up_waiting_it_is_another_process_that_is_named():
    store, patience = dist.HashStore(), timedelta(seconds=0.5)
    with ThreadPoolExecutor(2) as threads:
        waiting, silent = threads.map(lambda rank: dist.ProcessGroupGloo(store, rank, 2, patience), range(2))
    errors = []
    for work in [waiting.allreduce([torch.ones(1)]) for _ in range(3)]:
        with pytest.raises(RuntimeError) as raised:
            work.wait()
        errors.append(raised.value)
    assert len({str(error) for error in errors}) > 1, "the first to give up says what the others do not"
    assert all(map(says_that_another_ended, errors))
    assert not says_that_another_ended(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert silent.size() == 2  # it is there all the time
