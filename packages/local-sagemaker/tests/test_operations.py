"""The tables of operations are complete: what stands in them is served, all else is refused."""

import re
from pathlib import Path

import pytest
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.utils import camelcase_to_underscores
from moto.iam.responses import IamResponse
from moto.logs.responses import LogsResponse
from moto.sts.responses import TokenResponse

from engine_support.in_process import engine_here
from local_sagemaker import operations
from local_sagemaker.aws import refusals
from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.validation import service_model

SOURCE = Path(operations.__file__).read_text()
MOTO = {
    "logs": ("logs", LogsResponse),
    "monitoring": ("cloudwatch", CloudWatchResponse),
    "iam": ("iam", IamResponse),
    "sts": ("sts", TokenResponse),
}
ELSEWHERE = {"WriteGetObjectResponse"}  # of S3 Object Lambda's own host


def test_every_operation_of_sagemaker_is_in_the_table_or_refused(tmp_path):
    names = set(service_model("sagemaker").operation_names)
    with engine_here(tmp_path) as aws:
        table = aws.engine.sagemaker.handlers
        assert table.keys() <= names
        for name in names - table.keys():
            with pytest.raises(ApiError, match=f"local_sagemaker does not do {name};") as caught:
                aws.engine.sagemaker.call(name, {})
            assert caught.value.code == "UnknownOperationException"
    for name, answers in table.items():
        assert f'"{name}": ' in SOURCE
        assert answers.__self__.__module__.startswith("local_sagemaker.")


@pytest.mark.parametrize("service", MOTO)
def test_what_moto_has_of_a_service_is_in_its_table(service):
    name, responses = MOTO[service]
    there = {
        operation
        for operation in service_model(name).operation_names
        if hasattr(responses, camelcase_to_underscores(operation))
    }
    own = {operation for of, operation in operations.OWN if of == service}
    assert operations.SERVICES[service] == there | own


def test_every_operation_of_s3_is_in_its_tables_or_refused():
    uris, served = refusals.s3_uris(), operations.SERVICES["s3"]
    keyed = {name for name, _, keyed in uris if keyed}
    assert keyed & served == operations.S3_KEYS
    assert served - keyed == operations.S3_BUCKETS
    for (name, method, keyed), words in uris.items():
        environ = {"REQUEST_METHOD": method, "QUERY_STRING": "&".join(words)}
        environ["PATH_INFO"] = "/bucket/key" if keyed else "/bucket"
        error = refusals.refused("s3", environ, served)
        assert (error is None) == (name in served | ELSEWHERE), (name, error)
        if error:
            assert name in error.message


def test_the_paths_of_sagemaker_runtime_are_awss():
    model = service_model("sagemaker-runtime")
    for name, path in operations.RUNTIME.items():
        uri = model.operation_model(name).http["requestUri"]
        assert path.fullmatch(uri)[1] == "{EndpointName}"


def test_every_name_can_be_found_in_the_file():
    words = set(re.findall(r"\w+", SOURCE))
    for names in operations.SERVICES.values():
        assert names <= words


@pytest.mark.parametrize(
    ("service", "operation"),
    [("iam", "GetRole"), ("sts", "GetCallerIdentity"), ("logs", "DescribeLogGroups")],
)
def test_what_is_not_in_the_table_is_not_served(tmp_path, monkeypatch, service, operation):
    less = operations.SERVICES[service] - {operation}
    monkeypatch.setitem(operations.SERVICES, service, less)
    with engine_here(tmp_path) as aws:
        client = aws.client(service)
        call = getattr(client, camelcase_to_underscores(operation))
        members = {"RoleName": "local-sagemaker"} if operation == "GetRole" else {}
        with pytest.raises(client.exceptions.ClientError, match=f"does not do {operation}"):
            call(**members)
