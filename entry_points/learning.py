"""How a network learns: device, precision and processes; one pass over data; the optimiser."""

import contextlib
import ctypes
import hashlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from photos import DataError, normalise
from records.steps import Steps

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
CPU = torch.device("cpu")
LOOK_EVERY = 50  # steps between two looks at a GPU's loss: each look waits for it


class NotFinite(FloatingPointError):
    """The loss is no number any more; the text says since when, and what to change."""


def seed_of(*numbers: int) -> int:
    """Return a seed for whatever the numbers name together, such as (seed, epoch, photo)."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # PyTorch takes 63 bits everywhere


def cpu_count() -> int:
    """Return the number of processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


@dataclass(frozen=True)
class Machine:
    """A device, the precision of forward passes there, and this process among its like."""

    device: torch.device = CPU
    precision: str = "fp32"
    rank: int = 0
    processes: int = 1

    def autocast(self) -> Any:
        """Return the context of a forward pass."""
        dtype = DTYPES[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32")

    def sum(self, *tensors: torch.Tensor) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.processes > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def from_first(self, value: Any) -> Any:
        """Return the first process's value in each of them."""
        values = [value]
        if self.processes > 1:
            distributed.broadcast_object_list(values)
        return values[0]

    def share(self, photos: int) -> "torch.Tensor | float":
        """Return what makes a mean over this process's photos its part of the mean over all.

        Gradients are averaged over the processes, whose batches may differ in size.
        """
        if self.processes == 1:
            return 1.0
        total = torch.tensor(float(photos), device=self.device)
        self.sum(total)
        return photos * self.processes / total

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients averaged over all processes."""
        if self.processes == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    @property
    def cores(self) -> int:
        """The processors that are this process's part, of those torchrun shares out here."""
        return max(1, cpu_count() // int(os.environ.get("LOCAL_WORLD_SIZE") or 1))

    @property
    def name(self) -> str:
        """What the device is called: cpu, or a GPU's model."""
        return torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"

    def __str__(self) -> str:
        several = f" processes={self.processes}" if self.processes > 1 else ""
        threads = torch.get_num_threads()
        return f"device={self.name!r} precision={self.precision} threads={threads}{several}"


def choose_machine(precision: str) -> Machine:
    """Take this process's GPU if there is one, and (`auto`) the fastest precision it has.

    That is bf16 where it is native, fp16 on older GPUs (with loss scaling), fp32 on older CPUs.
    """
    # Who runs several jobs on a machine shares its processors out by OMP_NUM_THREADS.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(cpu_count())
    device = CPU
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK") or 0))
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    else:
        _keep_freed_memory()
    if precision == "auto":
        other = "fp16" if device.type == "cuda" else "fp32"
        precision = "bf16" if _bf16_is_native(device) else other
    return Machine(device, precision)


@contextlib.contextmanager
def joined(machine: Machine) -> Iterator[Machine]:
    """Join the processes that torchrun has started, if it has, while the context lasts."""
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        yield machine
        return
    distributed.init_process_group("nccl" if machine.device.type == "cuda" else "gloo")
    try:
        rank, processes = distributed.get_rank(), distributed.get_world_size()
        yield Machine(machine.device, machine.precision, rank, processes)
        # torchrun ends all processes when one of them fails, and with gloo a process may abort as
        # it exits: so none does while the first one is still writing.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


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

    def named(self, name: str) -> dict[str, float]:
        """Return loss and accuracy as a pass's metrics."""
        return {f"{name}_loss": self.loss, f"{name}_accuracy": self.accuracy}


class Tally:
    """What a pass has added up so far, in this process.

    `sums` holds cross-entropies in nats, right answers and photos. It stays on the device, for
    reading it would make a GPU wait at every step.
    """

    def __init__(self, machine: Machine):
        self.machine = machine
        self.sums = torch.zeros(3, dtype=torch.float64, device=machine.device)
        self.steps, self.seconds = 0, 0.0

    def add(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Add a batch by its mean loss, logits (N, classes) and labels (N,)."""
        right = (logits.detach().argmax(1) == labels).sum()
        self.sums += torch.stack(
            [loss.detach() * len(labels), right, right.new_tensor(len(labels))]
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the tally of all processes, for a checkpoint in the middle of an epoch."""
        sums = self.sums.clone()
        self.machine.sum(sums)
        return {"sums": sums, "steps": self.steps, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state, which the first process takes over for all."""
        self.steps, self.seconds = state["steps"], state["seconds"]
        if self.machine.rank == 0:
            self.sums = state["sums"].to(self.machine.device)

    def result(self) -> Result:
        """Return the means over all processes."""
        loss, right, photos = self.state_dict()["sums"].tolist()
        return Result(loss / max(1, photos), right / max(1, photos), int(photos), self.seconds)


def run_pass(
    model: nn.Module,
    loader: Iterable[Any],
    criterion: nn.Module,
    machine: Machine,
    steps: Steps | None = None,
    learn: "Learner | None" = None,
    *,
    tally: Tally | None = None,
    seed: int = 0,
    stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Go once over (N, H, W, 3) photos and (N,) labels; `learn` gets each batch's loss.

    Photos are uint8; floats are taken for features, and go into the model as they are. `steps`
    records how long the parts of each step take, `tally` what they added up to. `seed` is that of
    each step's dropout. The pass ends early, after a step, when `stop` says so.
    Raises DataError if there is no photo to measure on.
    """
    steps, tally = steps or Steps(), tally or Tally(machine)
    start = time.perf_counter() - tally.seconds
    with torch.set_grad_enabled(learn is not None):
        for photos, labels, *_ in steps.over(loader, machine.device):
            if learn is None and not len(labels):
                continue  # damaged photos alone, or another process's
            if learn is not None:
                # So a step depends on no other's draws, and can be repeated after a restart.
                torch.manual_seed(seed_of(seed, tally.steps, machine.rank))
            photos, labels = _moved(photos, labels, machine.device)
            steps.mark("HostToDevice")
            with machine.autocast():
                logits = model(_floats(photos, machine.device))
                loss = criterion(logits, labels)
            steps.mark("Forward")
            if learn is not None:
                learn(loss * machine.share(len(labels)))
            tally.add(loss, logits, labels)
            tally.steps += 1
            tally.seconds = time.perf_counter() - start
            if stop():
                break
    result = tally.result()
    if learn is not None:
        learn.check(result.loss)
    elif not result.images:  # a loss of 0 would be the best that a search has seen
        raise _all_damaged(steps)
    return result


def _all_damaged(steps: Steps) -> DataError:
    return DataError(f"not one photo of '{steps.phase}' can be decoded: replace the files")


def _moved(*tensors: torch.Tensor | torch.device) -> list[torch.Tensor]:
    *tensors, device = tensors
    return [tensor.to(device, non_blocking=True) for tensor in tensors]


def _floats(photos: torch.Tensor, device: torch.device) -> torch.Tensor:
    return normalise(photos, device) if photos.dtype == torch.uint8 else photos


@dataclass(frozen=True)
class Outputs:
    """What a network makes of each photo of a data set, on the device.

    `values` (N, F) float32 and `labels` (N,) count where `seen` (N,) is True: the others are of
    damaged photos.
    """

    values: torch.Tensor
    labels: torch.Tensor
    seen: torch.Tensor


@torch.no_grad()
def outputs(
    network: nn.Module,
    loader: Any,
    machine: Machine,
    steps: Steps,
    criterion: nn.Module | None = None,
) -> Outputs:
    """Return what the network, in evaluation mode, makes of a loader's photos, in all processes.

    `criterion` is called on each batch, for who watches it: Debugger's hook does.
    Raises DataError if not one photo could be decoded.
    """
    values: torch.Tensor | None = None
    count = len(loader.dataset)
    labels = torch.full((count,), 0, device=machine.device)
    seen = torch.zeros(count, device=machine.device)
    for photos, targets, indices, _ in steps.over(loader, machine.device):
        if not len(targets):
            continue
        photos, targets, indices = _moved(photos, targets, indices, machine.device)
        steps.mark("HostToDevice")
        with machine.autocast():
            found = network(normalise(photos, machine.device)).float()
            if criterion is not None:
                criterion(found, targets)
        values = found.new_zeros(count, found.shape[1]) if values is None else values
        values[indices], labels[indices], seen[indices] = found, targets, 1.0
        steps.mark("Forward")
    # A process whose photos are all damaged learns from the others how wide the outputs are.
    widths = torch.tensor([0.0, 0.0] if values is None else [values.shape[1], 1.0])
    widths = widths.to(machine.device)
    machine.sum(widths)
    total, processes = widths.tolist()
    if not processes:
        raise _all_damaged(steps)
    if values is None:
        values = torch.zeros(count, int(total / processes), device=machine.device)
    machine.sum(values, labels, seen)
    return Outputs(values, labels, seen > 0)


class Stop:
    """Whether the run is to stop after this step, which all its processes must answer alike."""

    def __init__(self, machine: Machine, interruption: Any):
        self.machine, self.interruption = machine, interruption
        self.asked, self.calls = False, 0

    def __call__(self) -> bool:
        """Return whether any process was asked to; on several GPUs that is looked up seldom."""
        self.calls += 1
        if self.machine.processes == 1:
            self.asked = self.interruption.asked
        elif self.machine.device.type == "cpu" or self.calls % LOOK_EVERY == 0:
            asked = torch.tensor(float(self.interruption.asked), device=self.machine.device)
            self.machine.sum(asked)
            self.asked = self.asked or asked.item() > 0
        return self.asked


class Learner:
    """Takes one optimiser step for each loss, on a schedule made for `steps` of them.

    The rate rises linearly to that of its group in the first `--warmup` of them, then stays or,
    with `--schedule cosine`, falls as half a cosine to zero, so that a run of any length ends with
    small steps. In fp16 losses are scaled, for small gradients would vanish. `mark` gets the name
    of each part of the work when that is done (`Steps.mark`).
    """

    def __init__(
        self,
        arguments: Any,
        groups: list[dict[str, Any]],
        steps: int,
        machine: Machine,
        mark: Callable[[str], None] = lambda part: None,
    ):
        self.arguments, self.mark, self.looked = arguments, mark, 0
        self.every = LOOK_EVERY if machine.device.type == "cuda" else 1
        self.optimizer = _make_optimizer(arguments, groups)
        warm_up = round(arguments.warmup * steps)

        def factor(step: int) -> float:
            if step < warm_up:
                return (step + 1) / warm_up
            if arguments.schedule == "constant":
                return 1.0
            return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)
        enabled = machine.precision == "fp16"
        self.scaler = torch.amp.GradScaler(machine.device.type, enabled=enabled)

    def __call__(self, loss: torch.Tensor) -> None:
        """Take the step; NotFinite before it if the loss is no number, which a GPU tells late."""
        self.looked += 1
        if self.looked % self.every == 0:
            self.check(loss.item())
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.mark("Backward")
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.mark("Optimizer")

    def check(self, loss: float) -> None:
        """Raise NotFinite for a loss that is no number, unless `--nan-loss continue` allows it."""
        if not math.isfinite(loss) and self.arguments.nan_loss == "stop":
            raise NotFinite(
                f"the loss is {loss} at step {self.schedule.last_epoch + 1}: lower --lr (it is "
                f"{self.arguments.lr:g}) or raise --warmup; --nan-loss continue trains on"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next step depends on, but for the weights."""
        parts = (self.optimizer, self.schedule, self.scaler)
        return {type(part).__name__: part.state_dict() for part in parts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from such a state."""
        for part in (self.optimizer, self.schedule, self.scaler):
            part.load_state_dict(state[type(part).__name__])


def _make_optimizer(arguments: Any, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    # Fused: one kernel walks through all parameters, which for VGG16 saves a good part of a step.
    options = {"lr": arguments.lr, "weight_decay": arguments.weight_decay, "fused": True}
    if arguments.optimizer == "sgd":
        return torch.optim.SGD(groups, momentum=arguments.momentum, **options)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[arguments.optimizer]
    return kind(groups, eps=arguments.eps, **options)
