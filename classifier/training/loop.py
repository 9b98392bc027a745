"""One epoch of training, wherever the images are."""

from dataclasses import dataclass

from classifier.config import TrainParams
from classifier.data.augment import Augment
from classifier.data.augment.draws import PartGenerator
from classifier.data.augment.mixing import cutmix, mixup
from classifier.data.loader import Source, count_steps
from classifier.errors import InputError
from classifier.network.network import Network
from classifier.reproducibility import step_seed
from classifier.training.average import Average
from classifier.training.criterion import Criterion
from classifier.training.distributed import ALONE, Processes
from classifier.training.optim import build_optimizers, lr_factor
from classifier.training.order import epoch_order
from classifier.training.progress import Progress
from classifier.training.resume import NO_PARTS, Parts

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Trainer:
    """What one training step needs. All its randomness comes from (seed, epoch, step).

    Batches are those of all `processes` together, of which this one has its part.
    """

    network: Network
    params: TrainParams
    augment: Augment
    criterion: Criterion
    low_res_size: int
    device: torch.device
    dtype: torch.dtype
    processes: Processes = ALONE

    def __post_init__(self) -> None:
        self.network.freeze(self.params.freeze)
        self.processes.prepare(self.network, self.params.model)
        self.optimizers = build_optimizers(self.network, self.params)
        self.lr_factor = lr_factor(self.params.schedule, self.params.warmup)
        self.peak_lrs = [[group["lr"] for group in o.param_groups] for o in self.optimizers]
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype == torch.float16)
        self.generator = PartGenerator(self.device)
        self.average = Average(self.network, self.params.ema) if self.params.ema else None

    def train_one_epoch(
        self, data: Source, epoch: int, progress: Progress, parts: Parts = NO_PARTS
    ) -> tuple[float, float, float]:
        """Show the network every training image once, or as often as it weighs, in batches of nearly equal size.

        `parts` say what of the epoch is done already, and save what is done between two steps when that is due.

        Returns:
            the learning rate of the first step, mean loss and accuracy.

        Raises:
            InputError: at the first loss that is not finite, with epoch, step and learning rate.
        """
        self.network.freeze("backbone" if epoch < self.params.freeze_epochs else self.params.freeze)
        self.network.train()
        steps, first = self.steps(data), parts.begun.steps
        generator = torch.Generator().manual_seed(step_seed(self.params.seed, epoch, 0))
        weights = self.criterion.sampling_weights
        image_weights = None if weights is None else weights[data.labels].cpu()
        order = epoch_order(image_weights, len(data.labels), generator).to(self.device)
        mirrored = self.choose_mirrored(len(data.labels), epoch)
        done = parts.begun.padded(steps, self.device)
        batches = order.tensor_split(steps)[first:]
        own = [batch[self.processes.part(len(batch))] for batch in batches]
        for step, (batch, mine, images) in enumerate(zip(batches, own, data.batches(own), strict=True), first):
            self.reseed(epoch, step + 1)
            self.generator.divide(len(batch), self.processes.part(len(batch)))
            share = self.share(epoch, step, steps)
            self.set_lr(share)
            self.network.set_progress(share)
            size = self.low_res_size if share < self.params.low_res_share else None
            mirror = None if mirrored is None else mirrored[mine]
            own_labels = data.labels[mine]
            done.losses[step], done.accuracies[step] = self.train_step(images, own_labels, size, mirror, len(batch))
            progress.update(len(batch))
            if step + 1 < steps and parts.due():
                self.require_finite(done.losses[: step + 1], epoch, steps)
                parts.save(done.first(step + 1))
        # Read once per epoch: reading a loss at each step would make a GPU wait at each step.
        self.require_finite(done.losses, epoch, steps)
        return self.set_lr(self.share(epoch, 0, steps)), done.losses.mean().item(), done.accuracies.mean().item()

    def share(self, epoch: int, step: int, steps: int) -> float:
        """The share of training that is over before a step, in [0, 1)."""
        return (epoch * steps + step) / (self.params.epochs * steps)

    def require_finite(self, losses: Tensor, epoch: int, steps: int) -> None:
        """Raise an InputError that names epoch, step and learning rate of the first loss that is not finite."""
        if not losses.isfinite().all():
            step = int(losses.isfinite().logical_not().nonzero()[0])
            lr = self.set_lr(self.share(epoch, step, steps))
            where = f"at epoch {epoch + 1}, step {step + 1}, learning rate {lr:.3g}"
            raise diverged("loss", losses[step].item(), where)

    @property
    def judged(self) -> Network:
        """The network that is validated and kept: that of the average, if there is one."""
        return self.average.network if self.average else self.network

    def modules(self) -> dict[str, nn.Module]:
        """All that an interrupted training must find again beside the optimizers."""
        averaged = {"average": self.average.network.module} if self.average else {}
        return {"model": self.network.module} | averaged

    def work(self, data: Source, val_count: int, done: int) -> float:
        """What the epochs after the first `done` cost, in units of the first step's cost, about.

        A step on shrunk images costs as much less as they have fewer pixels; one whose layers are frozen, or an
        answer, a third of a step.
        """
        steps, epochs = self.steps(data), self.params.epochs

        def cost(epoch: int, step: int) -> float:
            shrunk = self.share(epoch, step, steps) < self.params.low_res_share
            frozen = self.params.freeze == "backbone" or epoch < self.params.freeze_epochs
            return (self.params.low_res_scale**2 if shrunk else 1) * (1 / 3 if frozen else 1)

        validation = (epochs - done) * val_count / len(data.labels) * steps / 3
        training = sum(cost(epoch, step) for epoch in range(done, epochs) for step in range(steps))
        return (training + validation) / cost(done, 0) if done < epochs else 0.0

    def steps(self, data: Source) -> int:
        """The number of updates in an epoch, each of two images at least, which batch norm needs."""
        return count_steps(data, self.params.batch_size)

    def train_step(
        self, images: Tensor, labels: Tensor, size: int | None = None, mirror: Tensor | None = None, count: int = 0
    ) -> tuple[Tensor, Tensor]:
        """One update, on images resized to `size` if given, of which those are mirrored that `mirror`, bool [N], names.

        The images are this process's part of a batch of `count`, or all of it. Returns the mean loss and the accuracy
        of the batch, on the device; mixed images count by their own labels.
        """
        count = count or len(images)
        x, targets = self.mix(self.see(images, size, mirror), labels, count)
        self.processes.draw_apart()
        logits, losses = [], []
        parts = max(1, min(self.params.accumulate, len(x) // 2))
        for part, target in zip(x.tensor_split(parts), targets.tensor_split(parts), strict=True):
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                logits.append(self.network(part))
            losses.append(self.criterion(logits[-1], target) * (len(part) / count))
            self.scaler.scale(losses[-1] * self.processes.size).backward()  # of gradients, the mean is taken
        if self.params.clip_norm:
            for optimizer in self.optimizers:
                self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(self.network.module.parameters(), self.params.clip_norm)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
            optimizer.zero_grad(set_to_none=True)
        self.scaler.update()
        if self.average:
            self.average.update(self.network)
        loss, answers = torch.stack(losses).sum().detach(), torch.cat(logits).detach().argmax(1)
        loss, accuracy = self.processes.sum(torch.stack([loss, (answers == labels).float().sum() / count]))
        return loss, accuracy

    def see(self, images: Tensor, size: int | None, mirror: Tensor | None) -> Tensor:
        """What the network sees of stored images: augmented, and standardised."""
        if mirror is not None:
            images = torch.where(mirror.view(-1, 1, 1, 1), images.flip(-1), images)
        x = self.augment(images.float() / 255, self.generator)
        if size:
            x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
        return self.network.normalize(x)

    def mix(self, x: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The batch after MixUp or CutMix, with soft labels, or as it is; with both, half of the batches get each.

        Partners come from the whole batch of `count` images.
        """
        wanted = [(mixup, self.params.mixup), (cutmix, self.params.cutmix)]
        if not (chosen := [(how, alpha) for how, alpha in wanted if alpha]):
            return x, labels
        how, alpha = chosen[int(torch.randint(len(chosen), ()))]  # from the global generator, which is reseeded too
        x, labels = self.processes.gather(x, count), self.processes.gather(labels, count)
        soft = F.one_hot(labels, len(self.criterion.loss_weights)).to(x.dtype)
        part = self.processes.part(count)
        mixed, targets = how(x, soft, alpha, self.generator)
        return mixed[part], targets[part]

    def choose_mirrored(self, count: int, epoch: int) -> Tensor | None:
        """Which of `count` images to mirror in `epoch`, bool [count]: some half of them, then the others, in turn.

        So two epochs show an image both ways, which flips at random often do not (arXiv 2404.00498). None if
        `flip` is none.
        """
        if self.params.flip == "none":
            return None
        before_training = torch.Generator().manual_seed(step_seed(self.params.seed, -1, 0))
        return ((torch.randint(2, (count,), generator=before_training) + epoch) % 2).bool().to(self.device)

    def reseed(self, epoch: int, step: int) -> None:
        seed = step_seed(self.params.seed, epoch, step)
        torch.manual_seed(seed)  # dropout draws from the global generator
        self.generator.manual_seed(seed)

    def set_lr(self, progress: float) -> float:
        """Set every group's learning rate for `progress` in [0, 1); returns the first group's."""
        for optimizer, peaks in zip(self.optimizers, self.peak_lrs, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * self.lr_factor(progress)
        return self.optimizers[0].param_groups[0]["lr"]


def diverged(what: str, value: float, where: str) -> InputError:
    advice = "training diverged, and no checkpoint was written. Try a lower train.lr."
    return InputError(f"the {what} is {value} {where}: {advice}")
