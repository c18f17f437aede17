"""What is missing is named together with the notebook that makes it."""

import pytest

from course import MissingStep, lookup


def test_what_is_there_is_given_back():
    assert lookup.require(["job"], "a job", "02-hpo") == ["job"]


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_what_is_missing_names_the_notebook(nothing):
    with pytest.raises(MissingStep, match="a job is not there yet: run notebook 02-hpo first"):
        lookup.require(nothing, "a job", "02-hpo")


def test_until_asks_again_until_there_is_an_answer():
    answers = iter([None, None, 0])  # an answer may be falsy
    assert lookup.until(lambda: next(answers), pause_s=0) == 0


def test_until_gives_up():
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        lookup.until(lambda: None, limit_s=0.01, pause_s=0)
