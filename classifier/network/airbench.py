"""The airbench family of networks for small images (K. Jordan, arXiv 2404.00498)."""

from classifier.network.network import Network, Sample
from classifier.network.preprocessing import Preprocessing

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WHITENING_PIXELS = 1_000_000  # about as many 2×2 patches, for a 12×12 covariance


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


class AirbenchNetwork(Network):
    """Whitens by the training images before training, and stops training the whitening's bias after a while."""

    module: AirbenchNet

    def __init__(self, module: AirbenchNet, preprocessing: Preprocessing):
        super().__init__(module, module.head, preprocessing)

    def fit_to_data(self, sample: Sample) -> None:
        self.module.fit_to_data(sample(max(1, WHITENING_PIXELS // self.preprocessing.crop**2)))

    def set_progress(self, progress: float) -> None:
        """Stop training the whitening bias after 3/8 of training, which saves a gradient at full resolution."""
        self.set_trainable([self.module.whiten.bias], progress < 3 / 8 and not self.frozen)
