"""The report's texts and tables, as plain rows that the template lays out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from open_debugger.profiler.findings import Diagnosis, Finding
from open_debugger.profiler.measures import Measures, measure
from open_debugger.profiler.recording import Job, Recording
from open_debugger.profiler.report import shares
from open_debugger.profiler.text import known, moment, number, percent, place, plain, seconds

LIMITS = {
    "data": "Data loading",
    "io": "Disk and network",
    "compute": "Computation",
    "cpu": "The CPU",
    "memory": "Memory",
    "balance": "Load balance",
    "outliers": "Slow steps",
    "unknown": "Not known",
}
WELL = 0.05  # a computing run that may gain less is well used
STATUSES = {"IssuesFound": "Issues found", "NoIssuesFound": "No issues", "Error": "Error"}
# Shown in AWS's order of the report's table: title, type, dimension, unit, divisor.
USAGE = (
    ("CPU utilization", "cpu", "CPUUtilization", "%", 1),
    ("I/O wait", "cpu", "I/OWaitPercentage", "%", 1),
    ("Main memory", "memory", "MemoryUsedPercent", "%", 1),
    ("GPU utilization", "gpu", "GPUUtilization", "%", 1),
    ("GPU memory", "gpu", "GPUMemoryUtilization", "%", 1),
    ("GPU memory used", "gpu", "GPUMemoryUsedBytes", "GiB", 2**30),
    ("GPU power", "gpu", "GPUPowerInWatts", "W", 1),
    ("Disk operations", "i/o", "IOPS", "1/s", 1),
    ("Disk read", "i/o", "ReadThroughputInBytesPerSecond", "MB/s", 1e6),
    ("Disk write", "i/o", "WriteThroughputInBytesPerSecond", "MB/s", 1e6),
    ("Network receive", "network", "ReceiveBytesPerSecond", "MB/s", 1e6),
    ("Network transmit", "network", "TransmitBytesPerSecond", "MB/s", 1e6),
)
OPERATORS = 200  # rows of that table
RUN = {
    "Model": "Model",
    "Device": "Device",
    "Precision": "Precision",
    "BatchSize": "Batch size",
    "ImageSize": "Image size",
    "Epochs": "Epochs",
}


@dataclass(frozen=True)
class Verdict:
    """What stands at the top; `tone` is good, attention, bad or unknown."""

    tone: str
    limit: str
    gain: str  # such as "at most 39%"
    gain_of: str
    gain_by: str
    share: float  # of the bar, in percent
    sentences: dict[str, str]


@dataclass(frozen=True)
class Rule:
    """A rule's result beside what AWS's own said."""

    finding: Finding
    status: str
    parameters: list[tuple[str, str, str]]  # name, used, asked for
    details: list[tuple[str, str]]
    aws: str = ""


@dataclass(frozen=True)
class Rules:
    """Found ones first; `others` are AWS's that no rule of ours stands beside.

    `skipped` are those that had nothing to look at: why, and their names.
    """

    rules: list[Rule] = field(default_factory=list)
    others: list[tuple[str, str]] = field(default_factory=list)
    managed: bool = False
    skipped: dict[str, list[str]] = field(default_factory=dict)

    @property
    def evaluated(self) -> int:
        """How many rules there are, skipped ones included."""
        return len(self.rules) + sum(map(len, self.skipped.values()))

    @property
    def quiet(self) -> list[str]:
        """The names of those that looked and found nothing."""
        return [r.finding.name for r in self.rules if r.finding.status == "NoIssuesFound"]

    @property
    def loud(self) -> list[Rule]:
        """Those that found something or failed."""
        return [r for r in self.rules if r.finding.status != "NoIssuesFound"]

    def count(self, status: str) -> int:
        """How many ended so."""
        return sum(rule.finding.status == status for rule in self.rules)


def verdict(recording: Recording, diagnosis: Diagnosis) -> Verdict:
    """The diagnosis with its visual cue."""
    gain = diagnosis.gain if known(diagnosis.gain) else None
    tone = "unknown" if diagnosis.limit == "unknown" else "attention"
    if diagnosis.limit == "compute" and (gain is None or gain < WELL):
        tone = "good"
    if failed(recording.job):
        tone = "bad"
    named = ("What limited this run", "The evidence", "The change")
    said = (diagnosis.what, diagnosis.evidence, diagnosis.change)
    return Verdict(
        tone,
        LIMITS.get(diagnosis.limit, diagnosis.limit),
        f"at most {percent(gain)}" if gain is not None else "",
        diagnosis.gain_of,
        diagnosis.gain_by,
        min(100.0, max(0.0, 100 * (gain or 0.0))),
        dict(zip(named, said, strict=True)),
    )


def failed(job: Job | None) -> bool:
    """Whether there is a job that failed."""
    return job is not None and (job.status == "Failed" or bool(job.failure))


def title(recording: Recording) -> str:
    """The job's name, or where the recording lies."""
    return recording.job.name if recording.job else place(recording.source) or "a recording"


def missing(recording: Recording) -> list[str]:
    """The readers' notes, without this machine's folders, and what is not there at all."""
    notes = [n.replace(recording.source, place(recording.source)) for n in recording.notes]
    said = " ".join(notes).lower()
    if not recording.system and "system" not in said:
        notes.append("No system metrics (CPU, GPU, memory, disk, network) were recorded.")
    if not len(recording.steps) and "step" not in said:
        notes.append("No step times were recorded.")
    elif len(recording.steps) and not shares.measured(recording.steps) and "part" not in said:
        notes.append("Only whole steps were timed, not their parts.")
    return notes


def figures(recording: Recording) -> list[tuple[str, str, str]]:
    """The run in a few figures: name, value, remark.

    The step's time and the utilization are means, as everywhere that a share is computed from them.
    """
    found, measured = [], measure(recording)
    if recording.start is not None:
        samples = max((len(s.times) for s in recording.system.values()), default=0)
        found.append(("Recorded", seconds(recording.end - recording.start), f"{samples:,} samples"))
    train = shares.phase_steps(recording, "train")
    if len(train):
        took, first = train["seconds"], shares.lead(train)
        ranks = train.groupby(["node", "rank"]).ngroups
        remark = f"mean of {len(first):,}" + (f" on each of {ranks}" if ranks > 1 else "")
        found.append(("Training step", seconds(float(took.mean())), remark))
        images = train["images"].astype(float)
        if images.notna().any() and took.sum() > 0:
            rate = ranks * images.sum() / took[images.notna()].sum()
            found.append(("Throughput", number(rate), "images/s while training"))
    found += _utilizations(recording, measured)
    if recording.job and known(recording.job.billable_seconds):
        found.append(("Billable", seconds(recording.job.billable_seconds), "of the instance"))
    return found


def _utilizations(recording: Recording, measured: Measures) -> list[tuple[str, str, str]]:
    """The mean of all while the run trained, and of several the busiest one's."""
    mean = "mean while training" if measured.steps else "mean after the start"
    found = []
    if measured.gpu is not None:
        busiest = f"; the busiest GPU {percent(max(measured.gpus.values()))}"
        remark = mean + (busiest if len(measured.gpus) > 1 else "")
        found.append(("GPU utilization", percent(measured.gpu), remark))
    elif recording.system and not recording.select("gpu", "GPUUtilization"):
        found.append(("GPU utilization", "none", "no GPU in this run"))
    if measured.cpu is not None:
        several = measured.cores != 1
        remark = mean + (f"; the busiest core {percent(measured.busiest)}" if several else "")
        found.append(("CPU utilization", percent(measured.cpu), remark))
    return found


def facts(recording: Recording) -> list[tuple[str, str]]:
    """The job's summary: name and value."""
    return [*_job_facts(recording.job), *_run_facts(recording), *_loader_facts(recording)]


def _job_facts(job: Job | None) -> list[tuple[str, str]]:
    if job is None:
        return []
    instance = f"{job.instances} x {job.instance_type}" if job.instance_type else ""
    billable = number(job.billable_seconds) if known(job.billable_seconds) else ""
    given = [("Job", job.name), ("Status", job.status), ("Instances", instance)]
    given += [(n, moment(t) if known(t) else "") for n, t in _times(job)]
    given += [("Billable seconds", billable)]
    return [(name, value) for name, value in given if value]


def _times(job: Job) -> list[tuple[str, float | None]]:
    return [("Created", job.created), ("Started", job.started), ("Ended", job.ended)]


def _run_facts(recording: Recording) -> list[tuple[str, str]]:
    run = {RUN.get(key, key): plain(value) for key, value in recording.run.items()}
    hidden = {"Type", "NodeId", "Rank", "Timestamp"}
    found = [(key, value) for key, value in run.items() if key not in hidden]
    if recording.start is not None:
        found.append(("Recorded from", moment(recording.start)))
    return found


def _loader_facts(recording: Recording) -> list[tuple[str, str]]:
    """One line a loader's name; the ranks' are the same."""
    found = {}
    for each in recording.loaders:
        pinned = {True: ", pinned memory", False: ", memory not pinned"}.get(each.get("PinMemory"))
        workers = f"{plain(each.get('Workers'))} workers{pinned or ''}"
        found.setdefault(f"Loader {each.get('Name', '')}".strip(), workers)
    return list(found.items())


def phases(job: Job | None, end: float | None = None) -> list[dict]:
    """The job's phases: name, start, duration in seconds and share of them all."""
    if job is None:
        return []
    last = job.ended or end
    rows = [(p.name, p.start, p.end if p.end is not None else last) for p in job.phases]
    rows = [(name, start, max(0.0, e - start)) for name, start, e in rows if e is not None]
    whole = sum(row[2] for row in rows)
    return [
        {"name": name, "start": start, "seconds": s, "share": s / whole if whole else 0}
        for name, start, s in rows
        if s > 0
    ]


def usage(recording: Recording) -> list[list[str]]:
    """Rows of the system usage table: metric, of what, unit, max, p99, p95, p50, min, samples."""
    rows = []
    for name, kind, dimension, unit, divisor in USAGE:
        for of, values in _groups(recording, kind, dimension):
            if len(values):
                q = np.percentile(values / divisor, [100, 99, 95, 50, 0])
                rows.append([name, of, unit, *map(number, q), f"{len(values):,}"])
    return rows


def _groups(recording: Recording, kind: str, dimension: str) -> Iterable[tuple[str, np.ndarray]]:
    """All of it, and each GPU, disk or network by itself: a core alone says little."""
    found = recording.select(kind, dimension)
    if not found:
        return
    if len(found) == 1 or kind == "cpu":
        yield ("all cores" if kind == "cpu" else next(iter(found))), _finite(found.values())
        return
    if kind == "gpu":
        yield "all GPUs", _finite(found.values())
    for name, series in found.items():
        yield name, _finite([series])


def _finite(series: Iterable) -> np.ndarray:
    values = np.concatenate([np.asarray(each.values, float) for each in series] or [np.array([])])
    return values[np.isfinite(values)]


def operators(recording: Recording) -> list[tuple]:
    """Name, calls, CPU seconds, device seconds and share, the longest first."""
    frame = recording.operators
    by = "device_seconds" if frame["device_seconds"].astype(float).sum() > 0 else "cpu_seconds"
    frame = frame.sort_values(by, ascending=False).head(OPERATORS)
    return list(frame.itertuples(index=False, name=None))


def rules(recording: Recording, findings: Iterable[Finding]) -> Rules:
    """The rules' results, issues first, then errors; beside them what AWS's own rules said."""
    findings = list(findings)
    order = {"IssuesFound": 0, "Error": 1}
    found = [_rule(each, recording.managed) for each in findings]
    found.sort(key=lambda rule: order.get(rule.finding.status, 2))
    skipped: dict[str, list[str]] = {}
    for rule in found:
        if rule.finding.skipped and not rule.aws:
            skipped.setdefault(rule.finding.skipped, []).append(rule.finding.name)
    found = [rule for rule in found if not rule.finding.skipped or rule.aws]
    ours = {finding.rule for finding in findings}
    others = [(name, said(aws)) for name, aws in recording.managed.items() if name not in ours]
    return Rules(found, others, bool(recording.managed), skipped)


def _rule(finding: Finding, managed: dict[str, dict]) -> Rule:
    parameters = [
        (name, plain(value), plain(finding.scaled[name]) if name in finding.scaled else "")
        for name, value in finding.parameters.items()
    ]
    details = [(name, plain(value)) for name, value in finding.details.items()]
    status = STATUSES.get(finding.status, finding.status)
    return Rule(finding, status, parameters, details, said(managed.get(finding.rule)))


def said(report: dict | None) -> str:
    """What AWS's rule report says, in a line."""
    if not report:
        return ""
    triggered, points = report.get("RuleTriggered", 0), report.get("Datapoints", 0)
    text = f"triggered {plain(triggered)} times" if triggered else "not triggered"
    parameters = ", ".join(str(report.get("RuleParameters", "")).split("\n"))
    text = f"{text}, {report.get('Violations', 0):,} violations in {points:,} data points"
    return f"{text} ({parameters})" if parameters else text


def stddev(findings: Iterable[Finding]) -> float:
    """From how many standard deviations on a step is an outlier: StepOutlier's, or AWS's 3."""
    given = [f.parameters.get("stddev") for f in findings if f.rule == "StepOutlier"]
    return next((float(g) for g in given if known(g) and not math.isclose(g, 0)), 3.0)
