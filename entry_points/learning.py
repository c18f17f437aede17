"""One pass over a data set, and the optimiser with its schedule."""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from machine import Machine
from preprocessing import normalise
from steps import Steps

WARM_UP = 0.1  # share of all steps


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
