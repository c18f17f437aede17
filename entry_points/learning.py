"""How a network learns: the device and its precision, one pass over data, the optimiser."""

import ctypes
import math
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from photos import normalise
from records.steps import Steps

WARM_UP = 0.1  # share of all steps


def cpu_count() -> int:
    """Return the number of processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


@dataclass(frozen=True)
class Machine:
    """A device, and whether forward passes run in bf16 there."""

    device: torch.device
    bf16: bool

    def precision(self) -> Any:
        """Return the context of a forward pass."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    @property
    def name(self) -> str:
        """What the device is called: cpu, or a GPU's model."""
        return torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"

    def __str__(self) -> str:
        precision = "bf16" if self.bf16 else "fp32"
        return f"device={self.name!r} precision={precision} threads={torch.get_num_threads()}"


def choose_machine(precision: str) -> Machine:
    """Take the GPU if there is one, and bf16 if asked for, or (`auto`) where it is native."""
    # Who runs several jobs on a machine shares its processors out by OMP_NUM_THREADS.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(cpu_count())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        _keep_freed_memory()
    return Machine(device, precision == "bf16" or (precision == "auto" and _bf16_is_native(device)))


def _keep_freed_memory() -> None:
    """Have the C library reuse freed memory instead of handing it back to the kernel.

    VGG16's gradients alone are 537 MB, which the kernel would otherwise map and clear anew at
    every step: that is a third to a half of a step on the CPU.
    """
    if sys.platform != "linux":
        return
    m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # musl has none
        library.mallopt(m_mmap_max, 0)
        library.mallopt(m_trim_threshold, 2**31 - 1)


def _bf16_is_native(device: torch.device) -> bool:
    # PyTorch's own checks also say yes to emulation, which is slower than fp32.
    if device.type == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
    return bool(flags & {"avx512_bf16", "amx_bf16"})


@dataclass(frozen=True)
class Result:
    """What a pass gave: mean cross-entropy in nats, share of right answers, seconds taken."""

    loss: float
    accuracy: float
    images: int
    seconds: float


def run_pass(
    model: nn.Module,
    loader: Iterable[tuple[torch.Tensor, torch.Tensor]],
    criterion: nn.Module,
    machine: Machine,
    steps: Steps | None = None,
    learn: Callable[[torch.Tensor], None] | None = None,
) -> Result:
    """Go once over uint8 (N, H, W, 3) photos and (N,) labels; `learn` gets each batch's loss.

    `steps` records how long the parts of each step take.
    """
    steps = steps or Steps()
    start, images = time.perf_counter(), 0
    # Sums stay on the device: reading them would make a GPU wait at every step.
    loss_sum = torch.zeros((), device=machine.device)
    correct = torch.zeros((), dtype=torch.int64, device=machine.device)
    with torch.set_grad_enabled(learn is not None):
        for photos, labels in steps.over(loader, machine.device):
            photos = photos.to(machine.device, non_blocking=True)
            labels = labels.to(machine.device, non_blocking=True)
            steps.mark("HostToDevice")
            with machine.precision():
                logits = model(normalise(photos, machine.device))
                loss = criterion(logits, labels)
            steps.mark("Forward")
            if learn is not None:
                learn(loss)
            loss_sum += loss.detach() * len(labels)
            correct += (logits.detach().argmax(1) == labels).sum()
            images += len(labels)
    loss_mean, accuracy = loss_sum.item() / images, correct.item() / images
    return Result(loss_mean, accuracy, images, time.perf_counter() - start)


def make_learner(
    arguments: Any, model: nn.Module, steps: int, mark: Callable[[str], None] = lambda part: None
) -> Callable[[torch.Tensor], None]:
    """Return what takes one optimiser step for a loss, on a schedule made for `steps` of them.

    It calls `mark` with the name of each part of its work when that is done (`Steps.mark`).

    The rate rises linearly to `--lr` in the first tenth, then falls as half a cosine to zero, so
    that a run of any length ends with small steps. Only parameters that need gradients learn.
    """
    optimizer = _make_optimizer(arguments, [p for p in model.parameters() if p.requires_grad])
    warm_up = max(1, round(WARM_UP * steps))

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)

    def learn(loss: torch.Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        mark("Backward")
        optimizer.step()
        schedule.step()
        mark("Optimizer")

    return learn


def _make_optimizer(arguments: Any, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    # Fused: one kernel walks through all parameters, which for VGG16 saves a good part of a step.
    options = {"lr": arguments.lr, "weight_decay": arguments.weight_decay, "fused": True}
    if arguments.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=arguments.momentum, **options)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[arguments.optimizer]
    return kind(parameters, eps=arguments.eps, **options)
