"""The device that a process trains on, its precision, and the processes that torchrun starts."""

import contextlib
import ctypes
import hashlib
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn

from options import ConfigError

CPU = torch.device("cpu")
GPU_INSTANCES = re.compile(r"ml\.[gp]\d")  # AWS's families with NVIDIA's GPUs
STARTED = time.time()
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class World:
    """A process's device and precision, and its rank among `world_size` processes."""

    device: torch.device = CPU
    precision: str = "fp32"
    rank: int = 0
    world_size: int = 1

    def autocast(self) -> Any:
        """Return the context of a forward pass in the chosen precision."""
        dtype = DTYPES[self.precision]
        return torch.autocast(self.device.type, dtype, enabled=self.precision != "fp32")

    def reseed(self, *numbers: int) -> None:
        """Let PyTorch's random numbers follow from these numbers and the process's rank alone."""
        torch.manual_seed(seed_of(*numbers, self.rank))

    def to_device(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """Return the tensors on the device; from pinned memory, nothing waits for the copies."""
        return [tensor.to(self.device, non_blocking=True) for tensor in tensors]

    def all_reduce(self, *tensors: torch.Tensor) -> None:
        """Replace each tensor by its sum over all processes."""
        if self.world_size > 1:
            for tensor in tensors:
                distributed.all_reduce(tensor)

    def broadcast(self, value: Any) -> Any:
        """Return the first process's value in each process."""
        values = [value]
        if self.world_size > 1:
            distributed.broadcast_object_list(values)
        return values[0]

    def weight(self, photos: int) -> "torch.Tensor | float":
        """Return the factor by which the mean loss of this process's photos counts.

        DistributedDataParallel averages the gradients of processes whose batches may differ in
        size: with this factor, the average is that over all photos of the step.
        """
        if self.world_size == 1:
            return 1.0
        total = torch.tensor(float(photos), device=self.device)
        self.all_reduce(total)
        return photos * self.world_size / total

    def parallel(self, network: nn.Module) -> nn.Module:
        """Return the network with gradients averaged over all processes."""
        if self.world_size == 1:
            return network
        return nn.parallel.DistributedDataParallel(network)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in each process."""
        values = [value]
        if self.world_size > 1:
            values = [None] * self.world_size
            distributed.all_gather_object(values, value)
        return values

    def average_batch_norm(self, model: nn.Module) -> None:
        """Replace the batch-norm statistics that were trained by their mean over all processes.

        Each process has seen other photos. Without this, every process would evaluate another
        model than the one that the first process saves. Call it before `model.eval()`.
        """
        if self.world_size == 1:
            return
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
                for statistics in (module.running_mean, module.running_var):
                    self.all_reduce(statistics)
                    statistics /= self.world_size

    @property
    def cores(self) -> int:
        """The processors for this process, one of those that torchrun has started here."""
        return max(1, cpu_count() // int(os.environ.get("LOCAL_WORLD_SIZE") or 1))

    @property
    def device_name(self) -> str:
        """Return `cpu`, or the model of the GPU."""
        return torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"

    def __str__(self) -> str:
        several = f" world_size={self.world_size}" if self.world_size > 1 else ""
        threads = torch.get_num_threads()
        return f"device={self.device_name!r} precision={self.precision} threads={threads}{several}"


class AverageMeter:
    """The mean of a value over photos, of all processes.

    Its sums stay on the device: reading them would make a GPU wait in every step.
    """

    def __init__(self, world: World):
        self.world = world
        self.sums = torch.zeros(2, dtype=torch.float64, device=world.device)

    def update(self, mean: torch.Tensor, photos: int) -> None:
        """Add the mean of a batch of so many photos."""
        self.sums[0] += mean.detach() * photos
        self.sums[1] += photos  # a number, not a tensor: copying one would make a GPU wait

    def mean(self) -> float:
        """Return the mean over the photos of all processes; NaN if there were none."""
        total, photos = self._reduced().tolist()
        return total / photos if photos else math.nan

    def count(self) -> int:
        """Return the number of photos of all processes."""
        return int(self._reduced()[1])

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return the sums over all processes, for a checkpoint in the middle of an epoch."""
        return {"sums": self._reduced()}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from such a state, which the first process takes over for all."""
        self.sums = state["sums"].to(self.world.device, copy=True)
        if self.world.rank:
            self.sums.zero_()

    def _reduced(self) -> torch.Tensor:
        sums = self.sums.clone()
        self.world.all_reduce(sums)
        return sums


@contextlib.contextmanager
def joined(precision: str) -> Iterator[World]:
    """Choose the device, and join the processes of torchrun, if it has started any.

    `precision` is fp32, bf16, fp16, or auto: bf16 where the processor or GPU has it natively, else
    fp16 on a GPU (with loss scaling), else fp32.
    """
    world = choose_device(precision)
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        yield world
        return
    distributed.init_process_group("nccl" if world.device.type == "cuda" else "gloo")
    try:
        yield replace(world, rank=distributed.get_rank(), world_size=distributed.get_world_size())
        # torchrun ends all processes when one of them fails, and with gloo a process may abort as
        # it exits: so none does while the first one is still writing.
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def choose_device(precision: str) -> World:
    """Take this process's GPU if there is one, and settle the precision."""
    # Who runs several jobs on a machine shares its processors out by OMP_NUM_THREADS.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(cpu_count())
    device = CPU
    _check_for_the_promised_gpu()
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK") or 0))
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    else:
        _keep_freed_memory()
    if precision == "auto":
        other = "fp16" if device.type == "cuda" else "fp32"
        precision = "bf16" if has_bf16(device) else other
    # TF32 has a shorter mantissa: who asks for fp32 gets fp32.
    shorter = precision != "fp32"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = shorter
    return World(device, precision)


def _check_for_the_promised_gpu() -> None:
    """Fail where the instance has a GPU and PyTorch finds none.

    Training would go on for hours on the processor, at the price of the GPU.

    Raises:
        ConfigError: naming the instance type and what to look at.
    """
    instance = os.environ.get("SM_CURRENT_INSTANCE_TYPE", "")
    # An engine on one machine sets this variable: an instance type is only a name there.
    simulated = "LOCAL_SAGEMAKER" in os.environ
    if GPU_INSTANCES.match(instance) and not simulated and not torch.cuda.is_available():
        raise ConfigError(
            f"this job runs on {instance}, which has a GPU, but PyTorch {torch.__version__} finds "
            "none: take an image for GPUs (with cu in its tag), not one for CPUs, and one whose "
            "CUDA the instance's driver knows; or train on an instance without a GPU"
        )


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively.

    PyTorch's own checks also say yes to emulation, which is slower than fp32.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability() >= (8, 0)
    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().split()) if cpuinfo.is_file() else set()
    return bool(flags & {"avx512_bf16", "amx_bf16"})


def is_first_process() -> bool:
    """Whether this process writes and prints, when torchrun has started several."""
    return int(os.environ.get("RANK") or 0) == 0


def process_began() -> float:
    """Return when this process began, in Unix seconds; without /proc, when this was imported."""
    with contextlib.suppress(OSError, AttributeError):
        # proc(5): the 22nd member, in ticks since the system's start; the 2nd may hold spaces.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        return time.time() - age
    return STARTED


def print_once(*words: object) -> None:
    """Print a line in the first process only."""
    if is_first_process():
        print(*words, flush=True)


def cpu_count() -> int:
    """Return the number of processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def seed_of(*numbers: int) -> int:
    """Return a seed for what the numbers name together, such as (seed, epoch, photo)."""
    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # PyTorch takes 63 bits everywhere


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
