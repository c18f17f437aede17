"""The budget: what moto's AWS has of it afterwards."""

import boto3
import pytest
from moto import mock_aws

from course import costs
from course.account import budget

ACCOUNT = "123456789012"


@pytest.fixture
def aws(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("COURSE_MODE", "aws")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "LOCAL_SAGEMAKER_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield boto3.client("budgets")


def test_one_command_makes_a_monthly_budget_with_three_alerts(aws, capsys):
    assert costs.main(["--budget", "10", "--email", "me@example.com"]) == 0
    assert "10 USD a month for the whole account" in capsys.readouterr().out
    made = aws.describe_budget(AccountId=ACCOUNT, BudgetName=budget.NAME)["Budget"]
    assert (made["BudgetLimit"], made["TimeUnit"]) == ({"Amount": "10", "Unit": "USD"}, "MONTHLY")
    alerts = aws.describe_notifications_for_budget(AccountId=ACCOUNT, BudgetName=budget.NAME)
    found = {(a["NotificationType"], a["Threshold"]) for a in alerts["Notifications"]}
    assert found == {("ACTUAL", 85.0), ("ACTUAL", 100.0), ("FORECASTED", 100.0)}


def test_credits_do_not_hide_what_is_used(aws):
    """By default a budget watches the bill after credits: 0 as long as they last."""
    budget.make(aws, ACCOUNT, 10, "me@example.com")
    watched = aws.describe_budget(AccountId=ACCOUNT, BudgetName=budget.NAME)["Budget"]["CostTypes"]
    assert watched["IncludeCredit"] is False and watched["IncludeRefund"] is False


def test_a_second_one_is_not_made(aws):
    budget.make(aws, ACCOUNT, 10, "me@example.com")
    said = budget.make(aws, ACCOUNT, 20, "me@example.com")
    assert "already" in said and f"--account-id {ACCOUNT}" in said
    made = aws.describe_budgets(AccountId=ACCOUNT)["Budgets"]
    assert [each["BudgetLimit"]["Amount"] for each in made] == ["10"]


@pytest.mark.parametrize("arguments", [["--budget", "10"], ["--email", "me@example.com"]])
def test_a_budget_needs_an_amount_and_an_address(arguments):
    with pytest.raises(SystemExit):
        costs.main(arguments)


def test_local_mode_has_no_bill(monkeypatch, capsys):
    monkeypatch.setattr("course.workspace.choose_place", lambda: "local")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert costs.main(["--budget", "10", "--email", "me@example.com"]) == 1
    assert "COURSE_MODE=aws" in capsys.readouterr().err
