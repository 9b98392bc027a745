"""Optimizers and learning-rate schedules by name."""

import math
import re
from collections.abc import Callable

from classifier.config import TrainParams
from classifier.network.network import Network
from classifier.reproducibility import has_bf16

import torch
from torch import Tensor, nn


class Muon(torch.optim.Optimizer):
    """Momentum whose update is orthogonalised, for convolution filters and matrices.

    From airbench (arXiv 2404.00498) and https://kellerjordan.github.io/posts/muon: each filter bank
    is a matrix [out, in·kh·kw], kept at norm sqrt(out), and moves by `lr` times the nearest
    semi-orthogonal matrix to its Nesterov momentum. torch.optim.Muon takes two-dimensional
    parameters alone and does not keep the norm.
    """

    def __init__(self, params: list[nn.Parameter], lr: float, momentum: float):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # there is no loss to ask for again
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                if not self.state[p]:
                    self.state[p]["momentum"] = torch.zeros_like(p)
                buffer = self.state[p]["momentum"]
                buffer.mul_(group["momentum"]).add_(p.grad)
                update = p.grad.add(buffer, alpha=group["momentum"])
                p.mul_(len(p) ** 0.5 / p.norm())
                p.sub_(group["lr"] * orthogonalize(update.flatten(1)).view_as(p))


def orthogonalize(matrix: Tensor, steps: int = 3) -> Tensor:
    """About the nearest semi-orthogonal matrix to [m, n], by quintic Newton-Schulz steps: in bf16 if that is fast."""
    x = matrix.bfloat16() if has_bf16(matrix.device) else matrix.float()
    x = x / (x.norm() + 1e-7)
    if len(matrix) > matrix.shape[1]:
        x = x.T
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if len(matrix) > matrix.shape[1] else x).to(matrix.dtype)


def build_optimizers(network: Network, params: TrainParams) -> list[torch.optim.Optimizer]:
    """The optimizers that together move every trainable parameter once.

    Weight decay acts on matrices and filters, not on biases, norms and tables. Muon moves the filters and
    matrices but the head; AdamW moves the head and the rest at `aux_lr`, as Muon's author advises. The other
    optimizers move each parameter at the learning rate times what `lr_scales` says. On a GPU, torch's own update all
    parameters in one kernel.
    """
    filters = find_matrices(network.module)
    fused = next(network.head.parameters()).is_cuda or None  # None: as torch does by itself
    trainable = [p for p in network.module.parameters() if p.requires_grad]
    matrices = [p for p in trainable if p in filters]
    vectors = [p for p in trainable if p not in filters]
    if params.optimizer == "muon":
        head = [p for p in matrices if p is network.head.weight]
        body = [p for p in matrices if p is not network.head.weight]
        rest = _decay_groups(head, vectors, params.weight_decay)
        return [
            Muon(body, lr=params.lr, momentum=params.momentum),
            torch.optim.AdamW(rest, lr=params.aux_lr, betas=(0.9, 0.95), fused=fused),
        ]
    groups = _decay_groups(matrices, vectors, params.weight_decay)
    if params.backbone_lr_scale != 1 or params.layer_decay != 1:
        groups = _slow_down(groups, lr_scales(network, params.backbone_lr_scale, params.layer_decay), params.lr)
    if params.optimizer == "adamw":
        return [torch.optim.AdamW(groups, lr=params.lr, fused=fused)]
    nesterov = params.momentum > 0
    return [torch.optim.SGD(groups, lr=params.lr, momentum=params.momentum, nesterov=nesterov, fused=fused)]


def find_matrices(module: nn.Module) -> set[Tensor]:
    """The filters of convolutions and the weights of linear layers.

    Not every parameter of two or four dimensions: a table of biases, as Swin's, is none, and orthogonalising it
    would be as wrong as decaying a bias.
    """
    found: set[Tensor] = set()
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            found.add(layer.weight)
        elif isinstance(layer, nn.MultiheadAttention) and layer.in_proj_weight is not None:
            found.add(layer.in_proj_weight)  # those of queries, keys and values, one above the other
    return found


def lr_scales(network: Network, backbone: float, layer_decay: float) -> dict[Tensor, float]:
    """What the learning rate of each parameter is multiplied by: one for the head, for the others `backbone` times
    `layer_decay` once for each block from it to the head, as in BEiT (arXiv 2106.08254).

    Blocks are what the networks of torchvision and timm number, such as layer1.0, features.3 or stages.2.blocks.1;
    before and after these each layer with a matrix is one.
    """
    matrices, of_head = find_matrices(network.module), set(network.head.parameters())
    body = [(_block(name), p) for name, p in network.module.named_parameters() if p not in of_head]
    depths: dict[str, int] = {}  # of the blocks that have a matrix, in the order in which they are defined
    for block, p in body:
        if p in matrices:
            depths.setdefault(block, len(depths))
    scales: dict[Tensor, float] = dict.fromkeys(of_head, 1.0)
    depth = 0
    for block, p in body:
        depth = depths.get(block, depth)  # a norm between blocks belongs to the one before it
        scales[p] = backbone * layer_decay ** (len(depths) - depth)
    return scales


def _block(name: str) -> str:
    """The block of a parameter: what its name has up to the first part with a number, else its layer."""
    numbered = re.match(r"(?:[^.\d]+\.)*[^.]*\d[^.]*(?:\.(?:blocks\.)?\d+)*(?=\.)", name)
    return numbered[0] if numbered else name.rpartition(".")[0]


def _slow_down(groups: list[dict], scales: dict[Tensor, float], lr: float) -> list[dict]:
    """`groups`, divided by learning rate, the fastest first."""
    return [
        group | {"params": params, "lr": lr * scale}
        for scale in sorted({scales[p] for group in groups for p in group["params"]}, reverse=True)
        for group in groups
        if (params := [p for p in group["params"] if scales[p] == scale])
    ]


def _decay_groups(matrices: list[nn.Parameter], vectors: list[nn.Parameter], weight_decay: float) -> list[dict]:
    return [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]


def lr_factor(schedule: str, warmup: float) -> Callable[[float], float]:
    """The factor on the learning rate at each progress in [0, 1]: a linear warm-up, then the schedule."""
    shapes = {
        "linear": lambda t: 1 - t,
        "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
        "constant": lambda t: 1.0,
    }

    def factor(progress: float) -> float:
        if progress < warmup:
            return progress / warmup
        return shapes[schedule]((progress - warmup) / (1 - warmup))

    return factor
