"""An alarm by e-mail when an account's monthly bill grows; it stops nothing."""

from __future__ import annotations

from typing import Any

NAME = "dog-breeds"
# With credits, as by default, the watched bill is 0 until the last credit is gone.
COST_TYPES = {"IncludeCredit": False, "IncludeRefund": False}
ALERTS = (("ACTUAL", 85), ("ACTUAL", 100), ("FORECASTED", 100))  # at which share of the amount


def make(budgets: Any, account: str, usd: float, email: str) -> str:
    """Make the budget unless it is there; return a sentence about it.

    It watches the bill of the whole account, as it is before credits and refunds. AWS splits bills
    by tags only after somebody has activated them. Neither the course's policy nor
    AmazonSageMakerFullAccess allows this request (`budgets:ModifyBudget`); whoever owns the account
    sends it.

    Args:
        budgets: boto3's client of the service `budgets`.
        account: its number, twelve digits.
        usd: US dollars a month.
        email: whom AWS writes to.

    Raises:
        ClientError: AWS refuses it.
    """
    limit = {"Amount": f"{usd:g}", "Unit": "USD"}
    wanted = {
        "BudgetName": NAME,
        "BudgetLimit": limit,
        "CostTypes": COST_TYPES,
        "TimeUnit": "MONTHLY",
        "BudgetType": "COST",
    }
    alerts = [
        {
            "Notification": {
                "NotificationType": kind,
                "ComparisonOperator": "GREATER_THAN",
                "Threshold": share,
                "ThresholdType": "PERCENTAGE",
            },
            "Subscribers": [{"SubscriptionType": "EMAIL", "Address": email}],
        }
        for kind, share in ALERTS
    ]
    try:
        budgets.create_budget(AccountId=account, Budget=wanted, NotificationsWithSubscribers=alerts)
    except budgets.exceptions.DuplicateRecordException:
        return (
            f"there is a budget {NAME} already: change it in the Billing console, Budgets, or run "
            f"`aws budgets delete-budget --account-id {account} --budget-name {NAME}`"
        )
    shares = ", ".join(f"{share} % {kind.lower()}" for kind, share in ALERTS)
    return (
        f"budget {NAME}: {usd:g} USD a month for the whole account, before credits; AWS writes to "
        f"{email} at {shares}, hours later, and stops nothing"
    )
