"""Prices: plain arithmetic, and a clear error for an unknown instance."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from course import costs


def test_an_hour_costs_the_hourly_price():
    assert costs.dollars(3600, "ml.g4dn.xlarge") == pytest.approx(0.736)
    assert costs.dollars(90, "ml.m5.large") == pytest.approx(0.115 / 40)


def test_an_unknown_instance_is_named():
    with pytest.raises(ValueError, match=r"'ml.moon.large': known are ml.t3.medium, "):
        costs.dollars(1, "ml.moon.large")


@pytest.mark.parametrize("module", ["course.costs", "course.cleanup", "course.weights"])
def test_its_commands_start_without_a_warning(module):
    """A module that its own package has imported would run twice."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", module, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0 and "usage:" in done.stdout, done.stderr


def test_each_notebook_has_a_limit():
    from tools.run import NOTEBOOKS

    most = costs.at_most("ml.g4dn.xlarge", "ml.m5.large")
    assert set(most) == {path.stem for path in NOTEBOOKS.glob("[0-9]*.ipynb")}


def test_the_limits_follow_the_instances():
    most = costs.at_most("ml.g4dn.xlarge", "ml.m5.large")
    assert most["02-hpo"] == pytest.approx(8 * 0.5 * 0.736)
    assert most["04-deploy-query"] == pytest.approx(0.115)
    assert costs.at_most("ml.m5.xlarge", "ml.m5.large")["02-hpo"] == pytest.approx(0.92)


@pytest.mark.parametrize(
    ("mode", "training", "said"),
    [
        ("aws", "ml.m5.xlarge", "at most 2.01 USD for one run of the course (notebook 01 0.05, 02 "
         "0.92, 03 0.92, 04 0.12)"),
        ("local", "anything", "at most 6.05 USD for one run of the course (notebook 01 0.05, 02 "
         "2.94, 03 2.94, 04 0.12)"),
    ],
)  # fmt: skip
def test_the_whole_course_costs_what_its_notebooks_do(mode, training, said):
    ws = SimpleNamespace(mode=mode, training_instance=training, endpoint_instance="ml.m5.large")
    found = costs.whole_course(ws)
    assert said in found
    assert found.endswith("if the endpoint exists for an hour; 0.12 USD for each further hour.")


@pytest.mark.parametrize(
    ("mode", "instance", "most"),
    [("aws", "ml.m5.xlarge", "0.92"), ("local", "ml.m5.large", "2.94")],
)
def test_what_aws_charges_at_most_is_of_the_instance_there(mode, instance, most):
    """In local mode the instance is only a name: what counts is the course's on AWS."""
    ws = SimpleNamespace(mode=mode, training_instance=instance)
    said = costs.ceiling(ws, jobs=8, hours=0.5)
    assert f"at most {most} USD: 8 jobs, each stopped after 0.5 h" in said
    assert " USD an hour (" in said and "$" not in said
    assert ("ml.g4dn.xlarge" in said) == (mode == "local")
