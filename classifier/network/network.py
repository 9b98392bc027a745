"""What a training loop, a checkpoint and an exporter may ask of any network."""

import copy
from collections.abc import Callable, Iterable
from typing import Literal

from classifier.network.preprocessing import Preprocessing

import torch
from torch import Tensor, nn

Sample = Callable[[int], Tensor]
Wrapper = Callable[[nn.Module], nn.Module]


class Network:
    """A classification network, of whatever family: its layers, its head and its preprocessing.

    `module` holds the layers: its parameters are trained, and its `state_dict` is what is saved. Calls may go through
    a wrapper around it (`wrap`), such as DistributedDataParallel, and through what a compiler makes of both
    (`compile`). These hide the attributes of a module and prefix its names, so nothing but calls and the mode ever
    goes through them.

    Args:
        module: from standardised images, float [N, 3, crop, crop], to logits, float [N, num_classes].
        head: the layer of `module` that makes the logits.
        preprocessing: how images become its input.

    `temperature` divides the logits before they become probabilities; one, unless it was calibrated.
    """

    def __init__(self, module: nn.Module, head: nn.Module, preprocessing: Preprocessing):
        self.module, self.head, self.preprocessing = module, head, preprocessing
        self.normalize = Normalize(preprocessing)
        self.temperature = 1.0
        self.frozen = False
        self._body = [p for p in self.body if p.requires_grad]
        self._still: list[nn.Module] = []
        self._compiler: Wrapper = _as_it_is
        self.wrap(_as_it_is)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits [N, num_classes] of standardised images."""
        return self._called(x)

    @property
    def entrance(self) -> nn.Module:
        """The module that calls go to."""
        return self.module

    def wrap(self, wrapper: Wrapper) -> None:
        """Call the module through what `wrapper` makes of it."""
        self._wrapper, self._called = wrapper, self._compiler(wrapper(self.entrance))

    def compile(self, compiler: Wrapper) -> None:
        """Call the module, whatever it is wrapped in now or later, through what `compiler` makes of it."""
        self._compiler = compiler
        self.wrap(self._wrapper)

    def copy(self) -> "Network":
        """A network with the same weights as its own, compiled as this one, and no wrapper."""
        bare = copy.copy(self)
        bare._called = bare.entrance
        double = copy.deepcopy(bare)
        double.wrap(_as_it_is)
        return double

    def set_trainable(self, parameters: Iterable[Tensor | None], trainable: bool) -> None:
        """Let `parameters` learn, or keep them as they are. None, as of a layer without biases, is passed over."""
        changed = [p for p in parameters if p is not None and p.requires_grad != trainable]
        for p in changed:
            p.requires_grad = trainable
        if changed:  # DistributedDataParallel waits for gradients of what could learn when it was made
            self.wrap(self._wrapper)

    def to(self, device: torch.device, memory_format: torch.memory_format = torch.preserve_format) -> "Network":
        """Move it to a device; the memory format of filters decides how fast convolutions are, and the last bits."""
        self.module.to(device, memory_format=memory_format)  # type: ignore[call-overload]  # torch's stub forgot it
        self.normalize.to(device)
        return self

    def train(self, mode: bool = True) -> "Network":
        """As nn.Module.train(): whether dropout drops and batch norm looks at the batch, but for what is frozen."""
        self._called.train(mode)
        for layer in self._still:
            layer.eval()
        return self

    def eval(self) -> "Network":
        return self.train(False)

    @property
    def body(self) -> list[nn.Parameter]:
        """The parameters of all layers but the head."""
        of_head = set(self.head.parameters())
        return [p for p in self.module.parameters() if p not in of_head]

    def freeze(self, what: Literal["none", "norms", "backbone"]) -> None:
        """Keep a part as it is: the statistics of batch norm, or all layers but the head, and no others.

        What is kept works as in evaluation also while training, without dropout.
        """
        if self.frozen != (what == "backbone"):
            self.frozen = not self.frozen
            self.set_trainable(self._body, not self.frozen)
        norms: list[nn.Module] = [
            layer for layer in self.module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)
        ]
        self._still = {"none": [], "norms": norms, "backbone": [self.module]}[what]

    def see(self, images: Tensor) -> Tensor:
        """Stored images, uint8 [N, 3, size, size], as evaluation shows them: the centre, standardised."""
        return self.normalize(self.preprocessing.centre(images))

    def probabilities(self, logits: Tensor) -> Tensor:
        """What logits [N, num_classes] say: probabilities of the same shape and type."""
        return (logits / self.temperature).softmax(1)

    def fit_to_data(self, sample: Sample) -> None:
        """Prepare for training by looking at training images; most networks need none.

        Args:
            sample: from a number n to as many random training images, standardised, float [n, 3, H, W]; to all,
                if there are fewer.
        """

    def set_progress(self, progress: float) -> None:
        """Hear of the share of training that is over, in [0, 1), before each step; most networks change nothing."""


def _as_it_is(module: nn.Module) -> nn.Module:
    return module


class Normalize(nn.Module):
    """uint8 or float-in-[0, 1] images to what a network takes: standardised per channel, channels last."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Preprocessing):
        super().__init__()
        for name in ("mean", "std"):
            values = torch.tensor(getattr(preprocessing, name), dtype=torch.float32).view(1, 3, 1, 1)
            self.register_buffer(name, values)

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.float() / 255 if images.dtype == torch.uint8 else images
        return ((scaled - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
