"""Rules on the GPUs: their utilization, their memory, the balance between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from open_debugger.parameters import require
from open_debugger.profiler import samples
from open_debugger.profiler.findings import Finding
from open_debugger.profiler.recording import Recording, Series
from open_debugger.profiler.rules.base import LEAST, MONITOR, PatientRule, counts, gpus, percentages
from open_debugger.profiler.samples import NotRecorded

MICROSECONDS = 1_000_000
BIN = 2  # percent of utilization in a bin of LoadBalancing's histograms


@dataclass(frozen=True)
class LowGPUUtilization(PatientRule):
    """In a window of samples, the 95th percentile of a GPU's utilization is below `threshold_p95`
    percent: the GPU is hardly used. Or only the 5th percentile is below `threshold_p5` percent: it
    is used in bursts."""

    threshold_p95: float = 70
    threshold_p5: float = 10
    window: int = 500
    patience: int = 1000

    def __post_init__(self) -> None:
        percentages(self, "threshold_p95", "threshold_p5")
        counts(self, "window", "patience")

    def search(self, recording: Recording) -> Finding:
        details, low, unsteady, datapoints, seen = {}, 0, 0, 0, []
        found = gpus(recording)
        for (node, name), each in found.items():
            datapoints = max(datapoints, len(each.times))
            if not len(parts := samples.windows(each.values, self.patience, self.window)):
                continue
            p5, p95 = np.percentile(parts, (5, 95), axis=1)
            is_low = p95 < self.threshold_p95
            low += int(is_low.sum())
            unsteady += int((~is_low & (p5 < self.threshold_p5)).sum())
            seen += [parts.ravel()]
            details.setdefault(node, {})[name] = _usage(each.values[self.patience :], p5, p95)
        _require_windows(seen)
        summary = self._summary(np.concatenate(seen), low, unsteady, len(found))
        members = {"datapoints": datapoints, "details": _stamped(details, found)}
        return self.verdict(low + unsteady > 0, summary, LOW_ADVICE, low + unsteady, **members)

    def _summary(self, values: np.ndarray, low: int, unsteady: int, gpus: int) -> str:
        p5, p50, p95 = np.percentile(values, (5, 50, 95))
        text = f"GPU utilization of {gpus} GPU{'s'[: gpus > 1]}: p95 {p95:.0f}%, "
        text += f"median {p50:.0f}%, p5 {p5:.0f}%."
        if low:
            text += f" {_times(low)} its p95 was below {self.threshold_p95:g}%."
        if unsteady:
            text += f" {_times(unsteady)} it fluctuated: p5 below {self.threshold_p5:g}%."
        return text


LOW_ADVICE = (
    "Find what the GPU waits for: with a long wait for data give the loader more processes "
    "(DataLoader's num_workers) or less to decode; else raise the batch size, or take an instance "
    "type with a smaller GPU."
)


@dataclass(frozen=True)
class GPUMemoryIncrease(PatientRule):
    """The moving average of a GPU's memory rises by more than `increase` percentage points, from
    one window to the next, or steadily over the run.

    The second is not in AWS's rule, which does not see a leak of a percent a minute.
    """

    increase: float = 5
    patience: int = 1000
    window: int = 10

    def __post_init__(self) -> None:
        require(self.increase > 0, f"increase {self.increase:g} is not above 0")
        counts(self, "patience", "window")

    def fitted(self, count: int, before: int) -> PatientRule:
        """As of any rule, but that the model comes to the GPU is no increase, however late."""
        patience = max(super().fitted(count, before).patience, min(before, count - LEAST))
        return replace(self, patience=patience, window=self.fitted_window(count - patience))

    def fitted_window(self, left: int) -> int:
        return min(self.window, left // 2)  # two to compare

    def search(self, recording: Recording) -> Finding:
        details, violations, jump, leak, peak, datapoints = {}, 0, 0.0, 0.0, 0.0, 0
        found = gpus(recording, "GPUMemoryUtilization")
        for (node, name), each in found.items():
            rises, steady = self._rises(each.values)
            sudden = int((rises > self.increase).sum())
            violations += sudden or int(steady > self.increase)
            jump, leak = max(jump, float(rises.max(initial=0))), max(leak, steady)
            peak, datapoints = max(peak, each.values.max()), max(datapoints, len(each.times))
            top = float(max(rises.max(initial=0), steady))
            details.setdefault(node, {})[name] = _memory(each.values, self.patience, top)
        summary = f"GPU memory: at most {peak:.0f}%; the greatest rise between two windows was "
        summary += f"{jump:.1f} points"
        summary += f", and it rose steadily by {leak:.0f} points." if leak else "."
        members = {"datapoints": datapoints, "details": _stamped(details, found)}
        return self.verdict(violations > 0, summary, MEMORY_ADVICE, violations, **members)

    def _rises(self, values: np.ndarray) -> tuple[np.ndarray, float]:
        parts = samples.windows(values, self.patience, self.window)
        return np.diff(parts.mean(axis=1)), samples.steady_rise(values[self.patience :])


MEMORY_ADVICE = (
    "Look for tensors that outlive their step: a loss summed up with its graph (add loss.item() "
    "instead), outputs kept in a list (append tensor.detach().cpu()), validation without "
    "torch.inference_mode(). If it only jumps when a larger batch comes, lower the batch size."
)


@dataclass(frozen=True)
class BatchSize(PatientRule):
    """In a window of samples, the 95th percentiles of CPU (all cores), GPU and GPU memory are all
    below their thresholds in percent: the machine has room for a larger batch."""

    cpu_threshold_p95: float = 70
    gpu_threshold_p95: float = 70
    gpu_memory_threshold_p95: float = 70
    patience: int = 1000
    window: int = 500

    def __post_init__(self) -> None:
        percentages(self, "cpu_threshold_p95", "gpu_threshold_p95", "gpu_memory_threshold_p95")
        counts(self, "patience", "window")

    def search(self, recording: Recording) -> Finding:
        violations, datapoints, details, top, found = 0, 0, {}, [], gpus(recording)
        for (node, name), each in found.items():
            three = self._three(recording, node, name, each)
            datapoints = max(datapoints, three.shape[1])
            if not len(samples.windows(three[0], self.patience, self.window)):
                continue
            p95 = self._p95(three)
            limits = (self.cpu_threshold_p95, self.gpu_threshold_p95, self.gpu_memory_threshold_p95)
            violations += int((p95 < np.array(limits)[:, None]).all(axis=0).sum())
            overall = np.percentile(three[:, self.patience :], 95, axis=1)
            details.setdefault(node, {})[name] = dict(zip(THREE, overall.tolist(), strict=True))
            top.append(overall)
        _require_windows(top)
        cpu, gpu, memory = np.max(top, axis=0)
        summary = f"p95 of CPU {cpu:.0f}%, GPU {gpu:.0f}%, GPU memory {memory:.0f}%."
        if violations:
            summary += f" {_times(violations)} all three were below their thresholds."
        members = {"datapoints": datapoints, "details": _stamped(details, found)}
        return self.verdict(violations > 0, summary, BATCH_ADVICE, violations, **members)

    def _three(self, recording: Recording, node: str, name: str, each: Series) -> np.ndarray:
        """CPU, GPU and GPU memory at the GPU's times: an array (3, times)."""
        cores = samples.series(recording, node, "cpu", "CPUUtilization")
        memory = samples.series(recording, node, "gpu", "GPUMemoryUtilization").get(name)
        if not cores or memory is None:
            missing = "GPUMemoryUtilization" if cores else "CPUUtilization"
            raise NotRecorded(f"no {missing} was recorded: {MONITOR}")
        cpu = samples.mean(samples.table(each.times, cores))
        three = np.array([cpu, each.values, samples.at(each.times, memory)])
        return three[:, np.isfinite(three).all(axis=0)]

    def _p95(self, three: np.ndarray) -> np.ndarray:
        parts = [samples.windows(each, self.patience, self.window) for each in three]
        return np.percentile(parts, 95, axis=2)


THREE = ("cpu_95", "gpu_95", "gpu_memory_95")
BATCH_ADVICE = (
    "If training does not wait for data, raise the batch size (and the learning rate with it) "
    "until GPU memory is about 80% full, or take an instance type with a smaller GPU."
)


@dataclass(frozen=True)
class LoadBalancing(PatientRule):
    """Two GPUs' utilization histograms are further apart than `threshold`, 0 to 1.

    AWS does not publish its distance. Here it is the earth mover's, as a share of the whole scale:
    0.2 is 20 percentage points between two steady GPUs, and noise does not change it, as it does
    any that compares the bins one by one.
    """

    threshold: float = 0.2
    patience: int = 1000

    def __post_init__(self) -> None:
        require(self.threshold >= 0, f"threshold {self.threshold:g} is below 0")
        counts(self, "patience")

    def search(self, recording: Recording) -> Finding:
        found = {k: s for k, s in gpus(recording).items() if len(s.values) > self.patience}
        values = [each.values[self.patience :] for each in found.values()]
        datapoints = max(len(each.values) for each in found.values())
        members = {"datapoints": datapoints, "details": _workloads(found, values)}
        if len(found) < 2:
            return self.verdict(False, "One GPU: there is nothing to balance.", "", 0, **members)
        distances = distance([each / 100 for each in values])
        far = int((np.triu(distances) > self.threshold).sum())
        summary = f"The greatest distance between the utilization of two of {len(found)} GPUs is "
        summary += f"{distances.max():.2f}, {'above' if far else 'within'} {self.threshold:g}."
        return self.verdict(far > 0, summary, BALANCE_ADVICE, far, **members)


BALANCE_ADVICE = (
    "Give each GPU a process of its own with the same share of the photos: torchrun with "
    "DistributedDataParallel and a DistributedSampler, not DataParallel, and equal batches; look "
    "at what only the first rank does (evaluation, checkpoints, logging)."
)


def distance(values: list[np.ndarray]) -> np.ndarray:
    """The earth mover's distances between samples on a scale of 0 to 1: (samples, samples)."""
    edges = np.arange(0, 101, BIN) / 100
    shares = [np.histogram(each.clip(0, 1), edges)[0] / len(each) for each in values]
    heaps = np.cumsum(shares, axis=1)
    return np.abs(heaps[:, None] - heaps[None]).sum(axis=2) * BIN / 100


def _workloads(found: dict, values: list[np.ndarray]) -> dict:
    details: dict = {}
    for (node, name), each in zip(found, values, strict=True):
        counted = np.histogram(each.clip(0, 100), np.arange(0, 101, BIN))[0].tolist()
        details.setdefault(node, {"workloads": {}})["workloads"][name] = counted
    return details


def _usage(values: np.ndarray, p5: np.ndarray, p95: np.ndarray) -> dict:
    """AWS's figures of a GPU: the last window's percentiles, and a box of all samples."""
    last = {"gpu_95": float(p95[-1]), "gpu_5": float(p5[-1])}
    return {"gpu_max": float(values.max()), **last, **samples.box(values)}


def _memory(values: np.ndarray, patience: int, top: float) -> dict:
    values = values[patience:] if len(values) > patience else values
    p5 = float(np.percentile(values, 5))
    return {"increase": top, "gpu_max": float(values.max()), "p05": p5, **samples.box(values)}


def _stamped(details: dict, found: dict) -> dict:
    last = max(float(each.times[-1]) for each in found.values())
    return {**details, "last_timestamp": int(last * MICROSECONDS)}


def _require_windows(found: list) -> None:
    if not found:
        raise NotRecorded("no window of samples is left after patience: lower patience or window")


def _times(windows: int) -> str:
    return f"In {windows} window{'s'[: windows > 1]}"
