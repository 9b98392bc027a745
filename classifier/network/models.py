"""Networks by name: the airbench family defined here, and every classification network of torchvision and timm."""

from collections.abc import Callable

from classifier.errors import InputError, nearest

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AirbenchNet(nn.Module):
    """The network of "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (K. Jordan, arXiv 2404.00498).

    A 2×2 convolution that whitens the input, of which only the bias is trained for a while, three
    groups of two 3×3 convolutions and a linear head. Unlike in the paper, the last pooling is global, so that any
    image of at least 16 pixels a side fits, the factor 1/width on the logits is part of the head's
    initialisation, and batch norm's epsilon is torch's, which images without colour need.
    """

    def __init__(self, num_classes: int, widths: tuple[int, int, int] = (64, 256, 256)):
        super().__init__()
        whiten_width = 2 * 3 * 2**2  # each eigenvector of the 2×2 RGB patches and its negative
        self.whiten = nn.Conv2d(3, whiten_width, kernel_size=2)
        self.whiten.weight.requires_grad = False
        self.groups = nn.Sequential(
            ConvGroup(whiten_width, widths[0]), ConvGroup(widths[0], widths[1]), ConvGroup(widths[1], widths[2])
        )
        self.head = nn.Linear(widths[2], num_classes, bias=False)
        with torch.no_grad():
            self.head.weight.div_(self.head.weight.std() * widths[2])

    @torch.no_grad()
    def fit_to_data(self, images: Tensor, eps: float = 5e-4) -> None:
        """Set the whitening filters from normalised training images, float [N, 3, H, W]."""
        patches = images.unfold(2, 2, 1).unfold(3, 2, 1).transpose(1, 3).reshape(-1, 12).cpu().double()
        eigenvalues, eigenvectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (eigenvectors / (eigenvalues + eps).sqrt()).T.reshape(-1, 3, 2, 2)
        self.whiten.weight.copy_(torch.cat((filters, -filters)))

    def set_progress(self, progress: float) -> None:
        """Stop training the whitening bias after 3/8 of training, which saves a gradient at full resolution."""
        self.whiten.bias.requires_grad = progress < 3 / 8

    def forward(self, x: Tensor) -> Tensor:
        x = self.groups(F.gelu(self.whiten(x)))
        return self.head(x.amax((2, 3)))  # amax, because CUDA's adaptive pooling is not deterministic


class ConvGroup(nn.Module):
    """Convolution, pooling, norm, GELU, convolution, norm, GELU."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.conv1, self.norm1 = _conv(channels_in, channels_out), _norm(channels_out)
        self.conv2, self.norm2 = _conv(channels_out, channels_out), _norm(channels_out)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels_in, channels_out, kernel_size=3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(conv.weight[:channels_in])
    return conv


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad = False
    return norm


MODELS: dict[str, Callable[[int], nn.Module]] = {
    "airbench": AirbenchNet,
    "airbench_medium": lambda num_classes: AirbenchNet(num_classes, widths=(48, 192, 192)),
    "airbench_small": lambda num_classes: AirbenchNet(num_classes, widths=(32, 128, 128)),
}

TIMM = "timm/"  # before the names of its networks


def build_model(name: str, num_classes: int, image_size: int) -> nn.Module:
    """Build a network with untrained weights, drawn from torch's global generator.

    Args:
        name: a key of MODELS, a name that `torchvision.models.get_model` knows, or timm/ and one that timm knows.
        num_classes: the number of logits.
        image_size: side length of the images it will see.

    Raises:
        InputError: if there is no such network or it does not take images of that size.
    """
    try:
        if name in MODELS:
            model = MODELS[name](num_classes)
        elif name.startswith(TIMM):
            model = _timm_model(name, num_classes, image_size)
        else:
            model = _torchvision_model(name, num_classes, image_size)
    except (RuntimeError, ValueError, AssertionError) as error:
        raise _size_error(name, image_size, error) from None
    require_size(model, name, image_size)
    return model


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


def _torchvision_model(name: str, num_classes: int, image_size: int) -> nn.Module:
    from torchvision import models  # slow to import, and the networks above do without

    known = models.list_models(module=models)
    if name not in known:
        raise InputError(f"train.model: no network is called {name!r}, {nearest(name, [*MODELS, *known])}")
    arguments = {}
    if name in ("googlenet", "inception_v3"):
        arguments = {"aux_logits": False, "init_weights": True}
    elif name.startswith("vit_"):
        arguments = {"image_size": image_size}
    return models.get_model(name, weights=None, num_classes=num_classes, **arguments)


def _timm_model(name: str, num_classes: int, image_size: int) -> nn.Module:
    import timm  # slow to import, and the other networks do without

    architecture = name.removeprefix(TIMM)
    if not timm.is_model(architecture):
        known = [TIMM + known for known in timm.list_models()]
        raise InputError(f"train.model: no network is called {name!r}, {nearest(name, known)}")
    description = timm.get_pretrained_cfg(architecture, allow_unregistered=True)
    fixed = description is not None and description.fixed_input_size
    arguments = {"img_size": image_size} if fixed else {}
    return timm.create_model(architecture, pretrained=False, num_classes=num_classes, **arguments)


def head_of(model: nn.Module) -> nn.Module:
    """The layer that makes the logits: what timm calls the classifier, or the last layer that has weights."""
    if hasattr(model, "get_classifier"):
        head = model.get_classifier()
        return head if isinstance(head, nn.Module) else nn.ModuleList(head)  # distilled networks have two
    return [module for module in model.modules() if any(True for _ in module.parameters(recurse=False))][-1]
