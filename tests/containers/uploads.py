"""What SDK v3's `ModelTrainer` would upload and ask for, caught before it leaves the machine."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

REGION = "us-east-1"
# The SDK asks nobody as long as it finds these: neither AWS nor this machine's configuration.
os.environ |= {
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_EC2_METADATA_DISABLED": "true",
    "SAGEMAKER_VALIDATE_ROLE": "false",
}

import boto3  # noqa: E402
from sagemaker.core.helper.session_helper import Session  # noqa: E402
from sagemaker.core.training.configs import (  # noqa: E402
    Channel,
    Compute,
    DataSource,
    S3DataSource,
    SourceCode,
)
from sagemaker.train import ModelTrainer  # noqa: E402
from sagemaker.train.distributed import Torchrun  # noqa: E402

IGNORED = SourceCode.model_fields["ignore_patterns"].default
_caught: dict[str, TemporaryDirectory] = {}


@dataclass(frozen=True)
class Job:
    """A training job's request, as far as its container sees it."""

    command: list[str]
    hyperparameters: dict[str, str]
    channels: dict[str, TemporaryDirectory] = field(repr=False)

    def lay_out(self, folder: Path) -> None:
        """Write the channels `code` and `sm_drivers` as SageMaker would download them."""
        for name, content in self.channels.items():
            shutil.copytree(content.name, folder / name)


class _CaughtTrainer(ModelTrainer):
    """A ModelTrainer whose uploads are kept in temporary folders."""

    def create_input_data_channel(
        self, channel_name: str, data_source: Any, *_: Any, ignore_patterns: Any = None, **__: Any
    ) -> Channel:
        _caught[channel_name] = TemporaryDirectory()
        ignored = shutil.ignore_patterns(*(ignore_patterns or []))
        shutil.copytree(data_source, _caught[channel_name].name, dirs_exist_ok=True, ignore=ignored)
        source = S3DataSource(
            s3_data_type="S3Prefix",
            s3_uri=f"s3://nowhere/{channel_name}",
            s3_data_distribution_type="FullyReplicated",
        )
        return Channel(channel_name=channel_name, data_source=DataSource(s3_data_source=source))


def training_job(
    source_dir: Path, requirements: str | None, hyperparameters: dict, processes: int | None
) -> Job:
    """Return what `ModelTrainer.train()` would make of these arguments."""
    _caught.clear()
    session = Session(boto_session=boto3.Session(region_name=REGION))
    session._default_bucket = "nowhere"
    trainer = _CaughtTrainer(
        training_image=f"000000000000.dkr.ecr.{REGION}.amazonaws.com/pytorch:2.13",
        source_code=SourceCode(
            source_dir=str(source_dir), entry_script="train.py", requirements=requirements
        ),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        role="arn:aws:iam::000000000000:role/none",
        sagemaker_session=session,
        hyperparameters=dict(hyperparameters),
        distributed=Torchrun(process_count_per_node=processes) if processes else None,
    )
    request = trainer._create_training_job_args(input_data_config=None)
    algorithm = request["algorithm_specification"]
    command = [*algorithm.container_entrypoint, *algorithm.container_arguments]
    return Job(command, request["hyper_parameters"], dict(_caught))
