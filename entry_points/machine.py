"""Where and how the arithmetic is done: device, precision, threads."""

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


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
