"""The recording of a run: step times always, system metrics and a trace where they are asked for.

SageMaker's own profiler samples the machine beside a job whose ProfilerConfig asks for it. Where
AWS has closed it to an account, `--system-metrics` has the job do that by itself.
"""

import contextlib
import os
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from debugger import profilerconfig, sampler, sampling
from debugger.steps import Steps
from debugger.tracing import Trace
from distributed import World, cpu_count, is_first_process


@contextlib.contextmanager
def profiled(options: Namespace) -> Iterator[Steps]:
    """Record a run as the options say, while the context lasts. It yields the steps' recorder.

    Raises ConfigError if a configuration of SageMaker's is damaged.
    """
    folder = profilerconfig.folder(options.system_metrics is not None, options.output_data_dir)
    if folder is None:
        if options.system_metrics is not None or options.profile_steps:
            print("profiler=off: there is no folder for it: give --output-data-dir", flush=True)
        yield Steps()
        return
    node, rank = os.environ.get("SM_CURRENT_HOST") or "algo-1", int(os.environ.get("RANK") or 0)
    trace = None
    if options.profile_steps and is_first_process():
        stem = folder / "framework" / "trace" / f"{node}-{rank}"
        trace = Trace(stem, options.profile_steps, options.epochs)
    steps = Steps(folder, node, rank, trace)
    with _sampler(folder, options.system_metrics, node), contextlib.closing(steps):
        yield steps


def _sampler(folder: Path, interval_ms: int | None, node: str) -> Any:
    """Return the context in which the machine is sampled, by one process per machine."""
    if interval_ms is None or int(os.environ.get("LOCAL_RANK") or 0) != 0:
        return contextlib.nullcontext()
    if profilerconfig.from_sagemaker() is not None:
        print("monitor=off: SageMaker samples this job already (its ProfilerConfig)", flush=True)
        return contextlib.nullcontext()
    # torchrun's processes are one job: its own tree has them all.
    several = int(os.environ.get("LOCAL_WORLD_SIZE") or 1) > 1
    pid = os.getppid() if several else os.getpid()
    sampler.files(folder, node).clear()
    return sampling.running(folder, interval_ms, node, pid)


def describe(steps: Steps, options: Namespace, world: World, loaders: dict[str, Any]) -> None:
    """Record the network, the device and the loaders of a run."""
    steps.about(
        "run",
        Model=options.model,
        Device=world.device_name,
        Precision=world.precision,
        Threads=torch.get_num_threads(),
        BatchSize=options.batch_size,
        ImageSize=options.image_size,
        Epochs=options.epochs,
        Optimizer=options.optimizer,
        TrainLayers=options.train_layers,
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
