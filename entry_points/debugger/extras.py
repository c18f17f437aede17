"""Everything that watches a run, behind the methods that `train.py` calls."""

import argparse
import contextlib
from collections.abc import Iterable
from typing import Any

from checkpoint import checkpoints
from debugger import hookconfig
from debugger.hook import Debugger
from debugger.profiling import describe, profiled
from debugger.sampler import DEFAULT_INTERVAL_MS, INTERVALS_MS
from debugger.scalars import Scalars
from extras import Extras
from options import ConfigError, number_type, unquoted


class JobExtras(Extras):
    """Debugger's hook, the profiler and TensorBoard's scalars, each if the job asks for it."""

    def __init__(self, options: argparse.Namespace):
        self.options = options

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Add the arguments that say what is saved and recorded."""
        _add_debugger(parser.add_argument_group("Debugger, where AWS has closed it to the account"))
        _add_profiler(parser.add_argument_group("profiler (step times are always recorded)"))

    def __enter__(self) -> "JobExtras":
        with contextlib.ExitStack() as stack:
            self.steps = stack.enter_context(profiled(self.options))
            self.hook = Debugger(
                self.options.debug_config,
                self.options.output_data_dir,
                resumes=bool(checkpoints(self.options.checkpoint_dir)),
            )
            self.scalars = Scalars()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    @property
    def saves_tensors(self) -> bool:
        """Whether the hook saves tensors, for which the whole network must run in every step."""
        return self.hook.hook is not None

    def describe(self, world: Any, loaders: dict[str, Any]) -> None:
        describe(self.steps, self.options, world, loaders)

    def register(self, model: Any, criterion: Any, scaler: Any) -> None:
        self.hook.register(model, criterion, scaler)

    def state_dict(self) -> dict[str, Any]:
        return self.hook.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.hook.load_state_dict(state)

    def begin(self, phase: str, epoch: int) -> None:
        self.hook.begin(phase)
        self.steps.begin(phase, epoch)

    def timed(self, loader: Iterable[Any], device: Any) -> Iterable[Any]:
        return self.steps.over(loader, device)

    def mark(self, part: str) -> None:
        self.steps.mark(part)

    def gradients_ready(self, model: Any) -> None:
        self.hook.save_gradients(model)

    def span(self, name: str) -> contextlib.AbstractContextManager:
        return self.steps.span(name)

    def write_scalars(self, metrics: dict[str, float], epoch: int, part: str = "epoch") -> None:
        self.scalars.write(metrics, epoch, part)

    def close_tensors(self) -> None:
        self.hook.close()


def _debug_config(text: str) -> dict[str, Any]:
    try:
        return hookconfig.parse(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _system_metrics(text: str) -> int | None:
    """Return the milliseconds between two samples, or None for `false`."""
    value, (shortest, longest) = unquoted(text).lower(), INTERVALS_MS
    if value in ("true", "false"):
        return DEFAULT_INTERVAL_MS if value == "true" else None
    if not value.isdecimal() or not shortest <= int(value) <= longest:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither true nor false nor {shortest} to {longest} milliseconds"
        )
    return int(value)


def _add_debugger(group) -> None:
    group.add_argument(
        "--debug-config",
        type=_debug_config,
        metavar="JSON|FILE",
        help="the tensors to save: JSON with CollectionConfigurations and HookParameters as in "
        "SageMaker's DebugHookConfig, or a file of it beside this script; they go to debug-output "
        "below LocalPath, or else the job's checkpoints (CheckpointConfig), or --output-data-dir",
    )


def _add_profiler(group) -> None:
    group.add_argument(
        "--system-metrics",
        type=_system_metrics,
        nargs="?",
        const=DEFAULT_INTERVAL_MS,
        metavar="true|false|MS",
        help="sample the machine's processors, memory, disks, network and GPUs as SageMaker "
        f"Debugger would, where AWS has closed it; every {DEFAULT_INTERVAL_MS} ms, or so many. "
        "Needs requirements-debugger.txt (psutil; nvidia-ml-py for GPUs). What is recorded goes to "
        "profiler-output in the job's checkpoints (CheckpointConfig), or else in --output-data-dir",
    )
    group.add_argument(
        "--profile-steps",
        type=number_type(int, 0),
        default=0,
        metavar="N",
        help="trace the operators of so many training steps, from the fourth on",
    )
