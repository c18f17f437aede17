"""The files that tell readers that a job has ended: where, when, and what smdebug makes of them."""

import pytest

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, running_engine, unique
from engine_support.profiles import FOREVER, PLACE, profiled
from engine_support.rules import HOOK
from engine_support.shared_files import shared_folder

DEBUGGED = {"DebugHookConfig": HOOK, **profiled()}


def markers(aws, name):
    """The places of a job's end markers, without the job's own folder."""
    found = [*aws.keys(f"tensors/{name}/"), *aws.keys(f"profiles/{name}/")]
    return {key.partition(f"{name}/")[2] for key in found if key.endswith(".ts")}


ALL = {
    "debug-output/training_job_end.ts",
    "profiler-output/framework/training_job_end.ts",
    "profiler-output/system/training_job_end.ts",
}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (DEBUGGED, ALL),
        ({"DebugHookConfig": HOOK}, {"debug-output/training_job_end.ts"}),
        (profiled(DisableProfiler=True), set()),
        ({}, set()),
    ],
)
def test_a_job_that_ends_leaves_empty_files_where_aws_does(aws, members, expected):
    name = aws.trained("true", **members)["TrainingJobName"]
    assert markers(aws, name) == expected
    for place in expected:
        top = "tensors" if place.startswith("debug") else "profiles"
        head = aws.s3.head_object(Bucket=BUCKET, Key=f"{top}/{name}/{place}")
        assert head["ContentLength"] == 0


@pytest.mark.parametrize(
    "members",
    [
        {"command": "exit 3"},
        {"command": "true", "channels": {"train": f"s3://{BUCKET}/no/such/prefix"}},
        {"command": FOREVER, "StoppingCondition": {"MaxRuntimeInSeconds": 1}},
    ],
    ids=["failed", "without its data", "out of time"],
)
def test_so_does_one_that_ends_badly(aws, members):
    job = aws.trained(**members, **DEBUGGED)
    assert job["TrainingJobStatus"] in ("Failed", "Stopped")
    assert markers(aws, job["TrainingJobName"]) == ALL


def test_a_bucket_that_is_not_there_does_not_hide_why_a_job_failed(aws):
    job = aws.trained("true", DebugHookConfig={"S3OutputPath": "s3://no-such-bucket/tensors"})
    assert "the bucket 'no-such-bucket' of DebugHookConfig" in job["FailureReason"]


def test_a_running_job_has_none_not_even_that_of_a_deleted_job_of_its_name(aws):
    name, describe = unique("Again"), aws.sagemaker.describe_training_job
    for _ in range(2):
        aws.train(f"echo begun; {FOREVER}", TrainingJobName=name, **DEBUGGED)
        wait_until(lambda: describe(TrainingJobName=name)["SecondaryStatus"] == "Training", 60)
        assert markers(aws, name) == set()
        aws.sagemaker.stop_training_job(TrainingJobName=name)
        aws.job(name)
        assert markers(aws, name) == ALL
        aws.sagemaker.delete_training_job(TrainingJobName=name)


def test_a_job_that_the_engine_took_along_has_ended_too(tmp_path):
    with running_engine(tmp_path / "state") as mine:
        mine.s3.create_bucket(Bucket=BUCKET)
        name = mine.train(f"echo begun; {FOREVER}", **DEBUGGED)
        wait_until(lambda: mine.sagemaker.describe_training_job(TrainingJobName=name))
        mine.process.kill()
        mine.process.wait(timeout=30)
    with running_engine(tmp_path / "state") as mine:
        assert mine.job(name)["TrainingJobStatus"] == "Failed"
        assert markers(mine, name) == ALL


# What smdebug's readers make of it


@pytest.fixture(scope="module")
def saved(aws):
    """The name of a job that saved three steps of tensors."""
    from debugger_support.saved_tensors import SavedTensors  # imports torch

    folder = SavedTensors(shared_folder() / "tensors").losses(3, 2, 1).folder
    name = aws.train(f"mkdir -p /opt/ml/output; cp -r {folder} /opt/ml/output/tensors", **DEBUGGED)
    aws.job(name)
    return name


def test_a_trial_has_loaded_all_steps_and_waits_for_no_more(reached, saved):
    from smdebug.exceptions import NoMoreData
    from smdebug.trials import create_trial

    trial = create_trial(f"{HOOK['S3OutputPath']}/{saved}/debug-output")
    assert trial.steps() == [0, 1, 2]
    assert trial.loaded_all_steps
    trial.wait_for_steps([0, 1, 2])
    with pytest.raises(NoMoreData):
        trial.wait_for_steps([3])


def test_a_trial_on_nothing_says_so_at_once(reached):
    from smdebug.exceptions import MissingCollectionFiles
    from smdebug.trials import create_trial

    name = reached.trained("true", **DEBUGGED)["TrainingJobName"]
    with pytest.raises(MissingCollectionFiles):
        create_trial(f"{HOOK['S3OutputPath']}/{name}/debug-output")


def test_the_profilers_readers_see_the_end(reached, saved):
    from smdebug.core.access_layer.utils import has_training_ended  # as ProfilerTrial asks

    for part in ("system", "framework"):
        assert has_training_ended(f"{PLACE}/{saved}/profiler-output/{part}")
