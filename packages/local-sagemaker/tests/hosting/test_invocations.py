"""InvokeEndpoint: headers, limits, errors, metrics."""

import socket
import time

import pytest

from engine_support.clients import unique
from engine_support.endpoints import (
    deploy,
    deploy_config,
    error_of,
    invoke,
    make_model,
    services_at,
    store_model,
)
from local_sagemaker.hosting import instance as hosting
from local_sagemaker.hosting import invocations

SIZES = """
from sagemaker_inference.errors import BaseInferenceToolkitError

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    if content_type == "x/raise":
        raise ValueError(body.decode())
    if content_type == "x/refuse":
        raise BaseInferenceToolkitError(415, "no such type", "Unsupported")
    return bytes(int(body)), accept
"""


@pytest.fixture(scope="module")
def endpoint(aws):
    """Answers with as many bytes as it is asked for; serverless, which is an ordinary process."""
    model = make_model(aws, store_model(aws, SIZES))
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    name = unique("config")
    aws.sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": model, **serverless}],
    )
    made = deploy_config(aws, name)
    assert made["EndpointStatus"] == "InService", made.get("FailureReason")
    yield made["EndpointName"]
    aws.sagemaker.delete_endpoint(EndpointName=made["EndpointName"])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"TargetModel": "one.tar.gz"}, "X-Amzn-SageMaker-Target-Model"),
        ({"TargetContainerHostname": "second"}, "Target-Container-Hostname"),
        ({"EnableExplanations": "`true`"}, "Enable-Explanations"),
        ({"SessionId": "NEW_SESSION"}, "Session-Id"),
        ({"PrefixAwareId": "a"}, "Prefix-Aware-Id"),
        ({"InferenceComponentName": "c"}, "Inference Component Name header is not allowed for"),
    ],
)
def test_what_the_endpoint_cannot_do_is_refused(aws, endpoint, members, words):
    error = error_of(aws, endpoint, b"1", **members)
    assert error["Error"]["Code"] == "ValidationError"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert words in error["Error"]["Message"]


def test_asynchronous_invocations_are_refused_by_name(aws, endpoint):
    with pytest.raises(aws.runtime.exceptions.ClientError, match="async-invocations") as caught:
        aws.runtime.invoke_endpoint_async(EndpointName=endpoint, InputLocation="s3://bucket/in")
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_a_serverless_endpoint_has_its_own_limit_and_says_what_it_is(aws, endpoint):
    error = error_of(aws, endpoint, bytes(4 * 1024 * 1024 + 1))
    assert error["Error"]["Code"] == "ValidationError"
    assert "oversize body" in error["Error"]["Message"]
    log = aws.whole_log("", f"/aws/sagemaker/Endpoints/{endpoint}")
    assert any("ServerlessConfig has no effect here" in line for line in log)
    (variant,) = aws.sagemaker.describe_endpoint(EndpointName=endpoint)["ProductionVariants"]
    assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert "CurrentInstanceCount" not in variant


def test_an_answer_over_the_limit_is_a_model_error_that_says_so(aws, endpoint):
    answer = invoke(aws, endpoint, b"6291456")
    assert len(answer["Body"].read()) == 6_291_456
    error = error_of(aws, endpoint, b"6291457")
    assert error["Error"]["Code"] == "ModelError"
    assert error["OriginalStatusCode"] == 200
    assert "6291457 bytes from primary and could not load the entire" in error["Error"]["Message"]


def test_a_model_error_has_awss_members_and_words(aws, endpoint):
    error = error_of(aws, endpoint, b"no dogs", ContentType="x/raise")
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert error["OriginalStatusCode"] == 500
    assert error["OriginalMessage"].startswith("no dogs\nTraceback")
    assert error["LogStreamArn"] == f"arn:aws:logs:us-east-1:123456789012:log-group:{group}"
    said = error["Error"]["Message"]
    assert said.startswith('Received server error (500) from primary with message "no dogs')
    assert said.endswith(f'". See {group} in account 123456789012 for more information.')


def test_an_endpoint_that_is_not_in_service(aws):
    failed = deploy(aws, "raise ImportError('no dogs')")["EndpointName"]
    error = error_of(aws, failed)
    assert error["Error"]["Code"] == "ValidationError"
    assert error["Error"]["Message"] == f"Endpoint {failed} is Failed, not InService."
    error = error_of(aws, "nobody")
    assert error["Error"]["Message"] == "Endpoint nobody of account 123456789012 not found."


def totals(aws, endpoint, variant="AllTraffic"):
    """The sums of all metrics of a variant."""
    dimensions = [
        {"Name": "EndpointName", "Value": endpoint},
        {"Name": "VariantName", "Value": variant},
    ]
    asked = {"Namespace": "AWS/SageMaker", "Dimensions": dimensions}
    names = [m["MetricName"] for m in aws.cloudwatch.list_metrics(**asked)["Metrics"]]
    times = {"StartTime": time.time() - 3600, "EndTime": time.time() + 3600, "Period": 7200}
    found = {}
    for name in names:
        points = aws.cloudwatch.get_metric_statistics(
            MetricName=name, Statistics=["Sum"], **asked, **times
        )
        found[name] = sum(point["Sum"] for point in points["Datapoints"])
    return found


def test_each_invocation_is_counted_by_the_metrics_that_sagemaker_names(aws):
    endpoint = deploy(aws, SIZES)["EndpointName"]
    invoke(aws, endpoint, b"1")
    invoke(aws, endpoint, b"2")
    error_of(aws, endpoint, b"x", ContentType="x/raise")
    error_of(aws, endpoint, b"x", ContentType="x/refuse")
    error_of(aws, endpoint, b"1", TargetModel="refused")  # never reached the model
    found = totals(aws, endpoint)
    assert found.pop("ModelLatency") > 100  # microseconds
    assert found.pop("OverheadLatency") > 0
    assert found == {
        "Invocations": 4,
        "InvocationsPerInstance": 4,
        "Invocation4XXErrors": 1,
        "Invocation5XXErrors": 1,
        "InvocationModelErrors": 2,
    }
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_a_container_that_does_not_answer_in_time_is_status_0(tmp_path, monkeypatch):
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / "socket"))
    silent.listen()
    monkeypatch.setattr(hosting, "INVOKE_LIMIT_S", 0.05)
    spec = {"VariantName": "a", "Container": {}, "Weight": 1.0, "Count": 1}
    variant = invocations.HostedVariant(services_at(tmp_path), "e", spec, on_failure=None)
    variant.instances[0].socket = tmp_path / "socket"
    instance, result = invocations._ask(variant, b"x", {})
    silent.close()
    assert result.status == 0
    error = invocations._model_error(instance, result)
    assert error.members["OriginalStatusCode"] == 0
    assert error.message.startswith(
        'Received server error (0) from primary with message "Your invocation timed out while '
        "waiting for a response from container primary."
    )


def test_a_process_that_takes_no_requests_is_an_unavailable_service(tmp_path):
    spec = {"VariantName": "a", "Container": {}, "Weight": 1.0, "Count": 1}
    variant = invocations.HostedVariant(services_at(tmp_path), "e", spec, on_failure=None)
    with pytest.raises(invocations.ApiError, match="takes no requests") as caught:
        invocations._ask(variant, b"x", {})
    assert (caught.value.code, caught.value.status) == ("ServiceUnavailable", 503)
