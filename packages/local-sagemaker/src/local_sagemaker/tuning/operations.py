"""Hyperparameter tuning jobs: the operations."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from local_sagemaker.core.errors import ApiError, invalid
from local_sagemaker.core.kinds import ENDED, TRAINING_JOB, TUNING_JOB
from local_sagemaker.core.listing import cut, page
from local_sagemaker.core.store import Store
from local_sagemaker.training.operations import TrainingJobs
from local_sagemaker.tuning import completion, definitions, statuses, summaries, warm_start

if TYPE_CHECKING:
    from local_sagemaker.tuning.job import Algorithm, TuningJob

BY_NAME = {"SortBy": "Name", "SortOrder": "Ascending"}  # the API's defaults for tuning jobs


class TuningJobs:
    """All tuning jobs of one engine."""

    def __init__(self, store: Store, jobs: TrainingJobs) -> None:
        self.store, self.jobs = store, jobs
        self.running: dict[str, TuningJob] = {}

    def restore(self) -> None:
        """Jobs that ran when the engine ended are Failed."""
        for job in self.store.all(TUNING_JOB.stored):
            if job["HyperParameterTuningJobStatus"] not in ENDED:
                reason = "InternalServerError: the local engine stopped while the job was running"
                statuses.end(self.store, job["HyperParameterTuningJobName"], "Failed", reason)

    def busy(self) -> bool:
        return bool(self.running)

    def close(self) -> None:
        running = list(self.running.values())
        for job in running:
            job.closing.set()
        for job in running:
            job.thread.join(timeout=10)

    # Operations

    def create(self, request: dict) -> dict:
        from local_sagemaker.tuning import job as tuning_job  # Optuna takes a second to import

        request = definitions.completed(request)
        algorithms = self._checked(request)
        limits = request["HyperParameterTuningJobConfig"]["ResourceLimits"]
        if request["HyperParameterTuningJobConfig"]["Strategy"] == "Grid":
            limits["MaxNumberOfTrainingJobs"] = sum(a.size for a in algorithms)
        name, now = request["HyperParameterTuningJobName"], time.time()
        arn = TUNING_JOB.arn(name)
        job = {
            **request,
            "HyperParameterTuningJobArn": arn,
            "HyperParameterTuningJobStatus": "InProgress",
            "CreationTime": now,
            "LastModifiedTime": now,
            "Jobs": [],
        }
        runner = tuning_job.TuningJob(self.store, self.jobs, job, algorithms, self._forget)
        with self.store.lock:
            if self.store.get(TUNING_JOB.stored, name):
                text = f"A hyperparameter tuning job with the name, {name}, already exists. "
                raise ApiError("ResourceInUse", text + "Choose a different name.")
            self.store.put(TUNING_JOB.stored, name, job)
            self.running[name] = runner
        runner.thread.start()
        return {"HyperParameterTuningJobArn": arn}

    def _forget(self, job: TuningJob) -> None:
        """A job has ended."""
        if self.running.get(job.name) is job:  # not a new one of the same name
            del self.running[job.name]

    def describe(self, request: dict) -> dict:
        job = self._described(self._get(request["HyperParameterTuningJobName"]))
        goal = _goal(job)
        found = summaries.all_of(self.store, job)
        not_improving = completion.jobs_not_improving(summaries.objectives(found), goal)
        job["TuningJobCompletionDetails"] = {
            "NumberOfTrainingJobsObjectiveNotImproving": not_improving
        }
        end = job.get("HyperParameterTuningEndTime", time.time())
        job["ConsumedResources"] = {"RuntimeInSeconds": round(end - job["CreationTime"])}
        if best := summaries.best(found, goal):
            job["BestTrainingJob"] = best
        return job | warm_start.overall_best(self.store, job, found, goal)

    def list(self, request: dict) -> dict:
        found = []
        for job in self.store.all(TUNING_JOB.stored):
            config = job["HyperParameterTuningJobConfig"]
            shown = {name: config[name] for name in ("Strategy", "ResourceLimits")}
            found.append({**self._described(job), **shown})
        return page(found, {**BY_NAME, **request}, TUNING_JOB)

    def stop(self, request: dict) -> dict:
        name = request["HyperParameterTuningJobName"]
        with self.store.lock:  # the job may be about to end by itself
            status = self._get(name)["HyperParameterTuningJobStatus"]
            if status in ENDED:
                text = "The request was rejected because the tuning job is in status"
                raise invalid(f"{text} {status}.")
            if status == "InProgress" and name in self.running:
                changes = {"HyperParameterTuningJobStatus": "Stopping"}
                self.store.update(TUNING_JOB.stored, name, LastModifiedTime=time.time(), **changes)
                self.running[name].stopping.set()
        return {}

    def delete(self, request: dict) -> dict:
        """DeleteHyperParameterTuningJob: the entry goes, its training jobs stay."""
        name = request["HyperParameterTuningJobName"]
        with self.store.lock:
            job = self.store.get(TUNING_JOB.stored, name)
            if job is None:  # the model has no ResourceNotFound for this operation
                raise invalid("Requested resource not found.")
            status = job["HyperParameterTuningJobStatus"]
            if status not in ENDED:
                raise invalid(
                    f"The tuning job {name} is in status {status}: only one that has ended "
                    "can be deleted."
                )
            for summary in summaries.all_of(self.store, job):
                self.store.update(
                    TRAINING_JOB.stored, summary["TrainingJobName"], TuningJobArn=None
                )
            self.store.remove(TUNING_JOB.stored, name)
            runner = self.running.get(name)
        if runner:
            runner.thread.join(timeout=10)
        return {}

    def list_training_jobs(self, request: dict) -> dict:
        found = summaries.all_of(self.store, self._get(request["HyperParameterTuningJobName"]))
        if "StatusEquals" in request:
            found = [s for s in found if s["TrainingJobStatus"] == request["StatusEquals"]]
        order = request.get("SortBy", "Name")
        if order == "FinalObjectiveMetricValue":  # by AWS, jobs without one are not listed
            found = [s for s in found if summaries.objective(s) is not None]
        orders = {
            "Name": lambda item: [],
            "CreationTime": lambda item: [item["CreationTime"]],
            "Status": lambda item: [item["TrainingJobStatus"]],
            "FinalObjectiveMetricValue": lambda item: [summaries.objective(item)],
        }
        return cut(
            found,
            request,
            "TrainingJobSummaries",
            key=lambda item: [*orders[order](item), item["TrainingJobName"]],
            descending=request.get("SortOrder") == "Descending",
        )

    def _get(self, name: str) -> dict:
        job = self.store.get(TUNING_JOB.stored, name)
        if job is None:
            text = f"Amazon SageMaker can't find a tuning job called {name}. Type another name."
            raise ApiError("ResourceNotFound", text)
        return job

    def _described(self, job: dict) -> dict:
        return job | summaries.counters(summaries.all_of(self.store, job))

    # Checks

    def _checked(self, request: dict) -> list[Algorithm]:
        """What a completed request searches, once all of it can be done here.

        Raises:
            ApiError: ValidationException, naming the member and the way out.
        """
        from local_sagemaker.tuning import hyperband
        from local_sagemaker.tuning import job as tuning_job

        config = request["HyperParameterTuningJobConfig"]
        if "Autotune" in request:
            raise invalid("Autotune: local_sagemaker does not choose settings; name them")
        _check_config(config)
        hyperband.check(config)
        found = definitions.of(request)
        for definition in found:
            definitions.check(definition)
        algorithms = tuning_job.algorithms(config, found)
        warm_start.learn(self.store, request, algorithms)
        return algorithms


def _goal(job: dict) -> str:
    """Maximize or Minimize, which all definitions of a job share."""
    item = job.get("TrainingJobDefinition") or job["TrainingJobDefinitions"][0]
    config = job["HyperParameterTuningJobConfig"]
    return (item.get("TuningObjective") or config[definitions.OBJECTIVE])["Type"]


def _check_config(config: dict) -> None:
    limits, strategy = config["ResourceLimits"], config["Strategy"]
    completion.check(config)
    ends = "MaxRuntimeInSeconds" in limits or config.get("TuningJobCompletionCriteria")
    if strategy != "Grid" and "MaxNumberOfTrainingJobs" not in limits and not ends:
        raise invalid("ResourceLimits needs MaxNumberOfTrainingJobs or MaxRuntimeInSeconds")
