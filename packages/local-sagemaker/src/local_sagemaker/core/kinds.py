"""The kinds of SageMaker's resources: how each is named in the API, in ARNs, and in the store."""

from __future__ import annotations

from dataclasses import dataclass

from local_sagemaker import ACCOUNT, REGION

ENDED = {"Completed", "Failed", "Stopped"}  # statuses of a job that does not change any more
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"  # the log group of all training jobs
ENDPOINT_LOGS = "/aws/sagemaker/Endpoints/"  # with an endpoint's name, its log group


def arn(service: str, resource: str) -> str:
    """The ARN of a resource of this account, such as ``log-group:/aws/sagemaker/TrainingJobs``."""
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        api: its name in the API's members, as in ``{api}Name`` and ``{api}Status``.
        resource: its type in ARNs.
        stored: its name in the store.
        text: its name in AWS's messages.
        listed: the member in which List answers it.
        newest_first: whether List begins with the newest, unless the request says otherwise.
    """

    api: str
    resource: str
    stored: str
    text: str
    listed: str
    newest_first: bool = False

    @property
    def name_member(self) -> str:
        return f"{self.api}Name"

    @property
    def arn_member(self) -> str:
        return f"{self.api}Arn"

    @property
    def status_member(self) -> str:
        return f"{self.api}Status"

    def arn(self, name: str) -> str:
        return arn("sagemaker", f"{self.resource}/{name}")


TRAINING_JOB = Kind(
    "TrainingJob", "training-job", "training-job", "training job", "TrainingJobSummaries"
)
TUNING_JOB = Kind(
    "HyperParameterTuningJob",
    "hyper-parameter-tuning-job",
    "tuning-job",
    "hyperparameter tuning job",
    "HyperParameterTuningJobSummaries",
)
MODEL = Kind("Model", "model", "model", "model", "Models", newest_first=True)
ENDPOINT_CONFIG = Kind(
    "EndpointConfig",
    "endpoint-config",
    "endpoint-config",
    "endpoint configuration",
    "EndpointConfigs",
    newest_first=True,
)
ENDPOINT = Kind("Endpoint", "endpoint", "endpoint", "endpoint", "Endpoints", newest_first=True)
KINDS = (TRAINING_JOB, TUNING_JOB, MODEL, ENDPOINT_CONFIG, ENDPOINT)


def named(resource_arn: str) -> tuple[Kind, str] | None:
    """Kind and name of a resource by its ARN; None if it is none of this account's."""
    for kind in KINDS:
        if resource_arn.startswith(prefix := kind.arn("")):
            return kind, resource_arn.removeprefix(prefix)
    return None
