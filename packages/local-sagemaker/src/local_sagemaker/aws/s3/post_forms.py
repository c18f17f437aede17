"""Forms for S3, by which a browser or ``requests`` uploads an object without an AWS client.

The form's fields name the key and carry a policy: until when, and with which fields, the form may
be used. The policy is signed, the fields are not.
"""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Mapping

from dateutil.parser import isoparse
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request

from local_sagemaker.core.errors import ApiError

# Fields that no condition of the policy has to name, beside those that begin with x-ignore-.
FREE = {"awsaccesskeyid", "x-amz-signature", "signature", "policy", "file", "bucket"}


def is_form(environ: Mapping[str, str]) -> bool:
    """Whether a request may be such a form: a POST of several parts to a bucket."""
    is_parts = environ.get("CONTENT_TYPE", "").startswith("multipart/form-data")
    bucket, _, key = environ["PATH_INFO"].strip("/").partition("/")
    return is_parts and environ["REQUEST_METHOD"] == "POST" and bool(bucket) and not key


def read(environ: dict) -> tuple[dict[str, str], int]:
    """The form's fields, and how many bytes its file has.

    Raises:
        ApiError: it cannot be read, or a field comes twice.
    """
    stream = environ["wsgi.input"]
    try:
        request = Request({**environ, "QUERY_STRING": ""})
        values = list(request.form.items(multi=True))
        files = request.files.getlist("file")
        size = sum(file.stream.seek(0, 2) for file in files)
    except HTTPException as error:
        text = f"The body of your POST request is not well-formed multipart/form-data: {error.name}"
        raise ApiError("MalformedPOSTRequest", text) from None
    finally:
        stream.seek(0)
    # moto, which carries the request out, takes fields from the query as well.
    environ["QUERY_STRING"] = ""
    environ["REQUEST_URI"] = environ.get("REQUEST_URI", "").partition("?")[0]
    fields = {name.lower(): value for name, value in values}
    if len(fields) != len(values):
        raise ApiError("InvalidArgument", "POST requires exactly one value of each form field.")
    bucket = environ["PATH_INFO"].strip("/")
    return {**fields, "bucket": bucket}, size


def check(policy: str, fields: Mapping[str, str], size: int) -> None:
    """Compare a form with its policy.

    Args:
        policy: as the form has it, in base 64.
        fields: the form's, by their names in lower case, and ``bucket``.
        size: of the file, in bytes.

    Raises:
        ApiError: the policy has expired, a condition is not met, or a field has no condition.
    """
    try:
        rules = json.loads(base64.b64decode(policy))
        expiration, conditions = isoparse(rules["expiration"]), list(rules["conditions"])
        pairs = [rule for rule in conditions if isinstance(rule, dict)]
        lists = [rule for rule in conditions if not isinstance(rule, dict)]
        lists += [["eq", f"${name}", value] for rule in pairs for name, value in rule.items()]
        triples = [(str(kind).lower(), one, other) for kind, one, other in lists]
        if expiration.tzinfo is None:
            raise ValueError("the expiration names no time zone")
    except (ValueError, KeyError, TypeError, AttributeError):
        text = "Invalid Policy: Invalid JSON."
        raise ApiError("InvalidPolicyDocument", text) from None
    if expiration < datetime.datetime.now(datetime.UTC):
        raise ApiError("AccessDenied", "Invalid according to Policy: Policy expired.", 403)
    for kind, one, other in triples:
        _check_condition(kind, one, other, fields, size)
    named = {str(one).lower().removeprefix("$") for _, one, _ in triples}
    for name in fields:
        if name not in named | FREE and not name.startswith("x-ignore-"):
            text = f"Invalid according to Policy: Extra input fields: {name}"
            raise ApiError("AccessDenied", text, 403)


def _check_condition(kind: str, one, other, fields: Mapping[str, str], size: int) -> None:
    if kind == "content-length-range":
        if size > int(other):
            text = "Your proposed upload exceeds the maximum allowed size"
            raise ApiError("EntityTooLarge", text)
        if size < int(one):
            text = "Your proposed upload is smaller than the minimum allowed size"
            raise ApiError("EntityTooSmall", text)
        return
    found = fields.get(str(one).lower().removeprefix("$"), "")
    is_met = found == str(other) if kind == "eq" else found.startswith(str(other))
    if kind not in {"eq", "starts-with"} or not is_met:
        condition = json.dumps([kind, one, other])
        text = f"Invalid according to Policy: Policy Condition failed: {condition}"
        raise ApiError("AccessDenied", text, 403)
