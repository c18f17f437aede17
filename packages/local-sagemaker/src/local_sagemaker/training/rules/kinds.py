"""The two kinds of Debugger rules of a training job, and what one is in the other's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from local_sagemaker.training import profiler_config
from local_sagemaker.training.data import mirroring


@dataclass(frozen=True)
class RuleKind:
    """Rules of one kind: the members of a job's description, and how they are evaluated.

    `source` gives the S3 address below which lies what the rules read, of a job that says where;
    `lacks` why a job's rules have nothing to read (None if they may have), and `nothing` what to
    say when there was nothing in the end. The process starts `delay_s` after the first object is
    there, or at the job's end; if `takes_job`, it gets the job's description with ``--job``.
    """

    configurations: str
    statuses: str
    evaluator: str
    source: Callable[[dict], str]
    lacks: Callable[[dict], str | None]
    nothing: str
    delay_s: float = 0.0
    takes_job: bool = False


def _lacks_tensors(job: dict) -> str | None:
    if "DebugHookConfig" not in job:
        return "the training job has no DebugHookConfig: its tensors are stored nowhere"
    return None


def _lacks_profile(job: dict) -> str | None:
    if "ProfilerConfig" not in job:
        return "the training job has no ProfilerConfig: nothing is recorded of it"
    if not profiler_config.is_enabled(job):
        return "the training job's ProfilerConfig has DisableProfiler: nothing is recorded of it"
    return None


TENSOR_RULES = RuleKind(
    configurations="DebugRuleConfigurations",
    statuses="DebugRuleEvaluationStatuses",
    evaluator="open_debugger.beside_job.tensors",
    source=mirroring.tensors,
    lacks=_lacks_tensors,
    nothing="The training job saved no tensors below {}: look whether its script makes a hook of "
    "smdebug (get_hook) and registers its model with it",
)
PROFILER_RULES = RuleKind(
    configurations="ProfilerRuleConfigurations",
    statuses="ProfilerRuleEvaluationStatuses",
    evaluator="open_debugger.beside_job.profiler",
    source=profiler_config.recording,
    lacks=_lacks_profile,
    nothing="Nothing was recorded of the training job below {}: it ended before the first sample, "
    "or its log says why",
    delay_s=60.0,  # a short job has the machine to itself
    takes_job=True,
)
KINDS = (TENSOR_RULES, PROFILER_RULES)
