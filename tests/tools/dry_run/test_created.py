"""What the dry run's requests make: each kind of mistake is refused, on a request spoiled by it."""

from copy import deepcopy

import pytest

from course.account import images
from course.account.standing import TAG
from tools.dry_run.created import TAGGED, problems
from tools.dry_run.record import Call

REGION = "eu-west-1"
GPU, CPU = (images.training(REGION, device) for device in ("gpu", "cpu"))
JOB = {
    "AlgorithmSpecification": {"TrainingImage": GPU},
    "CheckpointConfig": {"S3Uri": "s3://b/dog-breeds/checkpoints/1"},
    "EnableManagedSpotTraining": True,
    "ResourceConfig": {"InstanceType": "ml.g4dn.xlarge"},
    "StoppingCondition": {"MaxRuntimeInSeconds": 1800, "MaxWaitTimeInSeconds": 5400},
}
KINDS = ["one", "search", "searches"]


def call(operation, **params):
    return Call("sagemaker", operation, region=REGION, params=params)


def asked(kind, **spoiled):
    """A job, alone or in one of the two ways of a search, with some members spoiled."""
    job = deepcopy(JOB)
    for path, value in spoiled.items():
        *places, last = path.split("__")
        inside = job
        for place in places:
            inside = inside[place]
        inside.update({last: value}) if value is not None else inside.pop(last)
    if kind == "one":
        return call("CreateTrainingJob", **job, Tags=[TAG])
    members = {
        "search": {"TrainingJobDefinition": job},
        "searches": {"TrainingJobDefinitions": [job]},
    }
    return call("CreateHyperParameterTuningJob", **members[kind], Tags=[TAG])


def only(found, *words):
    [text] = found
    assert all(word in text for word in words), text


@pytest.mark.parametrize("kind", KINDS)
def test_as_the_course_asks(kind):
    assert list(problems([asked(kind)])) == []
    on_demand = {"EnableManagedSpotTraining": False, "CheckpointConfig": None}
    on_demand["StoppingCondition__MaxWaitTimeInSeconds"] = None
    assert list(problems([asked(kind, **on_demand)])) == []


@pytest.mark.parametrize("kind", KINDS)
def test_spot_without_checkpoints(kind):
    only(problems([asked(kind, CheckpointConfig=None)]), "without a CheckpointConfig")
    only(problems([asked(kind, CheckpointConfig={})]), "without a CheckpointConfig")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wait, told", [(None, "no"), (1799, "1799")])
def test_a_wait_for_spot_instances_that_is_shorter_than_the_job(kind, wait, told):
    spoiled = asked(kind, StoppingCondition__MaxWaitTimeInSeconds=wait)
    only(problems([spoiled]), f"waits {told} seconds, less than the 1800")


def test_a_spot_job_without_a_limit_may_run_for_a_day():
    spoiled = asked("one", StoppingCondition={"MaxWaitTimeInSeconds": 5400})
    only(problems([spoiled]), "less than the 86400")


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_without_spot_instances(kind):
    only(problems([asked(kind, EnableManagedSpotTraining=False)]), "for spot jobs only")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("image, instance", [(CPU, "ml.g4dn.xlarge"), (GPU, "ml.m5.xlarge")])
def test_an_image_for_another_device_than_the_instances(kind, image, instance):
    members = {
        "AlgorithmSpecification__TrainingImage": image,
        "ResourceConfig__InstanceType": instance,
    }
    only(problems([asked(kind, **members)]), f"on {instance}", "ws.training_image")


def test_a_cpu_instance_with_the_image_for_it():
    members = {
        "AlgorithmSpecification__TrainingImage": CPU,
        "ResourceConfig__InstanceType": "ml.m5.xlarge",
    }
    assert list(problems([asked("one", **members)])) == []


@pytest.mark.parametrize("operation", sorted(TAGGED))
@pytest.mark.parametrize("tags", [None, [], [{"Key": "project", "Value": "cats"}]])
def test_a_missing_tag(operation, tags):
    made = {} if tags is None else {"Tags": tags}
    only([t for t in problems([call(operation, **made)]) if "tag" in t], operation, "clean-up")


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_that_does_not_exist(kind):
    gone = GPU.replace(f":{images.PYTORCH}-", ":2.1-")
    assert gone != GPU
    spoiled = asked(kind, AlgorithmSpecification__TrainingImage=gone)
    only(problems([spoiled]), "TrainingImage is", ":2.1-", "tables do not name for eu-west-1")


def test_an_image_of_another_region():
    container = {"Image": images.inference("us-west-2")}
    only(problems([call("CreateModel", PrimaryContainer=container, Tags=[TAG])]), "us-west-2")
    container = {"Image": images.inference(REGION)}
    assert not list(problems([call("CreateModel", PrimaryContainer=container, Tags=[TAG])]))


def test_other_services_make_nothing_of_this_kind():
    assert list(problems([Call("s3", "CreateModel", region=REGION), Call("?", "?")])) == []
