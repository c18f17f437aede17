"""docs/local-sagemaker.md: what it lists is what the engine serves."""

import re
from pathlib import Path

import pytest
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.utils import camelcase_to_underscores
from moto.iam.responses import IamResponse
from moto.logs.responses import LogsResponse
from moto.sts.responses import TokenResponse

from engine_support.clients import served
from local_sagemaker.refusals import BUCKET_WORDS, KEY_WORDS, s3_uris
from local_sagemaker.validation import service_model

PAGE = (Path(__file__).parents[2] / "docs/local-sagemaker.md").read_text()
MOTO = {
    "logs": LogsResponse,
    "cloudwatch": CloudWatchResponse,
    "iam": IamResponse,
    "sts": TokenResponse,
}
ELSEWHERE = {"WriteGetObjectResponse"}  # of S3 Object Lambda's own host


def section(title: str) -> str:
    """The text below a heading of the page, up to the next heading."""
    match = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert match, f"no heading '{title}'"
    return match[1]


def names(text: str) -> set[str]:
    return set(re.findall(r"`([A-Z]\w+)`", text))


def test_the_table_lists_each_operation_of_sagemaker_that_is_done(aws):
    rows = [line for line in section("SageMaker").splitlines() if line.startswith("| `")]
    listed = set().union(*(names(row.split("|")[1]) for row in rows))
    assert listed == set(served(aws.sagemaker)) | {"InvokeEndpoint"}


def by_word(done: bool) -> set[str]:
    """S3's operations that are served, or those that are refused."""
    found = set()
    for (name, method, keyed), words in s3_uris().items():
        known = (KEY_WORDS if keyed else BUCKET_WORDS).get(method, set())
        if name not in ELSEWHERE and (words <= known) == done:
            found.add(name)
    return found


def test_s3_is_listed_by_what_is_done_and_what_is_refused():
    done, refused = section("S3").split("Refused:")
    assert names(done) == by_word(True)
    assert names(refused) == by_word(False)


@pytest.mark.parametrize("service", MOTO)
def test_what_moto_serves_is_listed(service):
    model, own = service_model(service), {"iam": {"SimulatePrincipalPolicy"}}
    serves = {
        name
        for name in model.operation_names
        if hasattr(MOTO[service], camelcase_to_underscores(name))
    }
    assert names(section(model.metadata["serviceId"])) == serves | own.get(service, set())
