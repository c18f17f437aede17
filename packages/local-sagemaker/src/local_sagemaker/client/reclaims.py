"""Take the instances of a spot job away, as EC2 does when it needs them elsewhere.

AWS's API has no such request, so this is the engine's own: a signed POST to `PATH`.
"""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

from local_sagemaker import REGION
from local_sagemaker.core.access_key import AccessKey
from local_sagemaker.core.errors import ApiError, invalid

PATH = "/-/reclaim"
NOTICE_S = 120.0  # EC2 tells a spot instance two minutes before it takes it
ABSENCE_S = 5.0  # until there is another one; on AWS, minutes or hours


def ask(url: str, key: AccessKey, name: str, notice_s: float, absence_s: float) -> None:
    """Ask the engine at `url`; the job goes on by itself later.

    Args:
        name: the training job's.
        notice_s: seconds between SIGTERM and SIGKILL; with 0, there is no time for anything.
        absence_s: seconds that the job then waits for other instances.

    Raises:
        ApiError: the job is no spot job, or is not training.
    """
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body = json.dumps({"name": name, "notice_s": notice_s, "absence_s": absence_s})
    request = AWSRequest("POST", url + PATH, data=body)
    SigV4Auth(Credentials(key.id, key.secret), "sagemaker", REGION).add_auth(request)
    engine = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        engine.request("POST", PATH, body, dict(request.headers))
        answer = engine.getresponse()
        found = json.loads(answer.read())
    finally:
        engine.close()
    if answer.status != 200:
        raise ApiError(found["__type"], found["message"], answer.status)


def parsed(body: bytes) -> dict:
    """What `ask` sends, as arguments.

    Raises:
        ApiError: ValidationException for a body that `ask` cannot have sent.
    """
    try:
        asked = json.loads(body)
        seconds = {each: float(asked[each]) for each in ("notice_s", "absence_s")}
        if min(seconds.values()) < 0:
            raise ValueError("negative seconds")
        return {"name": str(asked["name"]), **seconds}
    except (ValueError, TypeError, KeyError) as error:
        raise invalid(f"{PATH} takes name, notice_s and absence_s: {error!r}") from None
