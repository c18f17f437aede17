"""Training jobs: the operations."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time

from local_sagemaker.aws.services import Services
from local_sagemaker.core import state_files, waiters
from local_sagemaker.core.errors import ApiError, invalid
from local_sagemaker.core.kinds import ENDED, TRAINING_JOB
from local_sagemaker.core.listing import page
from local_sagemaker.runtime import container
from local_sagemaker.runtime.isolation import isolation
from local_sagemaker.training import checks, description, profiler_config
from local_sagemaker.training.data import channels, end_markers, outputs
from local_sagemaker.training.job import TrainingJob
from local_sagemaker.training.rules import statuses as rule_statuses
from local_sagemaker.training.rules.evaluation import RuleEvaluations
from local_sagemaker.training.slots import Slots
from local_sagemaker.training.statuses import described, step, transition

MOST_INSTANCES = 20  # of a job: AWS's default quota


class TrainingJobs:
    """All training jobs of one engine."""

    def __init__(self, services: Services) -> None:
        self.services, self.store = services, services.store
        self.slots = Slots(os.cpu_count() or 1)
        self.running: dict[str, TrainingJob] = {}
        self.rules = RuleEvaluations(services)
        self.closing = threading.Event()

    def restore(self) -> None:
        """Jobs that ran when the engine ended are Failed, and their folders are removed."""
        shutil.rmtree(self.store.folder / state_files.JOBS, ignore_errors=True)
        for job in self.store.all(TRAINING_JOB.stored):
            if job["TrainingJobStatus"] not in ENDED:
                reason = "InternalServerError: the local engine stopped while the job was running"
                end_markers.put(self.services.s3, job)
                transition(self.store, job["TrainingJobName"], "Failed", FailureReason=reason)
        self.rules.restore()

    def busy(self) -> bool:
        return bool(self.running) or self.rules.busy()

    def close(self) -> None:
        """Kill all jobs and wait for their threads."""
        self.closing.set()
        self.rules.close()
        for job in list(self.running.values()):
            job.abort()
        for job in list(self.running.values()):
            job.thread.join(timeout=10)

    # Operations

    def create(self, request: dict, tuning_job_arn: str | None = None, parallel: int = 1) -> dict:
        """CreateTrainingJob; `parallel` is how many jobs its tuning job runs at a time."""
        check_definition(request)
        request = {"StoppingCondition": {"MaxRuntimeInSeconds": checks.MAX_RUNTIME_S}, **request}
        name, now = request["TrainingJobName"], time.time()
        arn = TRAINING_JOB.arn(name)
        job = {
            **request,
            "TrainingJobArn": arn,
            "TuningJobArn": tuning_job_arn,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [step("Starting", now)],
            "CreationTime": now,
            "LastModifiedTime": now,
            "FinalMetricDataList": [],
            "ProfilingStatus": profiler_config.status(request),
            **rule_statuses.first(request),
        }
        slots, closing = self.slots, self.closing
        runner = TrainingJob(self.services, job, slots, parallel, closing, self._forget)
        with self.store.lock:
            if self.store.get(TRAINING_JOB.stored, name):
                text = "Training job names must be unique within an AWS account and region, and a "
                text += f"training job with this name already exists ({arn})"
                raise ApiError("ResourceInUse", text)
            self.store.put(TRAINING_JOB.stored, name, job)
            self.running[name] = runner
            self.rules.begin(job)
        runner.thread.start()
        return {"TrainingJobArn": arn}

    def _forget(self, job: TrainingJob) -> None:
        """A job has ended and its folder is removed."""
        self.rules.job_ended(job.name)
        if self.running.get(job.name) is job:
            del self.running[job.name]

    def describe(self, request: dict) -> dict:
        waiters.hold(lambda: self._has_ended(request["TrainingJobName"]))
        job = self.store.get(TRAINING_JOB.stored, request["TrainingJobName"])
        if job is None:
            raise invalid("Requested resource not found.")
        return description.completed(described(job))

    def _has_ended(self, name: str) -> bool:
        job = self.store.get(TRAINING_JOB.stored, name)
        return job is None or job["TrainingJobStatus"] in ENDED or self.closing.is_set()

    def list(self, request: dict) -> dict:
        return page(self.store.all(TRAINING_JOB.stored), request, TRAINING_JOB)

    def stop(self, request: dict) -> dict:
        name = request["TrainingJobName"]
        with self.store.lock:  # the job may be about to end by itself
            status = self.describe(request)["TrainingJobStatus"]
            if status in ENDED:
                text = "The request was rejected because the training job is in status"
                raise invalid(f"{text} {status}.")
            if status == "InProgress":
                transition(self.store, name, "Stopping", TrainingJobStatus="Stopping")
                self.running[name].stop()
        return {}

    def reclaim(self, name: str, notice_s: float, absence_s: float) -> None:
        """Take a spot job's instances away, as EC2 does. AWS's API has nothing like it.

        Args:
            name: of the job, which must be training.
            notice_s: seconds between SIGTERM and SIGKILL.
            absence_s: seconds until there are instances for the job again.

        Raises:
            ApiError: ResourceNotFound, or ValidationException for a job that has nothing to lose.
        """
        with self.store.lock:
            job, runner = self.store.get(TRAINING_JOB.stored, name), self.running.get(name)
            if job is None:
                raise ApiError("ResourceNotFound", f"There is no training job {name}.")
            if not job.get("EnableManagedSpotTraining"):
                raise invalid(f"{name} is no spot job: it has EnableManagedSpotTraining false.")
            if runner is None or not runner.reclaimable:
                status = job["SecondaryStatus"]
                raise invalid(f"{name} has the secondary status {status}, and not Training.")
            runner.reclaim(notice_s, absence_s)

    def delete(self, request: dict) -> dict:
        """DeleteTrainingJob: its description goes; logs, metrics and what lies in S3 stay."""
        name = request["TrainingJobName"]
        self._check_deletable(name)
        # Until its threads have removed the job's folders, the name is not free for another job.
        if runner := self.running.get(name):
            runner.thread.join()
        self.rules.drop(name)
        with self.store.lock:
            self._check_deletable(name)
            self.store.remove(TRAINING_JOB.stored, name)
        return {}

    def _check_deletable(self, name: str) -> None:
        job = self.store.get(TRAINING_JOB.stored, name)
        if job is None:
            raise ApiError("ResourceNotFound", "Requested resource not found.")
        if job["TrainingJobStatus"] not in ENDED:
            text = f"The training job {name} is in status {job['TrainingJobStatus']}: only "
            raise ApiError("ResourceInUse", text + "jobs that have ended can be deleted.")
        if tuning := job.get("TuningJobArn"):
            raise ApiError("ResourceInUse", f"The training job {name} belongs to {tuning}.")


def check_definition(request: dict) -> None:
    """Refuse what cannot be run here, before anything is made.

    Raises:
        ApiError: ValidationException, naming the member and the way out.
    """
    checks.check_training(request)
    algorithm, resources = request["AlgorithmSpecification"], request["ResourceConfig"]
    image = algorithm.get("TrainingImage")
    if not image or not container.has_runtime(image):
        raise invalid(
            f"AlgorithmSpecification.TrainingImage '{image}' has no local runtime: local_sagemaker "
            "runs AWS's PyTorch images (.../pytorch-training:TAG or .../pytorch:TAG)"
        )
    _check_instances(resources)
    for metric in algorithm.get("MetricDefinitions", []):
        try:
            re.compile(metric["Regex"])
        except re.error as error:
            text = f"the Regex of the metric '{metric['Name']}', {metric['Regex']!r}, is none"
            raise invalid(f"{text}: {error}") from None
    outputs.check(request)
    channels.check(request)


def _check_instances(resources: dict) -> None:
    count = resources["InstanceCount"]
    if count > MOST_INSTANCES:
        raise ApiError(
            "ResourceLimitExceeded",
            f"The account-level service limit 'Number of instances for a training job' is "
            f"{MOST_INSTANCES} Instances, with current utilization of 0 Instances and a request "
            f"delta of {count} Instances.",
        )
    if count > 1 and not isolation().real_opt_ml:
        raise invalid(
            f"ResourceConfig.InstanceCount {count}: the names algo-1 ... of several instances need "
            "a mount namespace, which this kernel does not grant: local_sagemaker runs jobs of one "
            "instance here"
        )
