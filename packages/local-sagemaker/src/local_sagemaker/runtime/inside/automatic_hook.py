"""What AWS's PyTorch images do for Debugger by themselves, without a change to the script.

The PyTorch in images up to 2.0 is AWS's own. It creates the hook that a job's configuration asks
for, registers the first network that is called, and records losses: the outputs of loss modules,
and those of losses from ``torch.nn.functional`` (``F.nll_loss`` gives ``nll_loss_output_0``). A
script that registers something itself is not disturbed. Here the first network is the first module
with parameters, for torchvision's transforms are modules, too.

Newer images have no smdebug. A script that brings it along gets its loss modules registered, once
it has registered a network.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from pathlib import Path

CONFIGURATION = "/opt/ml/input/config/debughookconfig.json"  # where smdebug looks by default
# Losses in torch.nn.functional, each recorded under its own name.
FUNCTIONS = (
    "cosine_embedding_loss",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "l1_loss",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
)
# Those whose own names the collection of losses would not take. cross_entropy was made of nll_loss;
# what AWS's PyTorch calls the others is not known.
RENAMED = {
    "cross_entropy": "nll_loss",
    "binary_cross_entropy": "binary_cross_entropy_loss",
    "binary_cross_entropy_with_logits": "binary_cross_entropy_with_logits_loss",
    "kl_div": "kl_div_loss",
}


class _state:
    losses_at_work = 0  # loss modules that are being called: what they call is not recorded
    has_tried = False  # to create a hook


def register_losses(hooks) -> None:
    """Let smdebug's `Hook` know the loss modules that are called after a network is registered."""
    register_module = hooks.Hook.register_module

    def register_and_watch(hook, module):
        if module in hook.module_set and hook.__dict__.get("registered_itself"):
            return None  # the script registers what has been called before
        _watch_loss_modules(hook)
        return register_module(hook, module)

    hooks.Hook.register_module = register_and_watch


def _watch_loss_modules(hook) -> None:
    from torch.nn.modules.loss import _Loss
    from torch.nn.modules.module import Module

    found = hook.__dict__.setdefault("losses_found", set())

    def call(loss, *values, **members):
        if not _by_script(hook) and loss not in hook.module_set:
            hook.register_loss(loss)
            found.add(loss)
        _state.losses_at_work += 1
        try:
            return Module.__call__(loss, *values, **members)
        finally:
            _state.losses_at_work -= 1

    _Loss.__call__ = call


def _by_script(hook) -> bool:
    """Whether the script has registered a loss: then it alone is saved."""
    return hook.has_registered_loss_module and not hook.__dict__.get("losses_found")


def register_networks(nn) -> None:
    """Register the first network that is called, and record losses from functions."""
    _watch_networks(nn.Module)
    for function in [*FUNCTIONS, *RENAMED]:
        given, name = getattr(nn.functional, function), RENAMED.get(function, function)
        setattr(nn.functional, function, _recording(given, name))


def _watch_networks(module) -> None:
    given = module.__call__

    def call(network, *values, **members):
        is_wanted = _existing() or (_is_asked_for() and not _state.has_tried)
        if is_wanted and next(network.parameters(), None) is not None and (hook := _hook()):
            if module.__call__ is call:
                module.__call__ = given
            if not hook.has_registered_module:
                hook.registered_itself = True
                hook.register_module(network)
        return given(network, *values, **members)

    module.__call__ = call


def _hook():
    """The hook of this process; without one, a new one if the job's configuration asks for it."""
    if (found := _existing()) or _state.has_tried or not _is_asked_for():
        return found
    _state.has_tried = True
    try:
        from smdebug.pytorch import get_hook

        return get_hook(create_if_not_exists=True)
    except Exception as error:  # the script did not ask for a hook, so it goes on without
        why = f"{type(error).__name__}: {error}"
        print(f"local_sagemaker: no tensors are saved: smdebug says {why}", flush=True)
        return None


def _existing():
    module = sys.modules.get("smdebug.core.singleton_utils")
    return module and module._ts_hook


@functools.cache
def _is_asked_for() -> bool:
    """Whether the job has a ``DebugHookConfig``: all jobs have the file that smdebug reads."""
    file = Path(os.environ.get("SMDEBUG_CONFIG_FILE_PATH", CONFIGURATION))
    if "TRAINING_JOB_NAME" not in os.environ or not file.exists():
        return False
    return bool(json.loads(file.read_text()).get("S3OutputPath"))


def _recording(function, name: str):
    @functools.wraps(function)
    def recorded(*values, **members):
        loss = function(*values, **members)
        hook = _existing()
        if (
            hook
            and hook.prepared_collections
            and not _state.losses_at_work
            and not _by_script(hook)
        ):
            hook.record_tensor_value(name, loss)
        return loss

    return recorded
