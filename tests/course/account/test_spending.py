"""What was spent so far: tagged jobs by their billable seconds, endpoints since they were made."""

from datetime import UTC, datetime, timedelta

import pytest

from course import costs
from course.account import spending
from course.account.standing import Standing
from engine_support.clients import unique

OURS = [{"Key": "project", "Value": "dog-breeds"}]


@pytest.fixture
def ran(reached):
    """A job of the course, and one of the same kind of name that is not."""
    name = unique("dog-breeds-spent")
    resources = {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1}
    reached.trained("sleep 1", TrainingJobName=name, Tags=OURS, ResourceConfig=resources)
    reached.trained("true", TrainingJobName=unique("dog-breeds-foreign"))
    return reached, name


def test_billable_seconds_at_the_instances_price(ran):
    aws, name = ran
    rows = {row.what: row for row in spending.training(aws.sagemaker)}
    assert name in rows and not any("foreign" in what for what in rows)
    billed = aws.sagemaker.describe_training_job(TrainingJobName=name)["BillableTimeInSeconds"]
    assert rows[name].seconds == billed > 0
    assert rows[name].usd == pytest.approx(billed / 3600 * 0.736)
    assert rows[name].instance == "ml.g4dn.xlarge"


def test_the_command_says_what_ran_and_that_it_was_free_here(ran, monkeypatch, capsys):
    aws, name = ran
    monkeypatch.setenv("COURSE_MODE", "local")
    monkeypatch.setenv("LOCAL_SAGEMAKER_URL", aws.url)
    assert costs.main([]) == 0
    said = capsys.readouterr().out
    assert name in said and "free: they ran on this machine" in said and "USD" not in said
    assert said.startswith("LOCAL: the engine on this machine, no AWS account (COURSE_MODE=aws")


def test_the_command_says_which_account_it_asked(ran, monkeypatch, capsys):
    aws, _ = ran
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)  # boto3 finds the engine in AWS's place
    for service in ("SAGEMAKER", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", aws.url)
    monkeypatch.setenv("COURSE_MODE", "aws")
    assert costs.main(["--region", "eu-west-1"]) == 0
    assert capsys.readouterr().out.startswith("AWS: account …9012, region eu-west-1; prices: ")


def test_on_aws_it_says_dollars_and_what_is_not_counted(ran):
    aws, name = ran
    said = spending.told(aws.sagemaker)
    assert " seconds in all: 0." in said and "Not counted" in said
    line = next(line for line in said.splitlines() if line.startswith(name))
    assert line.endswith(" USD")


def test_several_machines_and_an_unknown_price():
    job = {"TrainingJobName": "j", "BillableTimeInSeconds": 60}
    two = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2}
    row = spending._billed(job | {"ResourceConfig": two})
    assert (row.seconds, row.usd) == (120, pytest.approx(2 * 0.23 / 60))
    row = spending._billed(job | {"ResourceConfig": two | {"InstanceType": "ml.p5.48xlarge"}})
    assert row.usd is None
    row = spending._billed({"TrainingJobName": "j", "ResourceConfig": two})
    assert row.usd == 0  # it has not begun


def test_an_endpoint_counts_since_it_was_made(monkeypatch):
    now = datetime(2026, 11, 29, 12, tzinfo=UTC)

    def stands(_, kinds):
        begun = now - timedelta(hours=2)
        return [
            Standing("endpoint", "mine", "arn", "InService", begun, True, 0.115),
            Standing("endpoint", "theirs", "arn", "InService", begun, False, 0.115),
        ]

    monkeypatch.setattr(spending, "found", stands)
    (row,) = spending.endpoints(None, now)
    assert (row.what, row.seconds, row.usd) == ("mine", 7200, pytest.approx(0.23))


def test_nothing_has_run(monkeypatch):
    monkeypatch.setattr(spending, "training", lambda _: [])
    monkeypatch.setattr(spending, "endpoints", lambda _: [])
    assert spending.told(None) == "nothing of dog-breeds has run here"
