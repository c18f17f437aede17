"""Make what an interrupted notebook leaves, for the dry run of the clean-up.

    python -m tools.dry_run.leftovers

That is a training job that goes on, and an endpoint that nobody will ask, with its configuration
and model; all have the course's tag. It runs inside the dry run, after the notebooks.
"""

from __future__ import annotations

import course
from course.account.standing import TAG

NAME = "dog-breeds-interrupted"


def main() -> None:
    """Start the job and the endpoint, and wait for neither."""
    ws = course.connect()
    sagemaker, tags = ws.session.boto_session.client("sagemaker"), [TAG]
    compute = {"InstanceType": ws.training_instance, "InstanceCount": 1, "VolumeSizeInGB": 30}
    sagemaker.create_training_job(
        TrainingJobName=NAME,
        RoleArn=ws.role,
        AlgorithmSpecification={
            "TrainingImage": ws.training_image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sleep", "600"],
        },
        OutputDataConfig={"S3OutputPath": ws.uri("interrupted")},
        ResourceConfig=compute,
        StoppingCondition={"MaxRuntimeInSeconds": 1800},
        Tags=tags,
    )
    newest = course.jobs.latest_tuning_job(ws).best_training_job.training_job_name
    artifact = sagemaker.describe_training_job(TrainingJobName=newest)["ModelArtifacts"]
    sagemaker.create_model(
        ModelName=NAME,
        PrimaryContainer={
            "Image": ws.inference_image,
            "ModelDataUrl": artifact["S3ModelArtifacts"],
        },
        ExecutionRoleArn=ws.role,
        Tags=tags,
    )
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": NAME,
        "InitialInstanceCount": 1,
        "InstanceType": ws.endpoint_instance,
    }
    sagemaker.create_endpoint_config(
        EndpointConfigName=NAME, ProductionVariants=[variant], Tags=tags
    )
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME, Tags=tags)


if __name__ == "__main__":
    main()
