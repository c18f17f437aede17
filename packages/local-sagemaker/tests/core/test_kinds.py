"""Each kind of resource is named as AWS names it."""

import pytest

from local_sagemaker.core.kinds import KINDS, MODEL, TRAINING_JOB, named
from local_sagemaker.core.validation import operation


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.api)
def test_the_members_are_those_of_the_api(kind):
    described = operation(f"Describe{kind.api}").output_shape.members
    assert {kind.name_member, kind.arn_member} <= described.keys()
    assert (kind.status_member in described) == (kind.api not in {"Model", "EndpointConfig"})
    assert kind.listed in operation(f"List{kind.api}s").output_shape.members
    if pattern := described[kind.arn_member].metadata.get("pattern"):
        assert f":{kind.resource}/" in pattern.replace("\\", "")


def test_a_resource_is_known_by_its_arn():
    assert named("arn:aws:sagemaker:us-east-1:123456789012:training-job/a") == (TRAINING_JOB, "a")
    for kind in KINDS:
        assert named(kind.arn("name")) == (kind, "name")
    assert named(MODEL.arn("a/b")) == (MODEL, "a/b")


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "training-job/a",
        "arn:aws:sagemaker:us-east-1:999999999999:training-job/a",
        "arn:aws:sagemaker:us-east-1:123456789012:pipeline/a",
        "x arn:aws:sagemaker:us-east-1:123456789012:training-job/a",
    ],
)
def test_what_is_no_arn_of_a_resource_here(arn):
    assert named(arn) is None
