"""The role that is there from the start, and the SDK's question about permissions."""

import json

from local_sagemaker import ROLE_ARN


def test_the_execution_role_trusts_sagemaker(aws):
    role = aws.iam.get_role(RoleName=ROLE_ARN.rpartition("/")[2])["Role"]
    assert role["Arn"] == ROLE_ARN
    assert "sagemaker.amazonaws.com" in json.dumps(role["AssumeRolePolicyDocument"])


def test_every_simulated_action_is_allowed(aws):
    answer = aws.iam.simulate_principal_policy(
        PolicySourceArn=ROLE_ARN, ActionNames=["s3:GetObject", "sagemaker:CreateModel"]
    )
    decisions = {r["EvalActionName"]: r["EvalDecision"] for r in answer["EvaluationResults"]}
    assert decisions == {"s3:GetObject": "allowed", "sagemaker:CreateModel": "allowed"}
