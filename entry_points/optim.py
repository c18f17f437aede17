"""What changes the weights: parameter groups, optimisers, learning-rate schedules."""

import math
from argparse import Namespace
from typing import Any

import torch
from torch import nn

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("cosine", "constant")
LOOK_EVERY = 50  # steps between two looks at a GPU's loss


class NotFinite(FloatingPointError):
    """The loss is NaN or infinite; the message says since when, and what to change."""


def parameter_groups(model: nn.Module, head_lr: float, body_lr: float) -> list[dict[str, Any]]:
    """Return an optimiser's groups: the head with one learning rate, the body with another.

    Only parameters that require a gradient are among them. Biases and the parameters of
    normalisation, which have one dimension, are not decayed: that would pull what they shift or
    scale to zero, and regularises nothing (He et al. 2019, Bag of Tricks for Image Classification,
    section 3.1).
    """
    head = {id(parameter) for parameter in model.get_submodule(model.head_name).parameters()}
    groups = []
    for of_head, lr in ((True, head_lr), (False, body_lr)):
        own = [p for p in model.parameters() if p.requires_grad and (id(p) in head) == of_head]
        groups.append({"params": [p for p in own if p.ndim > 1], "lr": lr})
        groups.append({"params": [p for p in own if p.ndim <= 1], "lr": lr, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def make_optimizer(groups: list[dict[str, Any]], options: Namespace) -> torch.optim.Optimizer:
    """Return SGD with momentum, Adam or AdamW."""
    # Fused: one kernel walks through all parameters, which for VGG16 saves a good part of a step.
    shared = {"lr": options.lr, "weight_decay": options.weight_decay, "fused": True}
    if options.optimizer == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=options.momentum, **shared)
        if options.momentum:
            # Fused SGD allocates its momentum in the first step, and leaves it uninitialised if
            # that step overflows in fp16. From zeros, the first step is the same.
            for parameter in [p for group in groups for p in group["params"]]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimizer
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.optimizer]
    return kind(groups, eps=options.eps, **shared)


def make_scheduler(
    optimizer: torch.optim.Optimizer, options: Namespace, steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Return a schedule for a run of `steps` steps.

    The rate rises linearly to that of its group in the first `--warmup` share of them. Then it
    stays or, with `--schedule cosine`, falls as half a cosine to zero, so that a run of any length
    ends with small steps (Loshchilov and Hutter 2017, without restarts).
    """
    warm_up = round(options.warmup * steps)

    def factor(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        if options.schedule == "constant":
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def clip_gradients(model: nn.Module, norm: float) -> None:
    """Scale the gradients down to this total norm, if it is not 0 and they are larger."""
    if norm:
        nn.utils.clip_grad_norm_(model.parameters(), norm)


def check_finite(loss: torch.Tensor | float, step: int, options: Namespace) -> None:
    """Raise NotFinite if the loss is NaN or infinite, unless `--nan-loss continue` allows it.

    Reading a loss makes a GPU wait, so it is read in every 50th step there.
    """
    if isinstance(loss, torch.Tensor):
        if loss.device.type == "cuda" and step % LOOK_EVERY:
            return
        loss = loss.item()
    if not math.isfinite(loss) and options.nan_loss == "stop":
        raise NotFinite(
            f"the loss is {loss} at step {step + 1} of the epoch: lower --lr (it is "
            f"{options.lr:g}) or raise --warmup; --nan-loss continue trains on"
        )
