"""The recording of a run: step times always, system metrics and a trace where they are asked for.

SageMaker's own profiler samples the machine beside a job whose ProfilerConfig asks for it. Where
AWS has closed it to an account, `--monitor` has the job do that by itself.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sampler
from records import profilerconfig
from records.hookconfig import is_first_process
from records.steps import Steps
from records.tracing import Trace


@contextlib.contextmanager
def profiled(arguments: Any) -> Iterator[Steps]:
    """Record while the context lasts, as the arguments say; what it gives records the steps.

    Raises ConfigError if a configuration of SageMaker's is damaged.
    """
    folder = profilerconfig.folder(arguments.monitor is not None, arguments.output_data_dir)
    if folder is None:
        if arguments.monitor is not None or arguments.profile_steps:
            print("profiler=off: there is no folder for it: give --output-data-dir", flush=True)
        yield Steps()
        return
    node, rank = os.environ.get("SM_CURRENT_HOST") or "algo-1", int(os.environ.get("RANK") or 0)
    trace = None
    if arguments.profile_steps and is_first_process():
        stem = folder / "framework" / "trace" / f"{node}-{rank}"
        trace = Trace(stem, arguments.profile_steps, arguments.epochs)
    steps = Steps(folder, node, rank, trace)
    with _sampler(folder, arguments.monitor, node), contextlib.closing(steps):
        yield steps


def _sampler(folder: Path, interval_ms: int | None, node: str) -> Any:
    """What samples the machine, once on each."""
    if interval_ms is None or int(os.environ.get("LOCAL_RANK") or 0) != 0:
        return contextlib.nullcontext()
    if profilerconfig.from_sagemaker() is not None:
        print("monitor=off: SageMaker samples this job already (its ProfilerConfig)", flush=True)
        return contextlib.nullcontext()
    # torchrun's processes are one job: its own tree has them all.
    several = int(os.environ.get("LOCAL_WORLD_SIZE") or 1) > 1
    pid = os.getppid() if several else os.getpid()
    sampler.files(folder, node).clear()
    return sampler.running(folder, interval_ms, node, pid)


def describe(steps: Steps, arguments: Any, machine: Any, loaders: dict[str, Any]) -> None:
    """Record what trains, and on what, and what loads the photos."""
    import torch

    from learning import cpu_count

    steps.about(
        "run",
        Model=arguments.model,
        Device=machine.name,
        Precision=machine.precision,
        Threads=torch.get_num_threads(),
        BatchSize=arguments.batch_size,
        ImageSize=arguments.image_size,
        Epochs=arguments.epochs,
        Optimizer=arguments.optimizer,
        TrainLayers=arguments.train_layers,
    )
    for name, loader in loaders.items():
        steps.about(
            "loader",
            Name=name,
            Workers=loader.num_workers,
            PinMemory=loader.pin_memory,
            BatchSize=loader.batch_sampler.batch_size,
            Cores=cpu_count(),
            Photos=len(loader.dataset),
            Cached=loader.dataset.cached,
        )
