"""A training job's statuses: their names, their order, and the way from one to the next.

A spot job that lost its instances walks as AWS documents: Training, Interrupted, Starting,
Downloading, Training. It has no instances while it is Interrupted or Starting, so that time counts
neither as training time nor as billable time.
"""

from __future__ import annotations

import math
import time

from local_sagemaker.core.kinds import ENDED, TRAINING_JOB
from local_sagemaker.core.store import Store

TIME_IS_OVER = {"MaxRuntimeExceeded", "MaxWaitTimeExceeded"}  # the job is then Stopped
WITHOUT_INSTANCES = {"Interrupted", "Starting"}
# Spot prices change by instance type, zone and hour. The engine has this one.
SPOT_PRICE = 0.3  # of the on-demand price
MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Interrupted": "The job stopped because the managed spot training instances were interrupted",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "The job stopped because it exceeded the maximum allowed wait time",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
}
# What AWS's step before this one says when it is over.
LAST_MESSAGES = {
    "Downloading": "Preparing the instances for training",
    "Training": "Downloading the training image",
}


def step(status: str, start: float) -> dict:
    return {"Status": status, "StartTime": start, "StatusMessage": MESSAGES[status]}


def described(job: dict) -> dict:
    """A stored job with the members that follow from its times."""
    if "TrainingStartTime" not in job:
        return job
    whole = max(1, round(seconds_on_instances(job)))
    billable = math.ceil(whole * SPOT_PRICE) if job.get("EnableManagedSpotTraining") else whole
    return {**job, "TrainingTimeInSeconds": whole, "BillableTimeInSeconds": billable}


def seconds_on_instances(job: dict) -> float:
    """How long a job that has been on instances has had some, all times together."""
    start, now = job["TrainingStartTime"], time.time()
    without = sum(
        step.get("EndTime", now) - step["StartTime"]
        for step in job["SecondaryStatusTransitions"]
        if step["StartTime"] >= start and step["Status"] in WITHOUT_INSTANCES
    )
    return job.get("TrainingEndTime", now) - start - without


def transition(store: Store, name: str, secondary: str, **changes) -> None:
    """Move a job to its next secondary status (and its end, if it is one)."""
    with store.lock:
        now = time.time()
        steps = store.get(TRAINING_JOB.stored, name)["SecondaryStatusTransitions"]
        steps[-1].setdefault("EndTime", now)
        if secondary in LAST_MESSAGES:
            steps[-1]["StatusMessage"] = LAST_MESSAGES[secondary]
        steps.append(step(secondary, now))
        changes |= {
            "SecondaryStatus": secondary,
            "SecondaryStatusTransitions": steps,
            "LastModifiedTime": now,
        }
        primary = "Stopped" if secondary in TIME_IS_OVER else secondary
        if primary in ENDED:
            steps[-1]["EndTime"] = now
            changes |= {"TrainingJobStatus": primary, "TrainingEndTime": now}
        store.update(TRAINING_JOB.stored, name, **changes)
