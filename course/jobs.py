"""Training and tuning jobs: find the ones of an earlier notebook, wait, read metrics and logs.

    job = jobs.wait(trainer)                   asks until the job has ended; raises if it failed
    jobs.metrics(job, "valid_accuracy")        the metrics that SageMaker read from the log
    jobs.log(job, "epoch=")                    the log's lines that match
    jobs.latest_tuning_job(ws)                 what notebook 02 left behind
    jobs.savings(ws, trainer)                  what spot instances have saved

The names of the statuses are those of the API reference's enumerations TrainingJobStatus,
SecondaryStatus, HyperParameterTuningJobStatus and EndpointStatus.
"""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from IPython import get_ipython
from IPython.display import display

if TYPE_CHECKING:
    import pandas as pd
    from sagemaker.core.resources import HyperParameterTuningJob, TrainingJob
    from sagemaker.core.training.configs import Channel, CheckpointConfig, StoppingCondition, Tag

    from course.workspace import Workspace

Found = TypeVar("Found")

PROJECT = "dog-breeds"
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
LAST_LINES = 12  # of the log, in an error
SPOT_WAIT_S = 3600  # for spot instances, in all
SAVINGS = ("interruptions", "trained", "billed", "saved")  # the columns of `savings`
COMPLETED = frozenset({"Completed"})

GOOD = {"Completed", "InService"}
BAD = {
    "Failed", "Stopped", "OutOfService", "UpdateRollbackFailed", "DeleteFailed",
    "MaxRuntimeExceeded", "MaxWaitTimeExceeded",
}  # fmt: skip
UNDER_WAY = {
    "InProgress", "Pending", "Starting", "LaunchingMLInstances", "PreparingTrainingStack",
    "Downloading", "DownloadingTrainingImage", "Training", "Uploading", "Restarting", "Updating",
    "Stopping", "Interrupted", "Creating", "SystemUpdating", "RollingBack", "Deleting",
}  # fmt: skip


class MissingStep(RuntimeError):
    """An earlier notebook has not been run on this bucket or account; the text names it."""


class JobFailed(RuntimeError):
    """A job has ended otherwise than expected; the text has its reason and its last log lines."""


class State(NamedTuple):
    """SageMaker's status of a job or an endpoint, how many are done, why it failed."""

    status: str
    done: int | None = None
    reason: str | None = None

    @property
    def ended(self) -> bool:
        """True when asking again can bring nothing new."""
        return self.status not in UNDER_WAY


def as_state(answer: str | tuple) -> State:
    """The answer as a State. SDK v3 has an object of its own for "not said": that is no reason.

    Raises:
        ValueError: the status is none of SageMaker's.
    """
    state = State(answer) if isinstance(answer, str) else State(*answer)
    if state.status not in GOOD | BAD | UNDER_WAY:
        raise ValueError(
            f"{state.status!r} is no status that SageMaker gives. "
            f"Ask for one of {', '.join(sorted(GOOD | BAD | UNDER_WAY))}."
        )
    done = state.done if isinstance(state.done, int) else None
    return State(state.status, done, state.reason if isinstance(state.reason, str) else None)


# ---------------------------------------------------------------------------------- earlier results


def require(found: Found | None, what: str, notebook: str) -> Found:
    """`found`, unless it is empty.

    Raises:
        MissingStep: naming `what` is missing and the `notebook` that makes it.
    """
    if not found:
        raise MissingStep(f"{what} is not there yet: run notebook {notebook} first")
    return found


def until(ask: Callable[[], Found | None], limit_s: float = 1800, pause_s: float = 1) -> Found:
    """Ask again and again, until the answer is not None.

    Raises:
        TimeoutError: it was None for `limit_s` seconds.
    """
    deadline = time.monotonic() + limit_s
    while (found := ask()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no answer within {limit_s} s: look at the job in the console")
        time.sleep(pause_s)
    return found


def latest_tuning_job(ws: Workspace, base_name: str = PROJECT) -> HyperParameterTuningJob:
    """The tuning job of this course that completed last.

    Raises:
        MissingStep: there is none.
    """
    from sagemaker.core.resources import HyperParameterTuningJob

    found = _names(
        ws,
        "list_hyper_parameter_tuning_jobs",
        "HyperParameterTuningJobSummaries",
        "HyperParameterTuningJobName",
        base_name,
    )
    name = require(next(found, None), f"a completed tuning job {base_name}", "02-hpo")
    return HyperParameterTuningJob.get(name, region=ws.region)


def latest_training_job(
    ws: Workspace, base_name: str, notebook: str = "03-train-debug-profile"
) -> TrainingJob:
    """The training job with this `base_job_name` that completed last.

    Args:
        ws: what `course.connect` returned.
        base_name: the trainer's `base_job_name`; the SDK adds the time to it.
        notebook: which one makes the job, for the error.

    Raises:
        MissingStep: there is none.
    """
    from sagemaker.core.resources import TrainingJob

    found = _names(ws, "list_training_jobs", "TrainingJobSummaries", "TrainingJobName", base_name)
    name = require(next(found, None), f"a completed training job {base_name}", notebook)
    return TrainingJob.get(name, region=ws.region)


def _names(ws: Workspace, operation: str, member: str, field: str, base: str) -> Iterator[str]:
    """Names of completed jobs, the newest first, that are `base` and the time of the start."""
    base = base.replace("_", "-")  # as the SDK does
    client = ws.session.boto_session.client("sagemaker")
    pages = client.get_paginator(operation).paginate(
        NameContains=base, StatusEquals="Completed", SortBy="CreationTime", SortOrder="Descending"
    )
    names = (item[field] for page in pages for item in page[member])
    return (name for name in names if re.fullmatch(rf"{re.escape(base)}-[\d-]+", name))


# ------------------------------------------------------------------------------------------ waiting


def wait(
    *jobs: Any, expect: Collection[str] = COMPLETED, every_s: float = 2
) -> TrainingJob | HyperParameterTuningJob | list:
    """Ask until all jobs have ended, however long that takes, and show how they are meanwhile.

    Args:
        jobs: trainers or tuners whose latest job is meant, or jobs of the SDK's `resources`.
        expect: statuses at the end that are all right.
        every_s: seconds between two questions, after a minute; it asks more often at first.

    Returns:
        The ended job; for several a list, in the order in which they were given.

    Raises:
        JobFailed: at least one job ended with another status. Nothing is raised before all ended.
        TypeError: something is no job, or has not been started.
    """
    found = [_job(job) for job in jobs]
    board, begun = _Board(), time.monotonic()
    try:
        while True:
            for job in found:
                if not _state(job).ended:
                    job.refresh()
            board.show("\n".join(_told(job) for job in found))
            if all(_state(job).ended for job in found):
                break
            time.sleep(every_s * min(1, 0.2 + (time.monotonic() - begun) / 75))
    finally:
        board.leave()
    failed = [job for job in found if _state(job).status not in expect]
    if failed:
        raise JobFailed("\n\n".join(_complaint(job) for job in failed))
    return found[0] if len(found) == 1 else found


def _job(job: Any) -> Any:
    """The job that is meant by a trainer, a tuner or a job."""
    for attribute in ("_latest_training_job", "latest_tuning_job"):
        if hasattr(job, attribute):
            job = getattr(job, attribute)
    if _name(job) is None:
        raise TypeError(
            f"{type(job).__name__} is no job: give a trainer after train(..., wait=False), a tuner "
            "after tune(..., wait=False), or a job"
        )
    return job


def _name(job: Any) -> str | None:
    for attribute in ("training_job_name", "hyper_parameter_tuning_job_name"):
        if isinstance(name := getattr(job, attribute, None), str):
            return name
    return None


def _state(job: Any) -> State:
    """The job's state; a training job under way tells its secondary status."""
    if hasattr(job, "hyper_parameter_tuning_job_status"):
        counters = job.training_job_status_counters
        status, done = job.hyper_parameter_tuning_job_status, getattr(counters, "completed", None)
    else:
        status, done = job.training_job_status, None
        if status in UNDER_WAY and isinstance(job.secondary_status, str):
            status = job.secondary_status if job.secondary_status in UNDER_WAY else status
    return as_state((status if isinstance(status, str) else "Starting", done, job.failure_reason))


def _told(job: Any) -> str:
    """A line about a job: name, status, how many are done, how long it has taken."""
    state = _state(job)
    done = []
    if state.done is not None:
        config = job.hyper_parameter_tuning_job_config
        done = [f"{state.done} of {config.resource_limits.max_number_of_training_jobs} jobs"]
    return " · ".join([_name(job), state.status, *done, *_age(job)])


def _age(job: Any) -> list[str]:
    ends = ("training_end_time", "hyper_parameter_tuning_end_time")
    times = [getattr(job, name, None) for name in ("creation_time", *ends)]
    begun, *ended = [moment if isinstance(moment, datetime) else None for moment in times]
    if begun is None:
        return []
    end = next(filter(None, ended), None) or datetime.now(UTC)
    seconds = max(0, round((end - begun).total_seconds()))
    return [f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60} s"]


def _complaint(job: Any) -> str:
    state = _state(job)
    text = f"{_told(job)}: {state.reason or 'no reason is given'}"
    lines = _last_lines(_name(job)) if hasattr(job, "training_job_name") else []
    return "\n".join([text, *(["The last lines of its log:"] if lines else []), *lines])


class _Board:
    """A text that is replaced while the job runs; in plain Python only the last one is printed."""

    def __init__(self) -> None:
        self.text = ""
        in_jupyter = getattr(get_ipython(), "kernel", None) is not None
        self.handle = display(_Text(""), display_id=True) if in_jupyter else None

    def show(self, text: str) -> None:
        """Put `text` in the place of the last one."""
        if text != self.text and self.handle is not None:
            self.handle.update(_Text(text))
        self.text = text

    def leave(self) -> None:
        """The last text stays."""
        if self.handle is None:
            print(self.text)


class _Text(str):
    """Text that a notebook shows without quotes."""

    def __repr__(self) -> str:
        return str(self)


# ----------------------------------------------------------------------------------- what they said


def metrics(job: Any, *names: str, limit_s: float = 300, pause_s: float = 1) -> dict[str, float]:
    """The last value of each metric that SageMaker read from a job's log, by name.

    They may come some time after the job's end.

    Args:
        job: a trainer, or a training job of the SDK's `resources`.
        names: metrics to wait for; without them, those that come first are waited for.
        limit_s: seconds to wait at most.
        pause_s: seconds between two questions.

    Raises:
        TimeoutError: a metric has not come.
    """
    job = _job(job)
    found: dict[str, float] = {}

    def ask() -> dict[str, float] | None:
        listed = job.final_metric_data_list
        listed = listed if isinstance(listed, list) else []  # the SDK has its own "not said"
        found.update({metric.metric_name: metric.value for metric in listed})
        if found and found.keys() >= set(names):
            return found
        job.refresh()
        return None

    try:
        return until(ask, limit_s, pause_s)
    except TimeoutError as error:
        missing = ", ".join(sorted(set(names) - found.keys())) or "any metric"
        raise TimeoutError(
            f"{_name(job)} has not reported {missing} within {limit_s:g} s. Either CloudWatch is "
            "late (run the cell again), or no line of the job's log matches the regular expression"
        ) from error


def hyperparameters(job: Any) -> dict[str, Any]:
    """The options that a training job's script was given, as numbers and texts.

    SageMaker keeps them as JSON text, those of tuning jobs with quotes of their own. What
    SageMaker and its SDK add for themselves is left out.

    Args:
        job: a trainer, or a training job of the SDK's `resources`.
    """
    given = _job(job).hyper_parameters
    own = {name: text for name, text in given.items() if not name.startswith(("_", "sagemaker_"))}
    return {name: _decoded(text) for name, text in own.items()}


def _decoded(text: str) -> Any:
    """`"32"` and `32` are 32; what is no JSON is a text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return _decoded(value) if isinstance(value, str) and value != text else value


def log(job: Any, pattern: str = "", limit_s: float = 10, pause_s: float = 1) -> list[str]:
    """The lines of a training job's log that match a regular expression, oldest first.

    CloudWatch may be a few seconds late: if nothing matches, it is asked again for `limit_s`.

    Args:
        job: a trainer, a training job of the SDK's `resources`, or a job's name.
        pattern: searched for anywhere in a line.
        limit_s: seconds to wait at most.
        pause_s: seconds between two questions.
    """
    name = job if isinstance(job, str) else _name(_job(job))

    def ask() -> list[str] | None:
        return [line for line in _lines(name) if re.search(pattern, line)] or None

    try:
        return until(ask, limit_s, pause_s)
    except TimeoutError:
        return []


def _lines(job_name: str) -> Iterator[str]:
    """All lines of a job: its streams, one for each machine, one after the other.

    AmazonSageMakerFullAccess allows DescribeLogStreams and GetLogEvents, but no FilterLogEvents.
    """
    logs = _client("logs")
    try:
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName=LOG_GROUP, logStreamNamePrefix=f"{job_name}/", orderBy="LogStreamName"
        )
        streams = [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    except logs.exceptions.ResourceNotFoundException:  # no job has ever written a line
        return
    for stream in streams:
        place = {"logGroupName": LOG_GROUP, "logStreamName": stream, "startFromHead": True}
        token = None
        while True:
            page = logs.get_log_events(**place, **({"nextToken": token} if token else {}))
            yield from (event["message"] for event in page["events"])
            if page["nextForwardToken"] == token:  # the same token again: that was the end
                break
            token = page["nextForwardToken"]


def _last_lines(job_name: str) -> list[str]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return list(_lines(job_name))[-LAST_LINES:]
    except (BotoCoreError, ClientError) as error:  # the failure itself is still to be told
        return [f"(the log cannot be read: {error})"]


def _client(service: str) -> Any:
    import boto3

    return boto3.client(service)


# -------------------------------------------------------------------------------- what they cost


def costs(ws: Workspace, *jobs: Any) -> pd.DataFrame:
    """What AWS bills for ended jobs: nothing, if they ran on this machine.

    A row for each training job, by its name: the `instance` that ran it, its billable `seconds`
    (all its machines together), and `USD` at the prices of `course.costs`.

    Args:
        ws: what `course.connect` returned.
        jobs: as `wait` takes them; a tuning job stands for all its training jobs.
    """
    import pandas as pd

    from course.costs import dollars

    rows = {}
    for job in (single for each in jobs for single in _training_jobs(ws, _job(each))):
        kind = job.resource_config.instance_type
        seconds = job.billable_time_in_seconds * job.resource_config.instance_count
        local = ws.mode == "local"
        place, price = ("this machine", 0.0) if local else (kind, dollars(seconds, kind))
        rows[job.training_job_name] = [place, seconds, price]
    return pd.DataFrame.from_dict(rows, "index", columns=["instance", "seconds", "USD"])


def _training_jobs(ws: Workspace, job: Any) -> list[TrainingJob]:
    """The job itself, or the training jobs of a tuning job in the order of their start."""
    from sagemaker.core.resources import TrainingJob

    if hasattr(job, "training_job_name"):
        return [job.refresh()]
    name = job.hyper_parameter_tuning_job_name
    pages = _client("sagemaker").get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
    found = pages.paginate(
        HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
    )
    summaries = [item for page in found for item in page["TrainingJobSummaries"]]
    return [TrainingJob.get(item["TrainingJobName"], region=ws.region) for item in summaries]


def savings(ws: Workspace, *jobs: Any) -> pd.DataFrame:
    """How much cheaper spot instances were: SageMaker bills fewer seconds than it trained.

    A row for each ended training job, by its name: how many `interruptions` it had, the seconds
    that it `trained` and those that are `billed`, and the share `saved`, 1 - billed / trained. On
    this machine nothing is billed; the engine counts as if a spot price were 30 % of the other.

    Args:
        ws: what `course.connect` returned.
        jobs: as `wait` takes them; a tuning job stands for all its training jobs.
    """
    import pandas as pd

    rows = {}
    for job in (single for each in jobs for single in _training_jobs(ws, _job(each))):
        states = [step.status for step in job.secondary_status_transitions]
        trained, billed = job.training_time_in_seconds, job.billable_time_in_seconds
        saved = 1 - billed / trained
        rows[job.training_job_name] = [states.count("Interrupted"), trained, billed, saved]
    return pd.DataFrame.from_dict(rows, "index", columns=list(SAVINGS))


# --------------------------------------------------------------------------- what they are given


def stopping_condition(ws: Workspace, max_runtime_in_seconds: int) -> StoppingCondition:
    """When SageMaker stops a job. On spot instances it may also wait for them, for an hour."""
    from sagemaker.core.training.configs import StoppingCondition

    limits = {"max_runtime_in_seconds": max_runtime_in_seconds}
    if ws.spot:
        limits["max_wait_time_in_seconds"] = max_runtime_in_seconds + SPOT_WAIT_S
    return StoppingCondition(**limits)


def checkpoints(ws: Workspace) -> CheckpointConfig | None:
    """Where a trainer's job keeps its checkpoints; None if its instance cannot be taken back.

    Ask anew for each trainer: SageMaker copies everything at the address to a job's instance, so a
    job should not find those of others. The training jobs of one tuner share an address; each
    has a folder of its own there.
    """
    from sagemaker.core.training.configs import CheckpointConfig

    if not ws.spot:
        return None
    own = f"{datetime.now(UTC):%Y%m%d%H%M%S}-{random.randrange(10_000):04}"
    return CheckpointConfig(s3_uri=ws.uri("checkpoints", own))


def environment(ws: Workspace, at_once: int) -> dict[str, str]:
    """The environment variables of a job beside which others may run, `at_once` in all.

    On AWS there are none: each job has an instance of its own. In local mode a job computes with
    its share of the cores. If two jobs had all of them, each would wait for the other's threads:
    together they would train 24 images/s on two cores, instead of 79 with one thread each.
    """
    if ws.mode == "aws":
        return {}
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // at_once))}


def channels(ws: Workspace, *names: str) -> list[Channel]:
    """A channel for each of the bucket's folders of photos, and one of ImageNet's weights.

    The channel `weights` is there only if somebody has uploaded files of weights.

    Args:
        ws: what `course.connect` returned.
        names: of the channels: `train`, `valid`, `test`.

    Raises:
        MissingStep: a folder is empty.
    """
    from course import weights

    s3 = ws.session.boto_session.client("s3")
    made = []
    for name in names:
        listed = s3.list_objects_v2(Bucket=ws.bucket, Prefix=f"{ws.prefix}/data/{name}/", MaxKeys=1)
        require(listed.get("Contents"), f"{ws.uri('data', name)}", "01-data-to-s3")
        made.append(_channel(name, ws.uri("data", name)))
    if weights.stored(ws):
        made.append(_channel("weights", ws.uri(weights.FOLDER)))
    return made


def _channel(name: str, uri: str) -> Channel:
    from sagemaker.core.training.configs import Channel, DataSource, S3DataSource

    source = S3DataSource(
        s3_data_type="S3Prefix", s3_uri=uri, s3_data_distribution_type="FullyReplicated"
    )
    return Channel(
        channel_name=name, data_source=DataSource(s3_data_source=source), input_mode="File"
    )


def tags() -> list[Tag]:
    """The tags of all that the course makes in the account: a bill can be split by them."""
    from sagemaker.core.training.configs import Tag

    return [Tag(key="project", value=PROJECT)]
