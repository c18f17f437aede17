"""How a job or an endpoint is, in the words of SageMaker's API: what is good, bad, not over yet.

The names are those of the API reference's enumerations TrainingJobStatus, SecondaryStatus,
HyperParameterTuningJobStatus and EndpointStatus.
"""

from __future__ import annotations

from typing import NamedTuple

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


class State(NamedTuple):
    """SageMaker's status of a job or an endpoint, how many are done, why it failed."""

    status: str
    done: int | None = None
    reason: str | None = None

    @property
    def ended(self) -> bool:
        """True when asking again can bring nothing new."""
        return self.status not in UNDER_WAY


def read(answer: str | tuple) -> State:
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
