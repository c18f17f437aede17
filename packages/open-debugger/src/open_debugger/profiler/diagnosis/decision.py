"""What limited a run: which of the possible limits its figures show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from open_debugger.profiler.diagnosis import from_reports, sentences
from open_debugger.profiler.diagnosis.thresholds import (
    BUSY_GPU,
    DATA,
    FEWEST,
    FULL_CORES,
    FULL_MEMORY,
    HIDDEN,
    IO,
    LEAK,
    MOSTLY,
    ONE_CORE,
    OUTLIERS,
    REST,
    SHORTEST,
    UNBALANCED,
)
from open_debugger.profiler.findings import Diagnosis, Finding
from open_debugger.profiler.measures import Measures, measure
from open_debugger.profiler.recording import Recording
from open_debugger.profiler.text import percent

OVERHEADS = {
    "initialization": "Start faster first (FastFile mode, no packages to install, pretrained "
    "weights from a channel), or train longer in one job",
    "evaluation": "Evaluate less often first, and with larger batches under torch.inference_mode()",
    "checkpoint": "Save less often first, or on one rank only",
}
# The rules that see a limit too.
SEEN_BY = {
    "data": ("Dataloader", "LowGPUUtilization", "CPUBottleneck"),
    "io": ("IOBottleneck", "LowGPUUtilization"),
    "cpu": ("CPUBottleneck", "LowGPUUtilization", "BatchSize"),
    "memory": ("GPUMemoryIncrease",),
    "balance": ("LoadBalancing",),
    "outliers": ("StepOutlier",),
}


def diagnose(recording: Recording, findings: Iterable[Finding] = ()) -> Diagnosis:
    """Say what limited a run.

    What was measured decides, the first that holds:

    1. memory, where it rises steadily and is full at the end: the run is about to fail.
    2. The wait for data is 25% of the training steps' time or more, and the GPU, if there is one,
       works less than 80% of the time (it works on while the next batch is awaited). A quarter,
       for all that can be won is 1 / (1 - share): a third more speed, and below that the first
       batches of the epochs alone are often as much. Then io, if in half of the samples a core
       waits for storage; or cpu, if several loader processes fill all cores (85%); or else data.
    3. balance: two GPUs' utilization is further apart than LoadBalancing's 0.2.
    4. memory, where it rises steadily by more than GPUMemoryIncrease's 5 percentage points.
    5. outliers: steps of more than twice the median take 10% of the steps' time beyond it.
    6. io, as above, and a GPU below 70%, or none.
    7. cpu: Python takes a quarter of the steps, or a core is full (90%) and the others idle, or
       the GPU works less than 70% of the time on kernels that are too small for it.
    8. compute: the network itself.

    Without step times the GPU's utilization decides, and what the cores do meanwhile; without
    samples the reports of AWS's own rules, if they were read.

    Args:
        findings: of the rules; those that saw the same are named.

    Returns:
        `gain` is a bound, not a forecast: no more can be saved than was spent waiting, and work
        that stays cannot be done faster than by all cores; None where no time is to be gained.
    """
    figures = measure(recording)
    if figures.steps >= FEWEST and figures.parts and figures.seconds >= SHORTEST:
        diagnosis = _by_steps(figures)
    elif figures.samples >= FEWEST and figures.seconds >= SHORTEST:
        diagnosis = replace(_by_samples(replace(figures, parts={})), gain_of=sentences.RUN)
    else:
        return from_reports.diagnose(recording.managed) or sentences.too_little(figures)
    return _agreed(_with_overheads(diagnosis, figures), findings)


def _by_steps(m: Measures) -> Diagnosis:
    waiting = m.parts.get("data", 0.0) >= DATA and (m.gpu is None or m.gpu < HIDDEN)
    if m.rise > LEAK and (m.memory or 0.0) >= FULL_MEMORY:
        return sentences.memory(m)
    if waiting:
        return _waiting(m)
    if m.distance > UNBALANCED:
        return sentences.balance(m)
    if m.rise > LEAK:
        return sentences.memory(m)
    if (m.outliers or 0.0) >= OUTLIERS:
        return sentences.outliers(m)
    return _working(m)


def _waiting(m: Measures) -> Diagnosis:
    if _waits_for_storage(m):
        return sentences.io(m)
    if m.workers and m.cpu is not None and m.cpu >= FULL_CORES:
        return sentences.decoding(m)
    return sentences.data(m)


def _working(m: Measures) -> Diagnosis:
    idle = m.gpu is None or m.gpu < BUSY_GPU
    if idle and _waits_for_storage(m):
        return sentences.io(m)
    if idle and m.parts.get("rest", 0.0) >= REST:
        return sentences.python(m)
    if idle and m.parts.get("host_to_device", 0.0) >= DATA:
        return sentences.copying(m)
    if _one_core(m) and m.gpu is None:
        return sentences.threads(m)
    if m.gpu is not None and m.gpu < BUSY_GPU:
        return sentences.small_kernels(m)
    return sentences.compute(m)


def _by_samples(m: Measures) -> Diagnosis:
    if m.distance > UNBALANCED:
        return sentences.balance(m)
    if m.rise > LEAK:
        return sentences.memory(m)
    if m.gpu is not None and m.gpu >= BUSY_GPU:
        return sentences.compute(m)
    if _waits_for_storage(m):
        return sentences.io(m)
    if m.gpu is not None and (_one_core(m) or (m.one_full or 0.0) >= 0.5 or sentences.is_full(m)):
        return sentences.held_up(m)
    if m.gpu is None and sentences.is_full(m):
        return sentences.processor(m)
    return sentences.unexplained(m)


def _waits_for_storage(m: Measures) -> bool:
    return m.io is not None and m.io >= IO


def _one_core(m: Measures) -> bool:
    """One core is full and the others mostly idle, or, for the system moves a process from core
    to core, all of them together do the work of about one."""
    if m.cpu is None or m.cores < 2:
        return False
    full = m.busiest >= ONE_CORE and m.cpu < m.busiest / 1.5
    return full or ONE_CORE <= m.cpu * m.cores <= 1.25


def _with_overheads(diagnosis: Diagnosis, m: Measures) -> Diagnosis:
    """Say it where less than half of the run was training steps, and what was the rest."""
    if m.stepping is None or m.stepping >= MOSTLY:
        return diagnosis
    most = sorted(m.overheads.items(), key=lambda item: -item[1])[:3]
    named = ", ".join(f"{name} {percent(share)}" for name, share in most if share >= 0.05)
    text = f" Training steps took only {percent(m.stepping)} of the run's time"
    text += f" ({named})." if named else "."
    said = replace(diagnosis, evidence=diagnosis.evidence + text)
    if not most or most[0][1] < MOSTLY:
        return said
    what = f"Most of this run was {most[0][0]}, not training; and of that: {diagnosis.what}"
    change = OVERHEADS.get(most[0][0], "Look first at what it does there")
    return replace(said, what=what, change=f"{change}. Then: {diagnosis.change}")


def _agreed(diagnosis: Diagnosis, findings: Iterable[Finding]) -> Diagnosis:
    """Name the rules that saw the same."""
    found = {finding.rule for finding in findings if finding.status == "IssuesFound"}
    names = [rule for rule in SEEN_BY.get(diagnosis.limit, ()) if rule in found]
    if not names:
        return diagnosis
    rules = f"rule {names[0]}" if len(names) == 1 else f"rules {_listed(names)}"
    return replace(diagnosis, evidence=f"{diagnosis.evidence} The {rules} found it, too.")


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
