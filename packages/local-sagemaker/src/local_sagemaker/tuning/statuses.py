"""A tuning job's end, as its description tells it."""

from __future__ import annotations

import time

from local_sagemaker.core.errors import failure_reason
from local_sagemaker.core.kinds import TUNING_JOB
from local_sagemaker.core.store import Store


def end(store: Store, name: str, status: str, reason: str | None = None) -> None:
    """Record that a tuning job has ended."""
    now = time.time()
    changes = {"FailureReason": failure_reason(reason)} if reason else {}
    changes |= {"HyperParameterTuningEndTime": now, "LastModifiedTime": now}
    store.update(TUNING_JOB.stored, name, HyperParameterTuningJobStatus=status, **changes)
