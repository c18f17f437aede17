"""Hyperparameter tuning jobs: training jobs, one after the other and side by side."""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid

from local_sagemaker import ACCOUNT, REGION, training
from local_sagemaker.listing import cut, page
from local_sagemaker.store import Store
from local_sagemaker.validation import ApiError, invalid

log = logging.getLogger(__name__)

KIND = "tuning-job"
ENDED = {"Completed", "Failed", "Stopped"}
POLL_S = 0.1
NO_OBJECTIVE_AFTER = 5  # jobs without the metric before SageMaker gives up
COUNTERS = {
    "Completed": "Completed",
    "InProgress": "InProgress",
    "Stopping": "InProgress",
    "Stopped": "Stopped",
    "Failed": "NonRetryableError",
}
SUMMARY = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "TrainingStartTime",
    "TrainingEndTime",
    "TrainingJobStatus",
    "FailureReason",
)


class TuningJobs:
    """All tuning jobs of one engine."""

    def __init__(self, store: Store, jobs: training.TrainingJobs) -> None:
        self.store, self.jobs = store, jobs
        self.running: dict[str, TuningJob] = {}
        self.handlers = {
            "CreateHyperParameterTuningJob": self.create,
            "DescribeHyperParameterTuningJob": self.describe,
            "ListHyperParameterTuningJobs": self.list,
            "StopHyperParameterTuningJob": self.stop,
            "DeleteHyperParameterTuningJob": self.delete,
            "ListTrainingJobsForHyperParameterTuningJob": self.list_training_jobs,
        }

    def restore(self) -> None:
        for job in self.store.all(KIND):
            if job["HyperParameterTuningJobStatus"] not in ENDED:
                reason = "InternalServerError: the local engine stopped while the job was running"
                self.end(job["HyperParameterTuningJobName"], "Failed", reason)

    def busy(self) -> bool:
        return bool(self.running)

    def close(self) -> None:
        for job in list(self.running.values()):
            job.closing.set()
            job.thread.join(timeout=10)

    # Operations

    def create(self, request: dict) -> dict:
        check_request(request)
        name = request["HyperParameterTuningJobName"]
        now = time.time()
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:hyper-parameter-tuning-job/{name}"
        job = {
            **request,
            "TrainingJobDefinition": described_definition(request),
            "HyperParameterTuningJobArn": arn,
            "HyperParameterTuningJobStatus": "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
            "Jobs": [],
        }
        runner = TuningJob(self, job)
        with self.store.lock:
            if self.store.get(KIND, name):
                text = f"A hyperparameter tuning job with the name, {name}, already exists. "
                raise ApiError("ResourceInUse", text + "Choose a different name.")
            self.store.put(KIND, name, job)
            self.running[name] = runner
        runner.thread.start()
        return {"HyperParameterTuningJobArn": arn}

    def describe(self, request: dict) -> dict:
        name = request["HyperParameterTuningJobName"]
        job = self.store.get(KIND, name)
        if job is None:
            text = f"Amazon SageMaker can't find a tuning job called {name}. Type another name."
            raise ApiError("ResourceNotFound", text)
        job |= _counters(self.summaries(job))
        if best := self.best(job):
            job["BestTrainingJob"] = best
        return job

    def list(self, request: dict) -> dict:
        described = []
        for job in self.store.all(KIND):
            config = job["HyperParameterTuningJobConfig"]
            job |= _counters(self.summaries(job))
            job |= {"Strategy": config["Strategy"], "ResourceLimits": config["ResourceLimits"]}
            described.append(job)
        return page(described, request, "HyperParameterTuningJob")

    def stop(self, request: dict) -> dict:
        with self.store.lock:  # the job may be about to end by itself
            job = self.describe(request)
            name, status = job["HyperParameterTuningJobName"], job["HyperParameterTuningJobStatus"]
            if status in ENDED:
                raise invalid(
                    f"The request was rejected because the tuning job is in status {status}."
                )
            self.store.update(KIND, name, HyperParameterTuningJobStatus="Stopping")
            self.running[name].stopping.set()
        return {}

    def delete(self, request: dict) -> dict:
        """DeleteHyperParameterTuningJob: the entry goes, its training jobs stay."""
        with self.store.lock:
            job = self.describe(request)
            name, status = job["HyperParameterTuningJobName"], job["HyperParameterTuningJobStatus"]
            if status not in ENDED:
                raise invalid(
                    f"The tuning job {name} is in status {status}: only one that has ended "
                    "can be deleted."
                )
            for training_job, _ in job["Jobs"]:
                self.store.update(training.KIND, training_job, TuningJobArn=None)
            self.store.remove(KIND, name)
            runner = self.running.get(name)
        if runner:
            runner.thread.join(timeout=10)
        return {}

    def list_training_jobs(self, request: dict) -> dict:
        job = self.describe(request)
        found = self.summaries(job)
        if "StatusEquals" in request:
            found = [s for s in found if s["TrainingJobStatus"] == request["StatusEquals"]]
        order = request.get("SortBy", "Name")
        if order == "FinalObjectiveMetricValue":  # as on AWS: jobs without one are not listed
            found = [s for s in found if s["ObjectiveStatus"] == "Succeeded"]
        orders = {
            "Name": lambda item: [],
            "CreationTime": lambda item: [item["CreationTime"]],
            "Status": lambda item: [item["TrainingJobStatus"]],
            "FinalObjectiveMetricValue": lambda item: [_objective_or_minus_infinity(item)],
        }
        return cut(
            found,
            request,
            "TrainingJobSummaries",
            key=lambda item: [*orders[order](item), item["TrainingJobName"]],
            descending=request.get("SortOrder") == "Descending",
        )

    # What the jobs made

    def summaries(self, job: dict) -> list[dict]:
        """A summary of each training job, with its tuned values and final objective."""
        return [self._summary(job, name, tuned) for name, tuned in job["Jobs"]]

    def _summary(self, job: dict, name: str, tuned: dict) -> dict:
        described = self.jobs.store.get(training.KIND, name)
        summary = {key: described[key] for key in SUMMARY if key in described}
        objective = job["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
        status = described["TrainingJobStatus"]
        metrics = {m["MetricName"]: m["Value"] for m in described["FinalMetricDataList"]}
        summary |= {"TunedHyperParameters": tuned, "ObjectiveStatus": "Pending"}
        if status in ENDED:
            found = objective["MetricName"] in metrics and status != "Failed"
            summary["ObjectiveStatus"] = "Succeeded" if found else "Failed"
        if summary["ObjectiveStatus"] == "Succeeded":
            summary["FinalHyperParameterTuningJobObjectiveMetric"] = {
                **objective,
                "Value": metrics[objective["MetricName"]],
            }
        return summary

    def best(self, job: dict) -> dict | None:
        """The ended training job with the best final objective."""
        found = [s for s in self.summaries(job) if s["ObjectiveStatus"] == "Succeeded"]
        config = job["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
        choose = max if config["Type"] == "Maximize" else min
        return choose(found, key=_objective_or_minus_infinity, default=None)

    def end(self, name: str, status: str, reason: str | None = None) -> None:
        now = time.time()
        changes = {"FailureReason": reason[:1024]} if reason else {}
        self.store.update(
            KIND,
            name,
            HyperParameterTuningJobStatus=status,
            HyperParameterTuningEndTime=now,
            LastModifiedTime=now,
            **changes,
        )


def _objective_or_minus_infinity(summary: dict) -> float:
    metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
    return metric["Value"] if metric else float("-inf")


def _counters(summaries: list[dict]) -> dict:
    statuses = dict.fromkeys(
        ["Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"], 0
    )
    objectives = dict.fromkeys(["Succeeded", "Pending", "Failed"], 0)
    for summary in summaries:
        statuses[COUNTERS[summary["TrainingJobStatus"]]] += 1
        objectives[summary["ObjectiveStatus"]] += 1
    return {"TrainingJobStatusCounters": statuses, "ObjectiveStatusCounters": objectives}


def described_definition(request: dict) -> dict:
    """TrainingJobDefinition as AWS describes it, with the members that SDK v2's attach() reads."""
    definition = request["TrainingJobDefinition"]
    objective = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    static = definition.get("StaticHyperParameters", {})
    return {
        **definition,
        "OutputDataConfig": training.with_key(definition["OutputDataConfig"]),
        "StaticHyperParameters": {**static, "_tuning_objective_metric": objective["MetricName"]},
    }


def check_request(request: dict) -> None:
    """Refuse what cannot be done here, before anything is made.

    Raises:
        ApiError: ValidationException, naming the member and the way out.
    """
    from local_sagemaker import search  # Optuna takes a second to import

    config = request["HyperParameterTuningJobConfig"]
    if "TrainingJobDefinition" not in request:
        raise invalid("local_sagemaker needs one TrainingJobDefinition")
    if "WarmStartConfig" in request:
        raise invalid("WarmStartConfig: local_sagemaker does not do warm starts")
    if config.get("TrainingJobEarlyStoppingType", "Off") != "Off":
        raise invalid("TrainingJobEarlyStoppingType: local_sagemaker does 'Off' only")
    if "HyperParameterTuningJobObjective" not in config:
        raise invalid("HyperParameterTuningJobConfig needs a HyperParameterTuningJobObjective")
    if config["Strategy"] != "Grid" and "MaxNumberOfTrainingJobs" not in config["ResourceLimits"]:
        raise invalid("ResourceLimits needs MaxNumberOfTrainingJobs")
    search.study(config)
    definition = request["TrainingJobDefinition"]
    objective = config["HyperParameterTuningJobObjective"]["MetricName"]
    metrics = definition["AlgorithmSpecification"].get("MetricDefinitions", [])
    if objective not in {metric["Name"] for metric in metrics}:
        raise invalid(
            "A metric is required for this hyperparameter tuning job objective. "
            f"Provide a metric in the metric definitions: '{objective}' is not among them."
        )
    training.check_definition({**definition, "ResourceConfig": resources(definition)})


def resources(definition: dict) -> dict:
    """The ResourceConfig of a definition, which may say it in either of two members."""
    tuned = definition.get("HyperParameterTuningResourceConfig", {})
    members = ("InstanceType", "InstanceCount", "VolumeSizeInGB", "VolumeKmsKeyId")
    translated = {member: tuned[member] for member in members if member in tuned}
    return definition.get("ResourceConfig", translated)


class TuningJob:
    """One tuning job; runs in a thread of its own."""

    def __init__(self, tuning: TuningJobs, job: dict) -> None:
        from local_sagemaker import search

        self.tuning, self.job, self.search = tuning, job, search
        self.name = job["HyperParameterTuningJobName"]
        config = job["HyperParameterTuningJobConfig"]
        self.ranges = search.ranges_of(config)
        self.study = search.study(config)
        limits = config["ResourceLimits"]
        self.limit = limits.get("MaxNumberOfTrainingJobs", math.inf)
        if config["Strategy"] == "Grid":
            self.limit = min(self.limit, len(search.grid(self.ranges)))
        self.parallel = min(limits["MaxParallelTrainingJobs"], self.limit)
        self.stopping, self.closing = threading.Event(), threading.Event()
        self.started: list[tuple[str, dict]] = []
        self.trials: dict[str, object] = {}
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def _run(self) -> None:
        try:
            while not self.closing.is_set() and not self._is_over():
                self._start_jobs()
                time.sleep(POLL_S)
                self._tell_ended()
                if self.stopping.is_set():
                    self._stop_jobs()
            if not self.closing.is_set():
                self._end()
        except Exception as error:
            log.exception("tuning job %s", self.name)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
            self._stop_jobs()
            self.tuning.end(self.name, "Failed", reason)
        finally:
            self.tuning.running.pop(self.name, None)

    def _is_over(self) -> bool:
        enough = len(self.started) >= self.limit or self.stopping.is_set() or self._is_hopeless()
        return enough and not self.trials

    def _is_hopeless(self) -> bool:
        """Enough jobs have completed, and none has printed the objective."""
        summaries = self.tuning.summaries({**self.job, "Jobs": self.started})
        completed = [s for s in summaries if s["TrainingJobStatus"] == "Completed"]
        missing = all(s["ObjectiveStatus"] == "Failed" for s in completed)
        return missing and len(completed) >= min(NO_OBJECTIVE_AFTER, self.limit)

    def _start_jobs(self) -> None:
        while (
            len(self.started) < self.limit
            and len(self.trials) < self.parallel
            and not self.stopping.is_set()
            and not self._is_hopeless()
        ):
            trial = self.study.ask()
            tuned = self.search.draw(trial, self.ranges)
            name = f"{self.name}-{len(self.started) + 1:03d}-{uuid.uuid4().hex[:8]}"
            request = self._training_request(name, tuned)
            self.tuning.jobs.create(
                request, self.job["HyperParameterTuningJobArn"], parallel=self.parallel
            )
            self.trials[name] = trial
            self.started.append((name, tuned))
            self.tuning.store.update(KIND, self.name, Jobs=self.started)

    def _training_request(self, name: str, tuned: dict[str, str]) -> dict:
        definition = self.job["TrainingJobDefinition"]
        left_out = {"DefinitionName", "TuningObjective", "HyperParameterRanges", "RetryStrategy"}
        left_out |= {"StaticHyperParameters", "HyperParameterTuningResourceConfig"}
        request = {key: value for key, value in definition.items() if key not in left_out}
        request["TrainingJobName"] = name
        request.setdefault("ResourceConfig", resources(definition))
        request["HyperParameters"] = {**definition["StaticHyperParameters"], **tuned}
        return request

    def _tell_ended(self) -> None:
        """Give Optuna the objective of each job that has ended since the last look."""
        from optuna.trial import TrialState

        for name, tuned in self.started:
            trial = self.trials.get(name)
            if trial is None:
                continue
            summary = self.tuning._summary(self.job, name, tuned)
            if summary["TrainingJobStatus"] in ENDED and name not in self.tuning.jobs.running:
                metric = summary.get("FinalHyperParameterTuningJobObjectiveMetric")
                if metric:
                    self.study.tell(trial, metric["Value"])
                else:
                    self.study.tell(trial, state=TrialState.FAIL)
                del self.trials[name]

    def _stop_jobs(self) -> None:
        for name in list(self.trials):
            try:
                self.tuning.jobs.stop({"TrainingJobName": name})
            except (ApiError, KeyError):
                continue  # it has just ended by itself

    def _end(self) -> None:
        summaries = self.tuning.summaries(self.tuning.store.get(KIND, self.name))
        if self.stopping.is_set():
            self.tuning.end(self.name, "Stopped")
        elif any(s["ObjectiveStatus"] == "Succeeded" for s in summaries):
            self.tuning.end(self.name, "Completed")
        else:
            self.tuning.end(self.name, "Failed", self._why_nothing(summaries))

    def _why_nothing(self, summaries: list[dict]) -> str:
        failed = [s for s in summaries if s["TrainingJobStatus"] == "Failed"]
        if len(failed) == len(summaries):
            first = failed[0]
            return (
                "All training jobs failed. The first, "
                f"{first['TrainingJobName']}: {first.get('FailureReason', 'no reason given')}"
            )
        definition = self.job["TrainingJobDefinition"]["AlgorithmSpecification"]
        config = self.job["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
        regex = {m["Name"]: m["Regex"] for m in definition["MetricDefinitions"]}
        name = config["MetricName"]
        return (
            f"No objective metrics found after running {len(summaries)} training jobs: no log line "
            f"matched the regular expression of '{name}', {regex[name]!r}. Make the script print "
            "the metric in that form, or correct the expression."
        )
