"""The base of the profiler rules: parameters, findings, and patience that fits a short run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from open_debugger.parameters import require
from open_debugger.profiler import samples
from open_debugger.profiler.findings import Finding
from open_debugger.profiler.recording import Recording
from open_debugger.profiler.samples import NotRecorded

LEAST = 5  # samples that a rule can say something about
LEAST_WINDOW = 50  # samples of which 5% are more than one or two
MONITOR = "profile the job with a ProfilerConfig, or run open_debugger.profiler.sampler beside it"
STEPS = "only the script can write them (docs/profiler.md of open_debugger)"
NO_GPU = "No GPU in this run"
WITH_GPU = ("ml.g", "ml.p")  # families of instance types


@dataclass(frozen=True)
class ProfilerRule:
    """A condition on a recording; the members are the rule's parameters with AWS's defaults."""

    def judge(self, recording: Recording) -> Finding:
        """What the rule finds; Error if the recording lacks what it looks at."""
        try:
            return self.look(recording)
        except NotRecorded as error:
            return self.finding("Error", str(error))

    def look(self, recording: Recording) -> Finding:
        """What the rule finds.

        Raises:
            NotRecorded: the recording lacks what the rule looks at.
        """
        raise NotImplementedError

    def finding(self, status: str, summary: str, **members) -> Finding:
        name = type(self).__name__
        return Finding(name, name, status, summary, parameters=asdict(self), **members)

    def verdict(
        self, found: bool, summary: str, advice: str, violations: int, **members
    ) -> Finding:
        """IssuesFound with advice if something was found, or else NoIssuesFound without."""
        status = "IssuesFound" if found else "NoIssuesFound"
        members = {"triggered": violations if found else 0, **members}
        advice = advice if found else ""
        return self.finding(status, summary, advice=advice, violations=violations, **members)


@dataclass(frozen=True)
class PatientRule(ProfilerRule):
    """A rule on samples that lets the first `patience` of them pass.

    AWS's patience of 1000 samples is for jobs of hours: at the default 500 ms the rules say nothing
    for 500 s. Here patience is at most a fifth of the samples, or, if that is more, those up to the
    first training step, for it is the initialization that patience is to leave out; a window is at
    most a tenth of what is left, but 50 samples, or all that are left. A finding's `scaled` has
    what was asked for.
    """

    def look(self, recording: Recording) -> Finding:
        times = self.times(recording)
        if times is None:
            members = {"skipped": NO_GPU, "details": self.details_without_gpu()}
            return self.finding("NoIssuesFound", _without_gpu(recording), **members)
        rule = self.fitted(len(times), _before(recording, times))
        finding = rule.search(recording)
        asked, used = asdict(self), asdict(rule)
        finding.scaled = {name: asked[name] for name in asked if asked[name] != used[name]}
        if finding.scaled:
            finding.summary += _told(finding.scaled, used)
        return finding

    def details_without_gpu(self) -> dict:
        """The details that AWS's rule reports where there is no GPU."""
        return {}

    def times(self, recording: Recording) -> np.ndarray | None:
        """When the samples were taken that patience counts: those of the GPUs."""
        found = [s.times for s in gpus(recording).values()]
        return max(found, key=len, default=None)

    def search(self, recording: Recording) -> Finding:
        """What the rule finds after its patience."""
        raise NotImplementedError

    def fitted(self, count: int, before: int) -> PatientRule:
        """The rule with a patience and a window for `count` samples, `before` ahead of training."""
        if count < LEAST:
            raise NotRecorded(f"only {count} samples were recorded: {LEAST} are the least")
        patience = min(self.patience, max(count // 5, min(before, count - LEAST)))
        if not hasattr(self, "window"):
            return replace(self, patience=patience)
        return replace(self, patience=patience, window=self.fitted_window(count - patience))

    def fitted_window(self, left: int) -> int:
        return min(self.window, max(LEAST_WINDOW, left // 10), left)


def gpus(recording: Recording, dimension: str = "GPUUtilization") -> dict:
    """All GPUs' series by (node, name); none of a run without a GPU.

    Raises:
        NotRecorded: no system metrics were recorded, or none of the GPU that there was.
    """
    found = {
        (node, name): each
        for node in samples.nodes(recording)
        for name, each in samples.series(recording, node, "gpu", dimension).items()
    }
    if not found and not (_sampled(recording) and not _has_gpu(recording)):
        raise NotRecorded(f"no {dimension} was recorded: {MONITOR}")
    return found


def _sampled(recording: Recording) -> bool:
    return any(metric.type == "cpu" for metric in recording.system)


def _has_gpu(recording: Recording) -> bool:
    """Whether there was a GPU, by its own metrics or the script's word.

    Not by the instance type: a job may ask for one with GPUs and run on a machine without.
    """
    if any(metric.type == "gpu" and len(s.times) for metric, s in recording.system.items()):
        return True
    return str(recording.run.get("Device") or "cpu") != "cpu"


def _without_gpu(recording: Recording) -> str:
    instance = recording.job.instance_type if recording.job else ""
    if instance.startswith(WITH_GPU):
        return f"{NO_GPU}, although it asked for {instance}: the machine that ran it showed none."
    return f"{NO_GPU}: there is nothing to look at."


def _before(recording: Recording, times: np.ndarray) -> int:
    """Samples up to the first training step, and the first ones of it: it fills the memory."""
    ends = samples.training(recording)
    before = int(np.searchsorted(times, ends[0])) if ends else 0
    return before + LEAST if before else 0


def _told(scaled: dict, used: dict) -> str:
    parts = [f"{name} from {asked} to {used[name]}" for name, asked in scaled.items()]
    return f" (The run is short, so the rule lowered {' and '.join(parts)}.)"


def percentages(rule: ProfilerRule, *names: str) -> None:
    """Refuse values that are no percentages.

    Raises:
        ValueError: a member is below 0 or above 100.
    """
    for name in names:
        value = getattr(rule, name)
        require(0 <= value <= 100, f"{name} {value:g} is no percentage: give 0 to 100")


def counts(rule: ProfilerRule, *names: str) -> None:
    """Refuse counts below 1.

    Raises:
        ValueError: a member is below 1.
    """
    for name in names:
        require(getattr(rule, name) >= 1, f"{name} {getattr(rule, name)} is below 1")
