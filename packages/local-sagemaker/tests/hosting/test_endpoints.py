"""Models, configurations and endpoints: the operations, and what an invocation passes through."""

import json
import time
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, INFERENCE_IMAGE, running_engine, unique
from engine_support.endpoints import (
    INFERENCE,
    deploy,
    deploy_config,
    error_of,
    invoke,
    make_config,
    make_model,
    serving,
    store_model,
)
from engine_support.in_process import engine_here
from engine_support.shared_files import shared_folder


@pytest.fixture(scope="module")
def endpoint(aws):
    """One endpoint for the tests that only invoke."""
    made = deploy(aws)
    assert made["EndpointStatus"] == "InService", made.get("FailureReason")
    yield made["EndpointName"]
    aws.sagemaker.delete_endpoint(EndpointName=made["EndpointName"])


def test_bytes_go_in_and_types_are_passed(aws, endpoint):
    answer = invoke(aws, endpoint, ContentType="image/jpeg", Accept="application/json")
    assert json.loads(answer["Body"].read()) == {
        "name": "one",
        "size": 3,
        "first": [0, 255, 128],
        "type": "image/jpeg",
        "accept": "application/json",
    }
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_bytes_come_out(aws, endpoint):
    answer = invoke(aws, endpoint, Accept="application/x-bytes")
    assert answer["Body"].read() == bytes([0, 255, 128])
    assert answer["ContentType"] == "application/x-bytes"


def test_a_handlers_refusal_is_a_model_error_and_the_endpoint_serves_on(aws, endpoint):
    error = error_of(aws, endpoint, ContentType="application/x-bad")
    assert error["Error"]["Code"] == "ModelError"
    assert error["OriginalStatusCode"] == 415
    assert error["OriginalMessage"].startswith("no such media type\nTraceback")
    assert "no such media type" in error["Error"]["Message"]
    assert invoke(aws, endpoint)["Body"].read()


def test_a_body_over_the_limit_is_refused(aws, endpoint):
    error = error_of(aws, endpoint, bytes(6_291_457))
    assert error["Error"]["Code"] == "413"
    assert error["Error"]["Message"] == "HTTP content length exceeded 6291456 bytes."
    answer = json.loads(invoke(aws, endpoint, bytes(6_291_456))["Body"].read())
    assert answer["size"] == 6_291_456


def test_an_unknown_endpoint_or_variant(aws, endpoint):
    assert "not found" in error_of(aws, "nobody")["Error"]["Message"]
    error = error_of(aws, endpoint, TargetVariant="nobody")
    assert "Variant nobody not found" in error["Error"]["Message"]


def test_the_log_stream_is_the_variants(aws, endpoint):
    (stream,) = aws.logs.describe_log_streams(logGroupName=f"/aws/sagemaker/Endpoints/{endpoint}")[
        "logStreams"
    ]
    assert stream["logStreamName"].startswith("AllTraffic/i-")


def test_describe_names_what_it_serves(aws, endpoint):
    described = aws.sagemaker.describe_endpoint(EndpointName=endpoint)
    (variant,) = described["ProductionVariants"]
    (image,) = variant.pop("DeployedImages")
    assert image["SpecifiedImage"] == INFERENCE_IMAGE
    assert variant == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    known = {"EndpointName", "EndpointArn", "EndpointConfigName", "ProductionVariants"}
    known |= {"EndpointStatus", "CreationTime", "LastModifiedTime"}
    assert set(described) - {"ResponseMetadata"} == known  # no empty members: SDK v3 refuses them
    assert described["LastModifiedTime"] > described["CreationTime"]
    assert endpoint in [e["EndpointName"] for e in aws.sagemaker.list_endpoints()["Endpoints"]]


def test_a_name_is_used_once(aws, endpoint):
    config = aws.sagemaker.describe_endpoint(EndpointName=endpoint)["EndpointConfigName"]
    with pytest.raises(ClientError, match="Cannot create already existing"):
        aws.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    assert invoke(aws, endpoint)["Body"].read()


def test_tmp_is_the_endpoints_own(aws):
    mark = "/tmp/left-by-an-endpoint"
    code = INFERENCE.replace(
        "    return json.load", f"    open({mark!r}, 'x')\n    return json.load"
    )
    made = [deploy(aws, code) for _ in range(2)]
    assert [each["EndpointStatus"] for each in made] == ["InService", "InService"]
    assert not Path(mark).exists()
    for each in made:
        aws.sagemaker.delete_endpoint(EndpointName=each["EndpointName"])


def test_two_variants_an_update_and_the_end(aws):
    one, two = (make_model(aws, store_model(aws, name=name)) for name in ("one", "two"))
    endpoint, before = unique("endpoint"), set(serving(aws))
    config = make_config(aws, a=one, b=two)
    aws.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    assert aws.endpoint(endpoint)["EndpointStatus"] == "InService"
    assert len(set(serving(aws)) - before) == 2
    for variant, name in (("a", "one"), ("b", "two")):
        answer = invoke(aws, endpoint, TargetVariant=variant)
        assert json.loads(answer["Body"].read())["name"] == name
        assert answer["InvokedProductionVariant"] == variant
    config = make_config(aws, b=two)
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    updated = aws.endpoint(endpoint)
    assert updated["EndpointConfigName"] == config
    assert [v["VariantName"] for v in updated["ProductionVariants"]] == ["b"]
    assert json.loads(invoke(aws, endpoint)["Body"].read())["name"] == "two"
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)
    assert not set(serving(aws)) - before
    with pytest.raises(ClientError, match="Could not find"):
        aws.sagemaker.describe_endpoint(EndpointName=endpoint)


def test_an_update_that_fails_leaves_the_former_in_service(aws):
    made = deploy(aws)
    endpoint = made["EndpointName"]
    broken = make_model(aws, store_model(aws, "raise ImportError('no dogs')"))
    config = make_config(aws, AllTraffic=broken)
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    described = aws.endpoint(endpoint)
    assert described["EndpointStatus"] == "InService"
    assert described["EndpointConfigName"] == made["EndpointConfigName"]
    assert "no dogs" in described["FailureReason"]
    assert "PendingDeploymentSummary" not in described
    assert json.loads(invoke(aws, endpoint)["Body"].read())["name"] == "one"
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_a_model_that_does_not_load_fails_with_its_log(aws):
    code = "def model_fn(model_dir):\n    raise RuntimeError('weights of another net')\n"
    made = deploy(aws, code)
    assert made["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in made["FailureReason"]
    assert "RuntimeError: weights of another net" in made["FailureReason"]
    assert error_of(aws, made["EndpointName"])["Error"]["Code"] == "ValidationError"
    aws.sagemaker.delete_endpoint(EndpointName=made["EndpointName"])


def test_while_it_updates_the_former_variants_serve(aws):
    made = deploy(aws)
    endpoint = made["EndpointName"]
    # Loads once the test has looked.
    waiting = "import os, time\ndef model_fn(model_dir):\n    while not os.path.exists(GATE):\n"
    waiting += "        time.sleep(0.02)\n    return {'name': 'two'}\n"
    gate = shared_folder() / "gate"
    code = INFERENCE + f"\nGATE = {str(gate)!r}\n" + waiting
    config = make_config(aws, AllTraffic=make_model(aws, store_model(aws, code)))
    aws.sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    described = aws.sagemaker.describe_endpoint(EndpointName=endpoint)
    assert described["EndpointStatus"] == "Updating"
    assert described["EndpointConfigName"] == made["EndpointConfigName"]
    assert described["PendingDeploymentSummary"]["EndpointConfigName"] == config
    assert json.loads(invoke(aws, endpoint)["Body"].read())["name"] == "one"
    gate.touch()
    assert aws.endpoint(endpoint)["EndpointConfigName"] == config
    assert json.loads(invoke(aws, endpoint)["Body"].read())["name"] == "two"
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)


def rescale(aws, endpoint, **wanted):
    """UpdateEndpointWeightsAndCapacities; the description afterwards."""
    changes = [{"VariantName": name, **change} for name, change in wanted.items()]
    aws.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint, DesiredWeightsAndCapacities=changes
    )
    return aws.endpoint(endpoint)


def test_weights_and_instances_change_and_survive_model_configuration_and_engine(tmp_path):
    with running_engine(tmp_path) as aws:
        aws.s3.create_bucket(Bucket=BUCKET)
        models = {name: make_model(aws, store_model(aws, name=name)) for name in ("a", "b")}
        config = make_config(aws, **models)
        endpoint = deploy_config(aws, config)["EndpointName"]
        made = rescale(aws, endpoint, a={"DesiredWeight": 0}, b={"DesiredInstanceCount": 2})
        assert made["EndpointStatus"] == "InService"
        assert len(serving(aws)) == 3
        names = {json.loads(invoke(aws, endpoint)["Body"].read())["name"] for _ in range(12)}
        assert names == {"b"}
        with pytest.raises(ClientError, match="Could not find variant"):
            rescale(aws, endpoint, c={"DesiredWeight": 1})
        with pytest.raises(ClientError, match="at least one instance"):
            rescale(aws, endpoint, b={"DesiredInstanceCount": 0})
        # AWS lets an endpoint serve on without what it was made of.
        aws.sagemaker.delete_endpoint_config(EndpointConfigName=config)
        for model in models.values():
            aws.sagemaker.delete_model(ModelName=model)
        aws.process.kill()
        aws.process.wait()
    with running_engine(tmp_path) as aws:
        described = aws.endpoint(endpoint)
        assert described["EndpointStatus"] == "InService"
        shown = {
            v["VariantName"]: (v["CurrentWeight"], v["CurrentInstanceCount"])
            for v in described["ProductionVariants"]
        }
        assert shown == {"a": (0, 1), "b": (1, 2)}
        assert json.loads(invoke(aws, endpoint)["Body"].read())["name"] == "b"
        rescale(aws, endpoint, a={"DesiredWeight": 3}, b={"DesiredInstanceCount": 1})
        assert len(serving(aws)) == 2
        assert invoke(aws, endpoint, TargetVariant="b")["Body"].read()


def test_an_endpoint_in_progress_is_neither_changed_nor_deleted(aws):
    slow = "import time\ndef model_fn(model_dir):\n    time.sleep(1)\n    return {'name': 'slow'}\n"
    config = make_config(aws, a=make_model(aws, store_model(aws, INFERENCE + slow)))
    name = unique("endpoint")
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:endpoint/{name}"
    weights = [{"VariantName": "a", "DesiredWeight": 2.0}]
    for attempt in (
        lambda: aws.sagemaker.delete_endpoint(EndpointName=name),
        lambda: aws.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config),
        lambda: aws.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name, DesiredWeightsAndCapacities=weights
        ),
    ):
        with pytest.raises(ClientError) as caught:
            attempt()
        error = caught.value.response["Error"]
        assert error["Code"] == "ValidationException"
        assert error["Message"] == f'Cannot update in-progress endpoint "{arn}".'
    assert aws.endpoint(name)["EndpointStatus"] == "InService"
    aws.sagemaker.delete_endpoint(EndpointName=name)


def test_what_does_not_exist_is_not_configured_or_deployed(aws):
    with pytest.raises(ClientError, match="Could not find model"):
        make_config(aws, a="nobody")
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        aws.sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="nobody")
    for kind in ("model", "endpoint", "endpoint_config"):
        member = "".join(word.title() for word in kind.split("_")) + "Name"
        with pytest.raises(ClientError, match="Could not find"):
            getattr(aws.sagemaker, f"delete_{kind}")(**{member: "nobody"})


AT_ONCE = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
BLUE_GREEN = {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": AT_ONCE}}


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("create_endpoint", {"DeploymentConfig": BLUE_GREEN}),
        ("update_endpoint", {"DeploymentConfig": BLUE_GREEN}),
        ("update_endpoint", {"RetainDeploymentConfig": True}),
    ],
)
def test_a_deployment_that_shifts_traffic_in_steps_is_refused(aws, operation, members):
    request = {"EndpointName": "e", "EndpointConfigName": "c"}
    with pytest.raises(ClientError, match=f"{next(iter(members))} is not served here") as caught:
        getattr(aws.sagemaker, operation)(**request, **members)
    assert caught.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize("end", ["raise ValueError('no dogs')", "return {'name': 'late'}"])
def test_a_rescale_does_not_revive_an_endpoint_that_was_given_up(tmp_path, end):
    """Neither one that fails nor one that comes to a good end; none of its processes is left."""
    first, gate = (folder := shared_folder()) / "first", folder / "gate"
    code = INFERENCE + (
        "\nimport time\n"
        "def model_fn(model_dir):\n"
        "    try:\n"
        f"        open({str(first)!r}, 'x').close()\n"
        "        return {'name': 'first'}\n"
        "    except FileExistsError:\n"
        f"        while not os.path.exists({str(gate)!r}):\n"
        "            time.sleep(0.02)\n"
        f"        {end}\n"
    )
    with engine_here(tmp_path / "state") as aws:
        aws.s3.create_bucket(Bucket=BUCKET)
        endpoint = deploy(aws, code)["EndpointName"]
        endpoints = aws.engine.endpoints
        (instance,) = endpoints.hosted[endpoint]["AllTraffic"].instances
        wanted = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}]
        aws.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=endpoint, DesiredWeightsAndCapacities=wanted
        )
        wait_until(lambda: len(serving(aws)) == 2)
        endpoints.give_up(instance, "it keeps ending")
        gate.touch()
        wait_until(lambda: not serving(aws))
        time.sleep(1)
        described = aws.sagemaker.describe_endpoint(EndpointName=endpoint)
        assert described["EndpointStatus"] == "Failed"
        assert described["FailureReason"] == "it keeps ending"
