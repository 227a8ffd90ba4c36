"""Several processes that make each step together, every one with a share of the batch."""

import logging
from collections.abc import Iterable, Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from unseen.errors import RunError
from unseen.machine import device_of, use_cores
from unseen.overrides import Training


def refuse_machine(train: Training) -> None:
    """Raise `RunError` where a run is to be trained on GPUs, and there are not as many."""
    if device_of(train.device) != "cuda":
        return
    if not torch.cuda.is_available():
        raise RunError("train.device=cuda, but PyTorch sees no GPU; use train.device=cpu")
    if train.devices > torch.cuda.device_count():
        raise RunError(
            f"train.devices={train.devices}, but GPUs that PyTorch sees: "
            f"{torch.cuda.device_count()}; use as many at most, or train.device=cpu"
        )


def make_fabric(train: Training) -> Fabric:
    """The device and the processes, launched."""
    # What it tells on standard error of each process that it starts is no concern of a user.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(
        accelerator=device_of(train.device),
        devices=train.devices,
        strategy="ddp" if train.devices > 1 else "auto",
    )
    fabric.launch()
    if fabric.device.type == "cpu":
        use_cores(train.threads)
    return fabric


def mean_over(fabric: Fabric, value: Tensor) -> Tensor:
    """The mean of all processes' values, without gradient."""
    if fabric.world_size == 1:
        return value.detach()
    mean = fabric.all_reduce(value.detach().clone(), reduce_op="mean")
    assert isinstance(mean, Tensor)
    return mean


def average_statistics(fabric: Fabric, players: Iterable[nn.Module]) -> None:
    """Give BatchNorm layers the mean of what all processes' shares of a batch taught them.

    Otherwise models with the same weights would measure differently in evaluation mode, and what
    is decided by that, as by a file of one process, would be another one's.
    """
    if fabric.world_size == 1:
        return
    layers = [m for player in players for m in player.modules() if isinstance(m, _BatchNorm)]
    kept = [each for layer in layers for each in (layer.running_mean, layer.running_var)]
    _average(fabric, [statistic for statistic in kept if statistic is not None])


def average_gradients(fabric: Fabric, moving: Iterable[nn.Module]) -> None:
    """Give players that move the mean of all processes' gradients.

    They are not wrapped in DistributedDataParallel, whose hooks would also fire for players that a
    move leaves out.
    """
    if fabric.world_size == 1:
        return
    every = (parameter.grad for module in moving for parameter in module.parameters())
    _average(fabric, [gradient for gradient in every if gradient is not None])


def _average(fabric: Fabric, values: Sequence[Tensor]) -> None:
    """Replace each by the mean of all processes'."""
    if not values:
        return
    mean = mean_over(fabric, torch.cat([value.flatten() for value in values]))
    parts = torch.split(mean, [value.numel() for value in values])
    for value, part in zip(values, parts, strict=True):
        value.copy_(part.view_as(value))
