"""A training job's statuses: their names, their order, and the way from one to the next."""

from __future__ import annotations

import time

from local_sagemaker.core.kinds import ENDED, TRAINING_JOB
from local_sagemaker.core.store import Store

MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
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
    seconds = job.get("TrainingEndTime", time.time()) - job["TrainingStartTime"]
    whole = max(1, round(seconds))
    return {**job, "TrainingTimeInSeconds": whole, "BillableTimeInSeconds": whole}


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
        primary = "Stopped" if secondary == "MaxRuntimeExceeded" else secondary
        if primary in ENDED:
            steps[-1]["EndTime"] = now
            changes |= {"TrainingJobStatus": primary, "TrainingEndTime": now}
        store.update(TRAINING_JOB.stored, name, **changes)
