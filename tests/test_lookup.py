"""What is missing is named together with the notebook that makes it."""

import pytest

from course import MissingStep, lookup


def test_what_is_there_is_given_back():
    assert lookup.require(["job"], "a job", "02-hpo") == ["job"]


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_what_is_missing_names_the_notebook(nothing):
    with pytest.raises(MissingStep, match="a job is not there yet: run notebook 02-hpo first"):
        lookup.require(nothing, "a job", "02-hpo")
