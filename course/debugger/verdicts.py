"""Where a job's tensors lie, and what its rules said: the same, managed or self-hosted."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
import pandas as pd

import open_debugger
from course import jobs
from course.debugger import tensors
from course.debugger.rules import regexes
from course.debugger.tensors import Curve

if TYPE_CHECKING:
    from smdebug.trials import Trial

    from open_debugger.profiler import Profile

UNDER_WAY = {"InProgress", "Stopping"}  # of RuleEvaluationStatus
TENSORS, SAMPLES = "debug-output", "profiler-output"


class NothingWatched(RuntimeError):
    """A rule looks for tensors that the job did not save; the text names both."""


def saved(of: Any, what: str = TENSORS) -> str:
    """The address in S3 below which a job's tensors lie, or its machine's samples.

    Args:
        of: a training job, or a trainer whose latest job is meant.
        what: ``debug-output`` or ``profiler-output``.

    Raises:
        ValueError: the job was not asked for any.
    """
    job = _job(of)
    member = {TENSORS: "debug_hook_config", SAMPLES: "profiler_config"}[what]
    for config, attribute in ((member, "s3_output_path"), ("checkpoint_config", "s3_uri")):
        root = getattr(getattr(job, config, None), attribute, None)
        if isinstance(root, str):  # what was not said is an object of the SDK's own
            return f"{root}/{job.training_job_name}/{what}"
    raise ValueError(
        f"{job.training_job_name} has no {what}: it ran without debugger_hook_config and "
        "profiler_config, or its trainer was no DebuggedTrainer"
    )


def trial(of: Any) -> Trial:
    """The tensors of a job or of a trainer's latest job, as smdebug's trial.

    Raises:
        TrialError: nothing was saved.
    """
    return open_debugger.open_trial(saved(of))


def profile(of: Any) -> Profile:
    """The profiler's analysis of a job or of a trainer's latest job; displayed, a report."""
    from open_debugger import profiler

    job = _job(of).refresh()
    return profiler.analyse(saved(job, SAMPLES), job)


def curves(of: Any) -> dict[str, Curve]:
    """The losses of a trial, a job or a trainer's latest job, as `tensors.curves` gives them."""
    return tensors.curves(of if hasattr(of, "tensor_names") else trial(of))


def verdicts(of: Any) -> pd.DataFrame:
    """What a job's rules say: a row a rule, `status` and `details`.

    Waits for rules that are still being evaluated beside the job. Where SageMaker evaluates none,
    a trainer's rules are evaluated here, and what they say is kept beside the job's tensors.

    Args:
        of: a `DebuggedTrainer`, or a training job; where SageMaker evaluates no rules, one whose
            trainer has been asked before.

    Raises:
        NothingWatched: a rule's regular expression matches no tensor that was saved.
        ValueError: nobody has evaluated the job's rules.
    """
    job = _job(of).refresh()
    requests = _requests(of)
    if requests["tensors"]:
        check(trial(job), requests["tensors"])
    if isinstance(getattr(job, "debug_rule_evaluation_statuses", None), list) or isinstance(
        getattr(job, "profiler_rule_evaluation_statuses", None), list
    ):
        return jobs.until(lambda: _final(job.refresh()))
    if of is job:
        return _kept(job)
    found = _evaluated(job, requests)
    _keep(job, found)
    return found


def _requests(of: Any) -> dict[str, list[dict[str, Any]]]:
    """A trainer's rules as the API has them; a job's own are not needed."""
    if not hasattr(of, "requests"):
        return {"tensors": [], "machine": []}
    from sagemaker.core.debugger import ProfilerRule, Rule

    return {"tensors": of.requests(Rule), "machine": of.requests(ProfilerRule)}


def _evaluated(job: Any, requests: Mapping[str, list[dict[str, Any]]]) -> pd.DataFrame:
    found = []
    if requests["tensors"]:
        found.append(open_debugger.evaluate(saved(job), requests["tensors"]).frame())
    if requests["machine"]:
        from open_debugger import profiler

        analysis = profiler.analyse(saved(job, SAMPLES), job, requests["machine"])
        told = analysis.findings.frame().rename(columns={"summary": "details"})
        # Not the rules that ProfilerReport runs: SageMaker does not tell their statuses either.
        found.append(told.loc[[each["RuleConfigurationName"] for each in requests["machine"]]])
    if not found:
        raise ValueError(f"{job.training_job_name} has no rules: its trainer was given none")
    return pd.concat([table[COLUMNS].rename_axis("rule") for table in found])


def _place(job: Any) -> dict[str, str]:
    root = next(saved(job, what) for what in (TENSORS, SAMPLES) if _has(job, what))
    bucket, _, key = root.removeprefix("s3://").rpartition("/")[0].partition("/")
    return {"Bucket": bucket, "Key": f"{key}/rule-output/verdicts.json"}


def _has(job: Any, what: str) -> bool:
    try:
        saved(job, what)
    except ValueError:
        return False
    return True


def _keep(job: Any, found: pd.DataFrame) -> None:
    body = found.to_json(orient="split").encode()
    boto3.client("s3").put_object(**_place(job), Body=body)


def _kept(job: Any) -> pd.DataFrame:
    s3 = boto3.client("s3")
    try:
        body = s3.get_object(**_place(job))["Body"].read()
    except (s3.exceptions.NoSuchKey, StopIteration) as error:
        raise ValueError(
            f"nobody has evaluated the rules of {job.training_job_name}: call debugger.verdicts "
            "with its trainer, which notebook 03-train-debug-profile does"
        ) from error
    return pd.read_json(io.BytesIO(body), orient="split").rename_axis("rule")


COLUMNS = ["status", "details"]


def _final(job: Any) -> pd.DataFrame | None:
    """The statuses that SageMaker tells; None while one of the rules is being evaluated."""
    rows = []
    for member in ("debug_rule_evaluation_statuses", "profiler_rule_evaluation_statuses"):
        statuses = getattr(job, member, None)
        for each in statuses if isinstance(statuses, list) else ():
            if each.rule_evaluation_status in UNDER_WAY:
                return None
            details = each.status_details if isinstance(each.status_details, str) else ""
            rows.append((each.rule_configuration_name, each.rule_evaluation_status, _own(details)))
    return _frame(rows)


def _own(details: str) -> str:
    """The findings, which local evaluation adds below AWS's sentence; on AWS, the sentence."""
    awss, _, findings = details.partition("\n")
    return findings or awss


def _frame(rows: Sequence[tuple[str, str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["rule", *COLUMNS])
    return table.set_index("rule")


def check(trial: Trial, requests: Sequence[Mapping[str, Any]]) -> None:
    """Every regular expression of every rule must match a tensor that was saved.

    Some rules look at several kinds of tensors, and say nothing of a kind that is not there.

    Raises:
        NothingWatched: one does not.
    """
    for request in requests:
        for regex in regexes(request.get("RuleParameters", {})):
            if not trial.tensor_names(regex=[regex]):
                there = ", ".join(sorted(trial.tensor_names())[:3])
                raise NothingWatched(
                    f"{request['RuleConfigurationName']} looks for tensors named '{regex}', and "
                    f"none of the {len(trial.tensor_names())} tensors that were saved has such a "
                    f"name; the first are {there}. Add a collection to the hook's configuration, "
                    "or give the rule the network's own names (debugger.parameters)"
                )


def with_defaults(trial: Trial, requests: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The rules with AWS's defaults beside the parameters that they have, on the same tensors.

    Returns:
        A row a rule. `defaults` and `ours`: what it says with AWS's and with the given parameters;
        `why (defaults)`: the details with AWS's defaults.
    """
    from open_debugger import evaluate

    ours = evaluate(trial, requests)
    names = {each["RuleConfigurationName"]: each["RuleParameters"]["rule_to_invoke"]
             for each in requests}  # fmt: skip
    defaults = evaluate(trial, list(names.values()))
    rows = [
        (name, defaults[rule].status, ours[name].status, defaults[rule].details)
        for name, rule in names.items()
    ]
    columns = ["rule", "defaults", "ours", "why (defaults)"]
    return pd.DataFrame(rows, columns=columns).set_index("rule")


FOUND, QUIET = "IssuesFound", "NoIssuesFound"


def tested(healthy: pd.DataFrame, ill: pd.DataFrame) -> pd.DataFrame:
    """Which rules have passed both tests: quiet on a healthy run, alarmed on an ill one.

    Args:
        healthy: the verdicts on a healthy run, as `verdicts` gives them.
        ill: those on an ill one, by the same rules.

    Returns:
        A row for each rule, in the order of the input. `healthy run` and `ill run`: its statuses,
        "absent" if it did not watch; `tested`: what the two say of its parameters.
    """
    rules = healthy.index.union(ill.index, sort=False)
    statuses = pd.DataFrame(
        {
            "healthy run": healthy["status"].reindex(rules, fill_value="absent"),
            "ill run": ill["status"].reindex(rules, fill_value="absent"),
        },
        index=rules.rename("rule"),
    )
    statuses["tested"] = [_passed(*pair) for pair in statuses.itertuples(index=False)]
    return statuses


def _passed(healthy: str, ill: str) -> str:
    if healthy == FOUND:
        return "alarmed on the healthy run"
    if healthy != QUIET:
        return f"not tested: {healthy} on the healthy run"
    if ill == QUIET:
        return "not tested: quiet on both"
    return "quiet, then alarmed" if ill == FOUND else f"not tested: {ill} on the ill run"


def diagnosis(trainer: Any) -> pd.DataFrame:
    """The first thing that each rule found, the earliest rule first.

    The trainer's rules are evaluated here on what its latest job saved, whoever watched the job.

    Returns:
        A row for each rule that found an issue: `step` and `mode` of the first, its `tensor`, the
        `value` and the `threshold` that it broke, as text, and the rule's `advice`.
    """
    from smdebug.core.modes import ModeKeys

    tensors = trial(trainer)
    found = open_debugger.evaluate(tensors, _requests(trainer)["tensors"]).verdicts()
    first = found.drop_duplicates("rule").set_index("rule")
    moments = [
        tensors.global_step(ModeKeys[mode], step)
        for mode, step in zip(first["mode"], first["step"], strict=True)
    ]
    columns = ["step", "mode", "tensor", "value", "threshold", "advice"]
    table = first.iloc[np.argsort(moments, kind="stable")][columns].copy()
    for name in ("value", "threshold"):  # of each rule in a unit of its own
        table[name] = [f"{number:.3g}" for number in table[name]]
    return table


def _job(of: Any) -> Any:
    return getattr(of, "_latest_training_job", None) or of
