"""Estimators of SDK v2: what they run, what they find afterwards, and what they are refused."""

import time

import boto3
import numpy as np
import pytest
import sagemaker
from botocore.exceptions import ClientError
from sagemaker.analytics import TrainingJobAnalytics
from sagemaker.debugger import ProfilerRule, Rule, rule_configs
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.inputs import TrainingInput
from sagemaker.pytorch import PyTorch

from conftest import BUCKET, unique
from engine_support.shared_files import shared_folder
from engine_support.wheels import write_wheel


@pytest.fixture(scope="module")
def trained(estimator, data):
    """An estimator that has run with all that a job of that time asked for."""
    done = estimator(
        hyperparameters={"lr": 0.2, "kind": "tuned"},
        tags=[{"Key": "team", "Value": "dogs"}],
        checkpoint_s3_uri=f"s3://{BUCKET}/checkpoints",
        use_spot_instances=True,
        max_run=600,
        max_wait=900,
        debugger_hook_config=None,
        disable_profiler=False,
        rules=[
            Rule.sagemaker(rule_configs.overfit()),
            ProfilerRule.sagemaker(rule_configs.LowGPUUtilization()),
        ],
    )
    done.fit({"train": data, "Fast": TrainingInput(data, input_mode="FastFile")}, wait=False)
    done.latest_training_job.wait(logs="None")
    return done


def refused(code: str):
    """What a request of the SDK that the service refuses raises."""
    return pytest.raises(ClientError, match=rf"\({code}\)")


def test_fit_shows_the_jobs_log(estimator, data, capsys):
    estimator(hyperparameters={"lr": 0.4}).fit({"train": data}, job_name=unique("shown"))
    said = capsys.readouterr().out
    assert "channel train ['a.csv', 'deeper']" in said
    assert "epoch=2; loss=0.3433;" in said
    assert "Training seconds:" in said and "Billable seconds:" in said


def test_the_job_has_what_the_estimator_asked_for(trained, client):
    job = trained.latest_training_job.describe()
    assert job["TrainingJobStatus"] == "Completed"
    assert job["EnableManagedSpotTraining"] is True
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 900}
    assert job["RoleArn"] == sagemaker.get_execution_role()
    tags = client.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "dogs"}]
    modes = {c["ChannelName"]: c.get("InputMode") for c in job["InputDataConfig"]}
    assert modes["Fast"] == "FastFile"


def test_both_input_modes_show_the_same_files(trained):
    logs = boto3.client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs",
        logStreamNamePrefix=trained.latest_training_job.name + "/",
    )
    said = [event["message"] for event in logs["events"]]
    for name in ("train", "Fast"):
        assert f"channel {name} ['a.csv', 'deeper']" in said


def test_model_output_and_checkpoints_are_in_the_bucket(trained, session, tmp_path):
    name = trained.latest_training_job.name
    assert trained.model_data == f"s3://{BUCKET}/{name}/output/model.tar.gz"
    keys = session.list_s3_files(BUCKET, name)
    assert {f"{name}/output/model.tar.gz", f"{name}/output/output.tar.gz"} <= set(keys)
    assert session.read_s3_file(BUCKET, "checkpoints/epoch-2.txt") == "two"


def test_checkpoints_are_there_again_for_the_next_job(trained, estimator, ended, tmp_path):
    (tmp_path / "look.py").write_text("import os; print(os.listdir('/opt/ml/checkpoints'))\n")
    again = estimator(
        entry_point="look.py",
        source_dir=str(tmp_path),
        checkpoint_s3_uri=f"s3://{BUCKET}/checkpoints",
    )
    again.fit(wait=False)
    ended(again.latest_training_job.name)
    logs = boto3.client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs",
        logStreamNamePrefix=again.latest_training_job.name + "/",
    )
    assert "['epoch-2.txt']" in [event["message"] for event in logs["events"]]


def test_rules_have_a_status_and_debugger_a_place(trained):
    deadline = time.monotonic() + 60
    found = {"": "InProgress"}
    while "InProgress" in found.values():  # rules end after their job
        assert time.monotonic() < deadline
        time.sleep(0.2)
        summary = trained.latest_training_job.rule_job_summary()
        found = {rule["RuleConfigurationName"]: rule["RuleEvaluationStatus"] for rule in summary}
    assert found.keys() == {"Overfit", "LowGPUUtilization"} and found["Overfit"] == "Error"
    assert "saved no tensors" in summary[0]["StatusDetails"]
    assert found["LowGPUUtilization"] in {"NoIssuesFound", "IssuesFound"}
    name = trained.latest_training_job.name
    path = trained.latest_job_debugger_artifacts_path()
    assert path == f"s3://{BUCKET}/{name}/debug-output"
    assert trained.latest_job_profiler_artifacts_path().startswith(f"s3://{BUCKET}/{name}/")


def test_metrics_become_a_table(trained):
    table = TrainingJobAnalytics(
        trained.latest_training_job.name, sagemaker_session=trained.sagemaker_session
    ).dataframe()
    assert set(table["metric_name"]) == {"loss", "epoch"}
    losses = table[table["metric_name"] == "loss"]["value"]
    assert np.isclose(losses.min(), 0.3433, atol=0.34)
    assert len(trained.training_job_analytics.dataframe()) == len(table)


def test_attach_brings_the_estimator_back(trained, session):
    again = PyTorch.attach(trained.latest_training_job.name, sagemaker_session=session)
    assert again.model_data == trained.model_data
    found = again.hyperparameters()
    assert (found["lr"], found["kind"]) == ("0.2", '"tuned"') or found["kind"] == "tuned"
    assert again.framework_version == "1.12" and again.instance_type == "ml.m5.large"


VERSIONS = [("1.4.0", "py3"), ("1.8.1", "py36"), ("1.13.1", "py39"), ("2.0.1", "py310")]


def test_images_of_many_versions_run_and_say_which_was_asked_for(estimator, ended):
    jobs = {}
    for version, python in VERSIONS:
        image = sagemaker.image_uris.retrieve(
            "pytorch",
            "eu-central-1",
            version,
            python,
            instance_type="ml.p3.2xlarge",
            image_scope="training",
        )
        assert f":{version}" in image and "eu-central-1" in image
        one = estimator(image_uri=image, framework_version=None, py_version=None)
        one.fit(wait=False)
        jobs[version] = one.latest_training_job.name
    logs = boto3.client("logs")
    for version, name in jobs.items():
        assert ended(name)["TrainingJobStatus"] == "Completed"
        group = "/aws/sagemaker/TrainingJobs"
        found = logs.filter_log_events(logGroupName=group, logStreamNamePrefix=name + "/")
        assert f"PyTorch {version}" in found["events"][0]["message"]


def test_what_the_requirements_pin_comes_before_what_the_engine_has(estimator, ended, tmp_path):
    write_wheel(wheels := shared_folder(), "tqdm", "0.1")
    (tmp_path / "train.py").write_text("import tqdm; print(f'loss={tqdm.VALUE};')\n")
    (tmp_path / "requirements.txt").write_text("tqdm==0.1\n")
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    one = estimator(source_dir=str(tmp_path), environment=pip)
    one.fit(wait=False)
    job = ended(one.latest_training_job.name)
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    assert job["FinalMetricDataList"][0]["Value"] == pytest.approx(0.1)


def test_a_session_of_another_region_trains_too(source, ended):
    abroad = sagemaker.Session(boto3.Session(region_name="eu-west-1"))
    assert abroad.boto_region_name == "eu-west-1"
    one = PyTorch(
        "train.py",
        source_dir=source,
        role=sagemaker.get_execution_role(abroad),
        framework_version="1.8.1",
        py_version="py36",
        instance_count=1,
        instance_type="ml.m5.large",
        sagemaker_session=abroad,
    )
    assert ".eu-west-1." in one.training_image_uri()
    one.fit(wait=False)
    assert ended(one.latest_training_job.name)["TrainingJobStatus"] == "Completed"


def test_a_script_that_gives_up_fails_the_fit_with_its_words(estimator, data, ended):
    bad = estimator(hyperparameters={"fail": 1})
    bad.fit({"train": data}, wait=False)
    ended(bad.latest_training_job.name)
    with pytest.raises(UnexpectedStatusException, match="no such breed") as raised:
        bad.latest_training_job.wait(logs="None")
    assert raised.value.actual_status == "Failed"


def test_an_empty_channel_fails_the_job(estimator, ended):
    bad = estimator()
    bad.fit({"train": f"s3://{BUCKET}/nothing/here"}, wait=False)
    job = ended(bad.latest_training_job.name)
    assert job["TrainingJobStatus"] == "Failed" and job["FailureReason"].startswith("ClientError")
    assert f"s3://{BUCKET}/nothing/here" in job["FailureReason"]


def test_a_name_that_is_taken(estimator, trained):
    with refused("ResourceInUse"):
        estimator().fit(job_name=trained.latest_training_job.name, wait=False)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"instance_type": "ml.nothing.large"}, "resourceConfig.instanceType"),
        ({"instance_count": 0}, "resourceConfig.instanceCount"),
        ({"environment": {"1ST": "x"}}, "environment"),
        ({"input_mode": "Stream"}, "trainingInputMode"),
        ({"hyperparameters": {"kind": "x" * 2501}}, "hyperParameters"),
        ({"use_spot_instances": True, "max_run": 600, "max_wait": 300}, "MaxWaitTimeInSeconds"),
        ({"role": "arn:aws:iam::1:role/x"}, "roleArn"),
        ({"metric_definitions": [{"Name": "x", "Regex": "("}]}, "Regex"),
        ({"tags": [{"Key": "k" * 129, "Value": "v"}]}, "tags"),
    ],
)
def test_what_the_service_refuses_is_refused_and_leaves_nothing(estimator, client, members, said):
    name = unique("refused")
    with refused("ValidationException") as raised:
        estimator(**members).fit(job_name=name, wait=False)
    assert said.lower() in str(raised.value).lower()
    with refused("ValidationException"):
        client.describe_training_job(TrainingJobName=name)


def test_a_name_with_an_underscore(estimator):
    with refused("ValidationException") as raised:
        estimator().fit(job_name="with_underscore", wait=False)
    assert "trainingJobName" in str(raised.value)


def test_attach_to_nothing(session):
    with refused("ValidationException") as raised:
        PyTorch.attach("never-was", sagemaker_session=session)
    assert "Requested resource not found" in str(raised.value)


def test_stopping_a_job_that_has_ended(trained, client):
    with refused("ValidationException") as raised:
        client.stop_training_job(TrainingJobName=trained.latest_training_job.name)
    assert "Completed" in str(raised.value)
