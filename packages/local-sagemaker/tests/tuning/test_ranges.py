"""What AWS refuses in parameter ranges is refused, and what it fills in is filled in."""

import math

import pytest

from local_sagemaker.core.errors import ApiError
from local_sagemaker.tuning import ranges


def asked(**kinds):
    return {f"{kind}ParameterRanges": items for kind, items in kinds.items()}


def between(name, low, high, **members):
    return {"Name": name, "MinValue": str(low), "MaxValue": str(high), **members}


def test_every_kind_is_there_and_each_scale_is_named():
    net = {"Name": "net", "Values": ["vgg"]}
    log = between("lr", 1, 2, ScalingType="Logarithmic")
    found = ranges.completed(asked(Continuous=[between("m", 0, 1), log], Categorical=[net]))
    assert found == {
        "ContinuousParameterRanges": [between("m", 0, 1, ScalingType="Auto"), log],
        "CategoricalParameterRanges": [net],
        "IntegerParameterRanges": [],
    }


def test_the_number_of_combinations():
    few = asked(
        Integer=[between("n", 2, 4)], Categorical=[{"Name": "net", "Values": ["vgg", "resnet"]}]
    )
    assert ranges.combinations(ranges.of(few)) == 6
    assert ranges.combinations(ranges.of(asked(Continuous=[between("x", 0, 1)]))) == math.inf


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (asked(), "hold no range"),
        (asked(Continuous=[between("lr", "low", 1)]), "no Continuous numbers"),
        (asked(Continuous=[between("lr", 0, "inf")]), "no Continuous numbers"),
        (asked(Integer=[between("n", 1.5, 3)]), "no Integer numbers"),
        (asked(Integer=[between("n", 1, "9" * 256)]), "no Integer numbers"),
        (asked(Integer=[between("n", 1, 1)]), "MinValue < MaxValue"),
        (
            asked(Continuous=[between("lr", 0, 1, ScalingType="Logarithmic")]),
            "'lr' needs MinValue > 0",
        ),
        (
            asked(Continuous=[between("m", 0.5, 2, ScalingType="ReverseLogarithmic")]),
            "0 <= MinValue < MaxValue < 1",
        ),
        (
            asked(Integer=[between("n", 0, 3, ScalingType="ReverseLogarithmic")]),
            "for continuous ranges, not for 'n'",
        ),
        (asked(Categorical=[{"Name": "c", "Values": []}]), "no values"),
        (asked(Categorical=[{"Name": "c", "Values": ["a", "a"]}]), "a value twice"),
        (asked(Integer=[between("n", 1, 2)], Continuous=[between("n", 1, 2)]), "stands twice"),
        (asked(Integer=[between(f"n{i}", 1, 2) for i in range(31)]), "more than 30"),
        ({"AutoParameters": [{"Name": "lr", "ValueHint": "0.1"}]}, "does not choose ranges"),
    ],
)
def test_what_cannot_be_searched_is_refused(wrong, words):
    with pytest.raises(ApiError, match=words):
        ranges.of(wrong)
