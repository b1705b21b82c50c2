"""Compilation and a GPU's modes: faster, with the same weights but for rounding."""

from collections.abc import Iterator

import torch
from torch import nn

from trainers.loop.task import Task


def compile_networks(task: Task) -> None:
    """Compile what is called of every network, frozen ones too, with torch.compile, at first call.

    In place: modules and state dicts keep their names. Shapes are taken as they are: every other
    number of items is compiled anew, up to torch's limit, and then not at all.
    """
    for module in called_modules(task):
        module.compile(dynamic=False)


def called_modules(task: Task) -> list[nn.Module]:
    """Return the modules that the task calls: its networks, or the parts they name.

    A network whose other methods are called (an autoencoder's encode and decode) returns the
    modules behind them by `called_modules`.
    """
    return [part for network in _networks(task) for part in _called(network)]


def _networks(parent: nn.Module) -> Iterator[nn.Module]:
    for child in parent.children():
        if isinstance(child, nn.ModuleDict | nn.ModuleList):
            yield from _networks(child)
        else:
            yield child


def _called(network: nn.Module) -> list[nn.Module]:
    named = getattr(network, "called_modules", None)
    return list(named()) if callable(named) else [network]


def set_gpu_modes(device: torch.device, exact_fp32: bool) -> None:
    """Let a GPU multiply float32 in TF32 and choose its convolutions by trial; a CPU does neither.

    TF32 keeps float32's range and 10 bits of the fraction (rounding of 5e-4, as fp16); sums are
    float32. The profiles for GPUs train in fp16, so nothing they need is lost; in fp32 matrix
    products are several times as fast.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = not exact_fp32
        torch.backends.cudnn.allow_tf32 = not exact_fp32
        torch.backends.cudnn.benchmark = True
