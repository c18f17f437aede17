"""The execution role, and the one IAM question that moto leaves open."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from urllib.parse import parse_qs, urlencode

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from local_sagemaker import ACCOUNT, REGION, ROLE_ARN
from local_sagemaker.aws.journal import Journal
from local_sagemaker.core.errors import xml_text

# What moto's GetSessionToken and GetFederationToken give out.
MOTO_KEY = b"<AccessKeyId>AKIAIOSFODNN7EXAMPLE<"
MOTO_SECRET = b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYzEXAMPLEKEY"
HOURS_12 = 12 * 3600  # their default
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
    """Let the engine's key be a session of the role: GetCallerIdentity tells the role's name.

    From there both SDKs' ``get_execution_role()`` come to the role, as on a notebook instance.
    """
    sts = sts_backends[ACCOUNT]["aws"]
    if sts.get_assumed_role_from_access_key(NO_KEY) is None:
        session = sts.assume_role(REGION, "SageMaker", ROLE_ARN, "", 3600, "")
        session.access_key_id = NO_KEY


def secret_of(key: str) -> str | None:
    """The secret of a key that IAM or STS gave out and that is valid; None for any other."""
    for account in list(iam_backends.values()):
        found = account["aws"].access_keys.get(key)
        if found and found.status == "Active" and not _is_expired(key):
            return found.secret_access_key
    return None


def _is_expired(key: str) -> bool:
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    roles = [role for account in sts_backends.values() for role in account["aws"].assumed_roles]
    return any(role.access_key_id == key and role.expiration < now for role in roles)


def with_keys(answer: bytes) -> bytes:
    """STS's answer with keys that work, where moto gives out those of AWS's documentation.

    Everybody knows them, so they must not open the engine.
    """
    if MOTO_KEY not in answer:
        return answer
    session = sts_backends[ACCOUNT]["aws"].assume_role(
        REGION, "session", ROLE_ARN, "", HOURS_12, ""
    )
    answer = answer.replace(MOTO_KEY, f"<AccessKeyId>{session.access_key_id}<".encode())
    return answer.replace(MOTO_SECRET, session.secret_access_key.encode())


def simulate(body: bytes, start_response: Callable) -> list[bytes]:
    """Answer SimulatePrincipalPolicy (WSGI), which the SDK asks before it creates anything.

    This engine allows every action to everyone.
    """
    asked = parse_qs(body.decode("utf-8", "replace"))
    actions = [value[0] for name, value in asked.items() if name.startswith("ActionNames.member.")]
    results = "".join(RESULT.format(action=xml_text(action)) for action in actions)
    start_response("200 OK", [("Content-Type", "text/xml")])
    return [SIMULATION.format(results=results).encode()]
