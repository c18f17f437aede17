"""The verdict on a run of which only the reports of AWS's own rules are left."""

from __future__ import annotations

from collections.abc import Mapping

from open_debugger.profiler.findings import Diagnosis

IDLE = 10.0  # percent: gpu_threshold of CPUBottleneck and IOBottleneck
BUSY = 70.0  # percent: threshold_p95 of LowGPUUtilization
FEW = 0.7  # processes a core: min_threshold of Dataloader
CHANGES = {
    "data": "Give the loader more processes (train.py --num-workers {cores}) and less to decode; "
    "how much that would save, these reports do not say.",
    "io": "Read earlier and less often: photos in shards, the instance's own disk, more "
    "--num-workers to read ahead.",
    "cpu": "Look which work holds the cores, most often decoding: give it less to decode, or take "
    "an instance type with more vCPU.",
    "compute": "There is little to gain but by a lower precision or a faster GPU.",
}
WORDS = {
    "data": "The GPU waited for data: the loader could not make the batches fast enough.",
    "io": "The GPU waited for storage.",
    "cpu": "The GPU waited for the cores.",
    "compute": "The GPU limited this run, as is right: the network itself took the time.",
}


def diagnose(reports: Mapping[str, dict]) -> Diagnosis | None:
    """What limited a run, by AWS's rules' own figures; None if they do not tell.

    The GPU's median utilization decides whether it was idle (below 10%) or busy (its p95 70% and
    the median too); of an idle one, the first of these: a loader with fewer processes than 70% of
    the cores, IOBottleneck, CPUBottleneck.

    Args:
        reports: by their rules, as `managed.collect` gives them.
    """
    usage = _details(reports, "OverallSystemUsage")
    gpu, cpu = _first(usage.get("GPU")), _first(usage.get("CPU"))
    if not _are_numbers(gpu, "p50", "p95"):
        return None
    loader = _details(reports, "Dataloader")
    limit = _limit(reports, gpu, loader)
    if limit is None:
        return None
    change = CHANGES[limit].format(cores=loader.get("cores", "N"))
    return Diagnosis(limit, WORDS[limit], _evidence(gpu, cpu, loader), change)


def _limit(reports: Mapping[str, dict], gpu: dict, loader: dict) -> str | None:
    if gpu["p50"] >= BUSY:
        return "compute"
    if gpu["p50"] >= IDLE:
        return None
    if _are_numbers(loader, "num_workers", "cores") and _are_few(loader):
        return "data"
    for limit, rule in (("io", "IOBottleneck"), ("cpu", "CPUBottleneck")):
        if reports.get(rule, {}).get("RuleTriggered"):
            return limit
    return None


def _are_few(loader: dict) -> bool:
    """Whether the loading processes, of which there is always one, are few for the cores."""
    return max(1, loader["num_workers"]) < FEW * loader["cores"]


def _evidence(gpu: dict, cpu: dict, loader: dict) -> str:
    parts = [f"GPU utilization: median {gpu['p50']:.0f}%, p95 {gpu['p95']:.0f}%"]
    if _are_numbers(cpu, "p50", "p95"):
        parts.append(f"CPU: median {cpu['p50']:.0f}%, p95 {cpu['p95']:.0f}%")
    if _are_numbers(loader, "num_workers", "cores"):
        parts.append(f"{loader['num_workers']} loader workers on {loader['cores']} cores")
    times = loader.get("dataloading_time")
    if isinstance(times, dict) and _are_numbers(times, "p50"):
        parts.append(f"a batch took {times['p50']:.2g} s at the median")
    return f"By the reports of AWS's own rules: {'; '.join(parts)}."


def _details(reports: Mapping[str, dict], rule: str) -> dict:
    return reports.get(rule, {}).get("Details", {})


def _first(nodes: object) -> dict:
    """The figures of the first node."""
    figures = next(iter(nodes.values()), None) if isinstance(nodes, dict) else None
    return figures if isinstance(figures, dict) else {}


def _are_numbers(figures: dict, *names: str) -> bool:
    return all(type(figures.get(name)) in (int, float) for name in names)
