"""The verdict on a run of which only the reports of AWS's own rules are left."""

from __future__ import annotations

from collections.abc import Mapping

from open_debugger.profiler.findings import Diagnosis

IDLE = 10.0  # percent: gpu_threshold of CPUBottleneck and IOBottleneck
BUSY = 70.0  # percent: threshold_p95 of LowGPUUtilization
FEW = 0.7  # processes a core: min_threshold of Dataloader
CHANGES = {
    "data": "Give the loader more processes (the DataLoader's num_workers: {cores}) and less to "
    "decode; how much that would save, these reports do not say.",
    "io": "Read earlier and less often: photos in shards, the instance's own disk, more "
    "loader processes (num_workers) to read ahead.",
    "cpu": "Look which work holds the cores, most often decoding: give it less to decode, or take "
    "an instance type with more vCPU.",
    "compute": "There is little to gain but by a lower precision or a faster GPU.",
}
OF_AN_IDLE_GPU = ("LowGPUUtilization", "CPUBottleneck", "IOBottleneck")  # by their conditions
UNSAID = "AWS's own rules do not say what limited this run."
MORE = (
    "Look at the rules' figures below. Times of the training steps would say more: only the script "
    "can write them (docs/profiler.md of open_debugger)."
)
WORDS = {
    "data": "The GPU waited for data: the loader could not make the batches fast enough.",
    "io": "The GPU waited for storage.",
    "cpu": "The GPU waited for the cores.",
    "compute": "The GPU limited this run, as is right: the network itself took the time.",
}


def diagnose(reports: Mapping[str, dict]) -> Diagnosis | None:
    """What limited a run, by AWS's rules' own figures; None without any report.

    The GPU's median utilization decides whether it was idle (below 10%) or busy (70%); where it is
    not told, it was idle if a rule triggered that says so. Of an idle one, the first of these: a
    loader with fewer processes than 70% of the cores, IOBottleneck, CPUBottleneck.

    Args:
        reports: by their rules, as `managed.collect` gives them.
    """
    if not reports:
        return None
    usage = _details(reports, "OverallSystemUsage")
    gpu, cpu = _first(usage.get("GPU")), _first(usage.get("CPU"))
    loader = _details(reports, "Dataloader")
    evidence = _evidence(reports, gpu, cpu, loader)
    limit = _limit(reports, gpu, loader)
    if limit is None:
        return Diagnosis("unknown", UNSAID, evidence, MORE)
    change = CHANGES[limit].format(cores=loader.get("cores", "as many as there are cores"))
    return Diagnosis(limit, WORDS[limit], evidence, change)


def _limit(reports: Mapping[str, dict], gpu: dict, loader: dict) -> str | None:
    if _are_numbers(gpu, "p50"):
        if gpu["p50"] >= BUSY:
            return "compute"
        is_idle = gpu["p50"] < IDLE
    else:
        is_idle = any(_triggered(reports, rule) for rule in OF_AN_IDLE_GPU)
    if not is_idle:
        return None
    counted = _are_numbers(loader, "num_workers", "cores")
    if _are_few(loader) if counted else _triggered(reports, "Dataloader"):
        return "data"
    for limit, rule in (("io", "IOBottleneck"), ("cpu", "CPUBottleneck")):
        if _triggered(reports, rule):
            return limit
    return None


def _triggered(reports: Mapping[str, dict], rule: str) -> int:
    return reports.get(rule, {}).get("RuleTriggered", 0)


def _are_few(loader: dict) -> bool:
    """Whether the loading processes, of which there is always one, are few for the cores."""
    return max(1, loader["num_workers"]) < FEW * loader["cores"]


def _evidence(reports: Mapping[str, dict], gpu: dict, cpu: dict, loader: dict) -> str:
    parts = []
    if _are_numbers(gpu, "p50", "p95"):
        parts.append(f"GPU utilization: median {gpu['p50']:.0f}%, p95 {gpu['p95']:.0f}%")
    if _are_numbers(cpu, "p50", "p95"):
        parts.append(f"CPU: median {cpu['p50']:.0f}%, p95 {cpu['p95']:.0f}%")
    if _are_numbers(loader, "num_workers", "cores"):
        parts.append(f"{loader['num_workers']} loader workers on {loader['cores']} cores")
    times = loader.get("dataloading_time")
    if isinstance(times, dict) and _are_numbers(times, "p50"):
        parts.append(f"a batch took {times['p50']:.2g} s at the median")
    if not _are_numbers(gpu, "p50"):
        parts.append(_counts(reports))
    return f"By the reports of AWS's own rules: {'; '.join(parts)}."


def _counts(reports: Mapping[str, dict]) -> str:
    """How often each rule triggered: all that a report without details tells."""
    points = max(report["Datapoints"] for report in reports.values())
    found = [f"{rule} {n} times" for rule in sorted(reports) if (n := _triggered(reports, rule))]
    return f"in {points:,} data points {', '.join(found) or 'no rule'} triggered"


def _details(reports: Mapping[str, dict], rule: str) -> dict:
    return reports.get(rule, {}).get("Details", {})


def _first(nodes: object) -> dict:
    """The figures of the first node."""
    figures = next(iter(nodes.values()), None) if isinstance(nodes, dict) else None
    return figures if isinstance(figures, dict) else {}


def _are_numbers(figures: dict, *names: str) -> bool:
    return all(type(figures.get(name)) in (int, float) for name in names)
