"""Rules on the processor: a GPU that stands still while a core is busy or waits for storage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from open_debugger.profiler import samples
from open_debugger.profiler.findings import Finding
from open_debugger.profiler.recording import Recording
from open_debugger.profiler.rules.base import MONITOR, PatientRule, counts, gpus, percentages
from open_debugger.profiler.samples import NotRecorded


@dataclass(frozen=True)
class Bottleneck:
    """Samples in which a GPU stood still and a core was at its limit, of all nodes."""

    times: np.ndarray
    gpus: np.ndarray  # that stood still, at each time
    cores: np.ndarray  # at their limit

    @property
    def both(self) -> np.ndarray:
        return (self.gpus > 0) & (self.cores > 0)

    @property
    def share(self) -> float:
        """Percent of the samples."""
        return 100 * float(self.both.mean()) if len(self.times) else 0.0

    def details(self) -> dict:
        """AWS's details: how many GPUs and cores in each such sample."""
        rows = (self.times[self.both], self.gpus[self.both], self.cores[self.both])
        found = {
            repr(time): {"GPUs": gpus, "CPUs": cores}
            for time, gpus, cores in zip(*(row.tolist() for row in rows), strict=True)
        }
        return {"low_gpu_utilization": int((self.gpus > 0).sum()), "bottlenecks": found}


class _BottleneckRule(PatientRule):
    """What both rules do; samples that patience lets pass are not counted, as AWS's rule does."""

    DIMENSION = ""

    def details_without_gpu(self) -> dict:
        return Bottleneck(_NONE, _NONE, _NONE).details()

    def _all(self, recording: Recording) -> list:
        found = [
            each
            for node in samples.nodes(recording)
            for each in samples.series(recording, node, "cpu", self.DIMENSION).values()
        ]
        if not found:
            raise NotRecorded(f"no {self.DIMENSION} was recorded: {MONITOR}")
        return found

    def bottleneck(self, recording: Recording, gpu_threshold: float, limit: float) -> Bottleneck:
        """Samples with a GPU below one threshold and a core above another one, in percent.

        Of a run without a GPU all samples count as such in which none works.
        """
        self._all(recording)
        parts = [
            self._of(recording, node, gpu_threshold, limit) for node in samples.nodes(recording)
        ]
        return Bottleneck(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def _of(self, recording: Recording, node: str, low: float, limit: float) -> tuple:
        cores = samples.series(recording, node, "cpu", self.DIMENSION)
        gpus = samples.series(recording, node, "gpu", "GPUUtilization")
        times = next(iter((gpus or cores).values())).times[self.patience :] if cores else _NONE
        still = (samples.table(times, gpus) < low).sum(axis=0)
        still = still if gpus else np.ones(len(times), int)
        return times, still, (samples.table(times, cores) > limit).sum(axis=0)


_NONE = np.array([])


@dataclass(frozen=True)
class CPUBottleneck(_BottleneckRule):
    """In more than `threshold` percent of the samples a GPU is below `gpu_threshold` percent while
    a core is above `cpu_threshold` percent."""

    threshold: float = 50
    cpu_threshold: float = 90
    gpu_threshold: float = 10
    patience: int = 1000

    DIMENSION = "CPUUtilization"

    def __post_init__(self) -> None:
        percentages(self, "threshold", "cpu_threshold", "gpu_threshold")
        counts(self, "patience")

    def search(self, recording: Recording) -> Finding:
        found = self.bottleneck(recording, self.gpu_threshold, self.cpu_threshold)
        summary = f"In {found.share:.0f}% of the samples a GPU was below {self.gpu_threshold:g}% "
        summary += f"while a core was above {self.cpu_threshold:g}%"
        count, members = int(found.both.sum()), {"datapoints": len(found.times)}
        is_found = found.share > self.threshold
        summary += f" (up to {self.threshold:g}% are allowed)."
        members |= {"triggered": int(is_found), "details": found.details()}
        return self.verdict(is_found, summary, CPU_ADVICE, count, **members)


CPU_ADVICE = (
    "The cores hold the GPU up, most often by decoding photos: with cores to spare give the loader "
    "more processes (DataLoader's num_workers); with none take an instance type with more vCPU per "
    "GPU, or smaller photos, decoded at reduced scale, or stored as they are needed."
)


@dataclass(frozen=True)
class IOBottleneck(_BottleneckRule):
    """In more than `threshold` percent of the samples a GPU is below `gpu_threshold` percent while
    a core waits for input and output more than `io_threshold` percent of its time.

    Of a run without a GPU the wait alone counts: it holds the processor up just as well.
    """

    threshold: float = 50
    io_threshold: float = 50
    gpu_threshold: float = 10
    patience: int = 1000

    DIMENSION = "I/OWaitPercentage"

    def __post_init__(self) -> None:
        percentages(self, "threshold", "io_threshold", "gpu_threshold")
        counts(self, "patience")

    def times(self, recording: Recording) -> np.ndarray | None:
        if gpus(recording):
            return super().times(recording)
        return max((s.times for s in self._all(recording)), key=len)

    def search(self, recording: Recording) -> Finding:
        found = self.bottleneck(recording, self.gpu_threshold, self.io_threshold)
        is_found, count = found.share > self.threshold, int(found.both.sum())
        summary = f"In {found.share:.0f}% of the samples "
        if gpus(recording):
            summary += f"a GPU was below {self.gpu_threshold:g}% while "
        summary += f"a core waited for storage more than {self.io_threshold:g}% of its time"
        summary += f" (up to {self.threshold:g}% are allowed)."
        members = {"datapoints": len(found.times), "triggered": int(is_found)}
        return self.verdict(is_found, summary, IO_ADVICE, count, details=found.details(), **members)


IO_ADVICE = (
    "Storage holds the run up: pack the photos into shards of about 150 MB, read them by FastFile "
    "mode or copy them to the instance's NVMe disk (ml.g4dn, ml.g5, ml.g6), cache what fits into "
    "memory, and read ahead in more processes (DataLoader's num_workers)."
)
