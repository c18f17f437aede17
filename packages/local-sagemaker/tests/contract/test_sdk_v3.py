"""The contract as SDK v3's resources see it: they parse every answer into typed objects."""

from __future__ import annotations

import boto3
import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, INFERENCE_IMAGE, TRAINING_IMAGE, unique
from local_sagemaker import REGION, ROLE_ARN


@pytest.fixture(scope="module")
def v3(aws):
    """v3's resources, and a session whose SageMaker is the engine."""
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_DEFAULT_REGION", REGION)  # sagemaker reads it at its import
    patch.setenv("AWS_ENDPOINT_URL", aws.url)
    from sagemaker.core import resources, shapes

    session = boto3.Session(aws.key.id, aws.key.secret, region_name=REGION)
    yield resources, shapes, {"session": session, "region": REGION}
    patch.undo()


def make_job(v3, command="true", **members):
    resources, shapes, where = v3
    return resources.TrainingJob.create(
        **{
            "training_job_name": unique("v3"),
            "role_arn": ROLE_ARN,
            "algorithm_specification": shapes.AlgorithmSpecification(
                training_image=TRAINING_IMAGE,
                training_input_mode="File",
                container_entrypoint=["/bin/sh", "-c", command],
            ),
            "output_data_config": shapes.OutputDataConfig(s3_output_path=f"s3://{BUCKET}/out"),
            "resource_config": shapes.ResourceConfig(
                instance_type="ml.m5.large", instance_count=1, volume_size_in_gb=1
            ),
            "stopping_condition": shapes.StoppingCondition(max_runtime_in_seconds=60),
            **where,
            **members,
        }
    )


def make_model(v3, aws):
    resources, shapes, where = v3
    aws.s3.put_object(Bucket=BUCKET, Key="v3/model.tar.gz", Body=b"no archive")
    container = shapes.ContainerDefinition(
        image=INFERENCE_IMAGE, model_data_url=f"s3://{BUCKET}/v3/model.tar.gz"
    )
    return resources.Model.create(
        model_name=unique("v3-model"),
        primary_container=container,
        execution_role_arn=ROLE_ARN,
        **where,
    )


def error_of(call) -> dict:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]


def test_a_job_is_created_waited_for_listed_and_deleted(v3, aws):
    resources, _, where = v3
    job = make_job(v3, "exit 0", hyper_parameters={"lr": "0.1"})
    name = job.training_job_name
    aws.job(name)
    job.refresh()
    assert (job.training_job_status, job.secondary_status) == ("Completed", "Completed")
    assert job.hyper_parameters == {"lr": "0.1"}
    assert job.model_artifacts.s3_model_artifacts.endswith(f"{name}/output/model.tar.gz")
    found = list(resources.TrainingJob.get_all(name_contains=name, **where))
    assert [one.training_job_name for one in found] == [name]
    job.delete()
    assert list(resources.TrainingJob.get_all(name_contains=name, **where)) == []


def test_a_failed_job_says_why(v3, aws):
    job = make_job(v3, "echo no dogs; exit 4")
    aws.job(job.training_job_name)
    job.refresh()
    assert job.training_job_status == "Failed"
    assert "exit code: 4" in job.failure_reason and "no dogs" in job.failure_reason


def test_a_job_is_stopped_once(v3, aws):
    job = make_job(v3, "sleep 60")
    job.stop()
    aws.job(job.training_job_name)
    words = "The request was rejected because the training job is in status Stopped."
    error = error_of(job.stop)
    assert (error["Code"], error["Message"]) == ("ValidationException", words)


def test_a_name_is_used_once(v3, aws):
    name = make_job(v3).training_job_name
    error = error_of(lambda: make_job(v3, "exit 1", training_job_name=name))
    assert error["Code"] == "ResourceInUse"
    assert f"training-job/{name})" in error["Message"]
    assert aws.job(name)["TrainingJobStatus"] == "Completed"


def test_what_nobody_made_is_not_found(v3):
    resources, _, where = v3
    error = error_of(lambda: resources.TrainingJob.get("nobody", **where))
    assert error["Message"] == "Requested resource not found."
    error = error_of(lambda: resources.HyperParameterTuningJob.get("nobody", **where))
    assert error["Code"] == "ResourceNotFound"
    assert "can't find a tuning job called nobody" in error["Message"]
    for kind, words in [
        ("Model", "Could not find model"),
        ("EndpointConfig", "Could not find endpoint configuration"),
        ("Endpoint", "Could not find endpoint"),
    ]:
        error = error_of(lambda kind=kind: getattr(resources, kind).get("nobody", **where))
        assert (error["Code"], words in error["Message"]) == ("ValidationException", True)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"training_job_name": "under_score"}, "'under_score' at 'trainingJobName'"),
        ({"role_arn": "arn:aws:iam::1:user/somebody"}, "at 'roleArn'"),
        ({"enable_managed_spot_training": True}, "Invalid MaxWaitTimeInSeconds"),
        ({"hyper_parameters": {"names": "x" * 2501}}, "at 'hyperParameters'"),
        ({"environment": {"1": "x"}}, "at 'environment'"),
    ],
)
def test_a_bad_job_is_refused_and_not_made(v3, aws, members, words):
    before = aws.sagemaker.list_training_jobs(SortOrder="Descending")["TrainingJobSummaries"]
    error = error_of(lambda: make_job(v3, **members))
    assert error["Code"] == "ValidationException"
    assert words in error["Message"]
    after = aws.sagemaker.list_training_jobs(SortOrder="Descending")["TrainingJobSummaries"]
    assert [j["TrainingJobName"] for j in after] == [j["TrainingJobName"] for j in before]


def test_models_configurations_and_tags(v3, aws):
    resources, shapes, where = v3
    model = make_model(v3, aws)
    variant = {"variant_name": "v", "model_name": model.model_name}
    config = resources.EndpointConfig.create(
        endpoint_config_name=unique("v3-config"),
        production_variants=[
            shapes.ProductionVariant(
                **variant, initial_instance_count=1, instance_type="ml.m5.large"
            )
        ],
        **where,
    )
    assert config.production_variants[0].model_name == model.model_name
    tags = [shapes.Tag(key="course", value="dogs")]
    resources.Tag.add_tags(resource_arn=model.model_arn, tags=tags, **where)
    found = list(resources.Tag.get_all(resource_arn=model.model_arn, **where))
    assert [(tag.key, tag.value) for tag in found] == [("course", "dogs")]
    config.delete()
    model.delete()
    assert "Could not find" in error_of(model.refresh)["Message"]
