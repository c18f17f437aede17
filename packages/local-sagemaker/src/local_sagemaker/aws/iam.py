"""The execution role, and the one IAM question that moto leaves open."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode
from xml.sax.saxutils import escape

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from local_sagemaker import ACCOUNT, REGION, ROLE_ARN
from local_sagemaker.aws.journal import Journal

NO_KEY = "AKIAEXAMPLE"  # what moto reads from a request whose key has not the form of AWS's
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
RESULT = (
    "<member><EvalActionName>{action}</EvalActionName>"
    "<EvalResourceName>*</EvalResourceName><EvalDecision>allowed</EvalDecision></member>"
)
SIMULATION = (
    '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
    "<SimulatePrincipalPolicyResult><IsTruncated>false</IsTruncated>"
    "<EvaluationResults>{results}</EvaluationResults></SimulatePrincipalPolicyResult>"
    "<ResponseMetadata><RequestId>local</RequestId></ResponseMetadata>"
    "</SimulatePrincipalPolicyResponse>"
)


def make_role(journal: Journal) -> None:
    """Make the role that jobs and endpoints run under, unless it is there."""
    backend, name = iam_backends[ACCOUNT]["aws"], ROLE_ARN.rpartition("/")[2]
    if not any(role.name == name for role in backend.roles.values()):
        members = {"Action": "CreateRole", "Version": "2010-05-08", "RoleName": name}
        body = urlencode(members | {"AssumeRolePolicyDocument": json.dumps(TRUST)}).encode()
        journal.tell("iam", body, CONTENT_TYPE="application/x-www-form-urlencoded")
    _assume_role()


def _assume_role() -> None:
    """Let dummy keys be a session of the role: GetCallerIdentity tells the role's name.

    From there both SDKs' ``get_execution_role()`` come to the role, as on a notebook instance.
    """
    sts = sts_backends[ACCOUNT]["aws"]
    if sts.get_assumed_role_from_access_key(NO_KEY) is None:
        session = sts.assume_role(REGION, "SageMaker", ROLE_ARN, "", 3600, "")
        session.access_key_id = NO_KEY


def asks_simulation(body: bytes) -> bool:
    """Whether a request to IAM is SimulatePrincipalPolicy, which the SDK asks before it creates."""
    return re.search(rb"(^|&)Action=SimulatePrincipalPolicy(&|$)", body) is not None


def simulate(body: bytes, start_response: Callable) -> list[bytes]:
    """Answer SimulatePrincipalPolicy (WSGI): this engine allows every action to everyone."""
    asked = parse_qs(body.decode("utf-8", "replace"))
    actions = [value[0] for name, value in asked.items() if name.startswith("ActionNames.member.")]
    results = "".join(RESULT.format(action=escape(action)) for action in actions)
    start_response("200 OK", [("Content-Type", "text/xml")])
    return [SIMULATION.format(results=results).encode()]
