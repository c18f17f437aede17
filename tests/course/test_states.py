"""The states: none of SageMaker's is missing, and what was not said is nothing."""

import botocore.session
import pytest

from course import states
from course.states import State


def test_every_status_of_the_service_is_known():
    shapes = botocore.session.get_session().get_service_model("sagemaker")
    known = states.GOOD | states.BAD | states.UNDER_WAY
    for name in (
        "TrainingJobStatus", "SecondaryStatus", "HyperParameterTuningJobStatus", "EndpointStatus",
    ):  # fmt: skip
        assert set(shapes.shape_for(name).enum) <= known, name


def test_no_status_is_of_two_kinds():
    kinds = states.GOOD, states.BAD, states.UNDER_WAY
    assert len(set.union(*kinds)) == sum(map(len, kinds))


@pytest.mark.parametrize(
    ("status", "ended"), [("Completed", True), ("Failed", True), ("Stopping", False)]
)
def test_what_is_not_under_way_has_ended(status, ended):
    assert State(status).ended is ended


@pytest.mark.parametrize("answer", ["Training", ("Training",), State("Training")])
def test_a_status_alone_will_do(answer):
    assert states.read(answer) == State("Training", None, None)


def test_what_the_sdk_gives_for_not_said_is_no_reason_and_no_count():
    assert states.read(("Failed", object(), object())) == State("Failed")
    assert states.read(("Failed", 3, "no data")) == State("Failed", 3, "no data")


def test_what_is_no_status_is_refused():
    with pytest.raises(ValueError, match=r"'Ready' is no status .* Ask for one of Completed, .*"):
        states.read("Ready")
