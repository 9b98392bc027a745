"""Networks by name: the airbench family, and every classification network of torchvision and timm."""

from typing import Any

from classifier.config import TIMM
from classifier.errors import InputError, nearest
from classifier.network.airbench import AirbenchNet, AirbenchNetwork
from classifier.network.network import Network
from classifier.network.preprocessing import Preprocessing

import torch
from torch import nn

WIDTHS = {"airbench": (64, 256, 256), "airbench_medium": (48, 192, 192), "airbench_small": (32, 128, 128)}

# Where torchvision's networks keep the layers that make the logits; the last linear or convolution there is the head.
HEADS = ("fc", "classifier", "head", "heads")


def build_network(name: str, num_classes: int, preprocessing: Preprocessing) -> Network:
    """Build a network with untrained weights, drawn from torch's global generator.

    Args:
        name: a key of WIDTHS, a name that `torchvision.models.get_model` knows, or timm/ and one that timm knows.
        num_classes: the number of logits.
        preprocessing: how images become its input.

    Raises:
        InputError: if there is no such network or it does not take images of that size.
    """
    require_known(name)
    try:
        if name in WIDTHS:
            network: Network = AirbenchNetwork(AirbenchNet(num_classes, WIDTHS[name]), preprocessing)
        elif name.startswith(TIMM):
            network = _timm_network(name, num_classes, preprocessing)
        else:
            module = _torchvision_module(name, num_classes, preprocessing.crop)
            network = Network(module, _torchvision_head(module), preprocessing)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _size_error(name, preprocessing.crop, error) from None
    require_size(network.module, name, preprocessing.crop)
    return network


def require_known(name: str) -> None:
    """Refuse names that build_network() does not know.

    Raises:
        InputError: with the nearest known name.
    """
    if name in WIDTHS:
        return
    if name.startswith(TIMM):
        import timm  # slow to import, and the other networks do without

        if not timm.is_model(name.removeprefix(TIMM)):
            known = [TIMM + known for known in timm.list_models()]
            raise InputError(f"train.model: no network is called {name!r}, {nearest(name, known)}")
        return
    from torchvision import models  # likewise

    if name not in (known := models.list_models(module=models)):
        raise InputError(f"train.model: no network is called {name!r}, {nearest(name, [*WIDTHS, *known])}")


def require_size(model: nn.Module, name: str, image_size: int) -> None:
    """Try `model` on an image of that size, leaving it as it was.

    Raises:
        InputError: if it does not take such images.
    """
    training = model.training
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, image_size, image_size))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _size_error(name, image_size, error) from None
    finally:
        model.train(training)


def _size_error(name: str, image_size: int, error: Exception) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError(f"train.model: {name} does not take {image_size}×{image_size} images: {reason}")


def _torchvision_module(name: str, num_classes: int, image_size: int) -> nn.Module:
    from torchvision import models  # slow to import, and the networks above do without

    arguments: dict[str, bool | int] = {}
    if name in ("googlenet", "inception_v3"):
        arguments = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        arguments = {"image_size": image_size}
    return models.get_model(name, weights=None, num_classes=num_classes, **arguments)


def _torchvision_head(module: nn.Module) -> nn.Module:
    top = next(child for name, child in module.named_children() if name in HEADS)
    return [layer for layer in top.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]


def _timm_network(name: str, num_classes: int, preprocessing: Preprocessing) -> Network:
    import timm  # slow to import, and the other networks do without

    architecture = name.removeprefix(TIMM)
    description = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    fixed = description is not None and description.fixed_input_size
    arguments: dict[str, Any] = {"img_size": preprocessing.crop} if fixed else {}
    module: Any = timm.create_model(architecture, pretrained=False, num_classes=num_classes, **arguments)
    head = module.get_classifier()
    if not isinstance(head, nn.Linear | nn.Conv2d):
        raise InputError(f"train.model: {name} does not end in one layer that makes the logits, which is needed here.")
    return Network(module, head, preprocessing)
