"""Any request, good or bad, gets an answer that AWS could give, and leaves nothing behind.

150 requests, and 2,000 where slow tests run, always the same; `make fuzz` sends 2,000 from a seed
of its own that it prints. FUZZ_REQUESTS and FUZZ_SEED choose both.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st

from debugger_support.processes import wait_until
from engine_support import signing
from engine_support.answers import faults
from engine_support.clients import BUCKET, INFERENCE_IMAGE, running_engine, served
from engine_support.shapes import broken, good
from local_sagemaker import ROLE_ARN
from local_sagemaker.core.validation import operation

REQUESTS = [150, pytest.param(2000, marks=pytest.mark.slow)]
if asked := os.environ.get("FUZZ_REQUESTS"):
    REQUESTS = [int(asked)]
SEED = int(os.environ.get("FUZZ_SEED", "4"))
CREATED = {  # how what was created is found again: the operation, and the member that names it
    "CreateTrainingJob": ("DescribeTrainingJob", "TrainingJobName"),
    "CreateHyperParameterTuningJob": (
        "DescribeHyperParameterTuningJob",
        "HyperParameterTuningJobName",
    ),
    "CreateModel": ("DescribeModel", "ModelName"),
    "CreateEndpointConfig": ("DescribeEndpointConfig", "EndpointConfigName"),
    "CreateEndpoint": ("DescribeEndpoint", "EndpointName"),
}


def share(count: int):
    """Settings for so many requests from the seed; no shrinking, since they change the state."""
    return settings(
        max_examples=max(1, count),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


def for_each(engine, percent: int, draw: Callable, send_one: Callable) -> None:
    """Send `percent` of the requests, drawn from the operations' shapes by `draw`.

    What creates comes first and more often, so that the others find something.
    """
    weights = {name: 5 if name == "CreateTrainingJob" else 3 for name in CREATED}
    weights |= {name: 1 for name in engine.operations if name not in CREATED}
    for name, weight in weights.items():
        count = math.ceil(engine.requests * percent / 100 * weight / sum(weights.values()))
        asked = st.tuples(st.just(name), draw(operation(name).input_shape))
        seed(SEED)(share(count)(given(asked)(lambda pair: send_one(*pair))))()


@pytest.fixture(scope="module", params=REQUESTS)
def engine(tmp_path_factory, request):
    """An engine with little in it, how many requests it gets, and what it answered."""
    with running_engine(tmp_path_factory.mktemp("fuzz")) as aws:
        aws.s3.create_bucket(Bucket=BUCKET)
        aws.s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=b"no archive")
        aws.s3.put_object(Bucket=BUCKET, Key="data/x", Body=b"x")
        image = {"Image": INFERENCE_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
        aws.sagemaker.create_model(ModelName="m", PrimaryContainer=image, ExecutionRoleArn=ROLE_ARN)
        variant = {"VariantName": "v", "ModelName": "m", "InitialInstanceCount": 1}
        variant["InstanceType"] = "ml.m5.large"
        aws.sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        operations = served(aws.sagemaker)
        yield SimpleNamespace(
            aws=aws, operations=operations, requests=request.param, seen=Counter()
        )


def send(engine, body: bytes, method="POST", path="/", service="sagemaker", **headers):
    """One raw request: status and body of the answer."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return signing.ask(engine.aws, method, path, body, service, **headers)


def ask(engine, name: str, request: dict) -> tuple[int, dict]:
    """Ask for an operation; the answer must be one that the model allows."""
    note(f"FUZZ_SEED={SEED} {name} {json.dumps(request)}")
    target = f"SageMaker.{name}"
    status, content = send(engine, json.dumps(request).encode(), X_Amz_Target=target)
    found = faults(status, content, operation(name))
    assert not found, f"FUZZ_SEED={SEED} {name}: {found} in {content[:1000]!r}"
    return status, json.loads(content)


def test_a_good_request_is_done_or_refused_and_what_was_made_is_found(engine):
    def send_one(name, request):
        status, _ = ask(engine, name, request)
        engine.seen[name, status] += 1
        if name in CREATED and status == 200:
            describe, member = CREATED[name]
            status, found = ask(engine, describe, {member: request[member]})
            assert (status, found[member]) == (200, request[member])

    for_each(engine, 50, good, send_one)


def test_a_broken_request_is_refused_and_makes_nothing(engine):
    def send_one(name, drawn):
        request, rule = drawn
        note(rule)
        before = found_by(engine, name, request)
        status, answer = ask(engine, name, request)
        engine.seen[rule, status] += 1
        assert status == 400, rule
        assert answer["__type"] in {"ValidationException", "SerializationException"}, rule
        assert found_by(engine, name, request) == before

    for_each(engine, 35, broken, send_one)


def found_by(engine, name: str, request: dict) -> int | None:
    """The status of describing what a request would create."""
    if name not in CREATED:
        return None
    describe, member = CREATED[name]
    content = json.dumps({member: request.get(member)}).encode()
    return send(engine, content, X_Amz_Target=f"SageMaker.{describe}")[0]


HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "smithy-protocol", "x-amz-content-sha256", "Accept"]),
    st.sampled_from(
        ["application/x-amz-json-1.1", "application/x-www-form-urlencoded", "rpc-v2-cbor", "x"]
    ),
)
SOME = [
    "CreateTrainingJob",
    "CreateModel",
    "ListModels",
    "DeleteEndpoint",
    "AddTags",
    "ListDomains",
]
TARGETS = st.sampled_from([f"SageMaker.{name}" for name in SOME]) | st.text(
    st.characters(min_codepoint=33, max_codepoint=126), max_size=30
)
JSONS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=9) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
)
BODIES = st.binary(max_size=200) | JSONS.map(lambda value: json.dumps(value).encode())
SERVICES = st.sampled_from(["sagemaker"] * 3 + ["ec2", "dynamodb", "lambda", "route53", "no-one"])
PATHS = st.sampled_from(["/", "/endpoints/x/invocations", "/a/b", "/%00", "//", "/?Action=X"])


METHODS = st.sampled_from(["POST", "GET", "DELETE"])


def test_anything_else_is_refused(engine):
    def send_one(body, target, headers, service, path, method):
        note(f"FUZZ_SEED={SEED} {method} {path} {target} {headers} {service} {body!r}")
        status, content = send(
            engine, body, method, path, service, **{"X-Amz-Target": target, **headers}
        )
        engine.seen["raw", status] += 1
        assert status < 500, content[:500]
        listed = service == "sagemaker" and target == "SageMaker.ListModels"
        assert status >= 400 or listed, content[:500]

    drawn = given(BODIES, TARGETS, HEADERS, SERVICES, PATHS, METHODS)
    seed(SEED)(share(engine.requests * 15 // 100)(drawn(send_one)))()


def test_nothing_is_left_behind(engine):
    """After all of that: the engine lives, no job failed by its fault, no process is left."""
    sagemaker = engine.aws.sagemaker
    assert engine.aws.process.poll() is None
    wait_until(lambda: all_ended(sagemaker), limit=120)
    jobs = sagemaker.get_paginator("list_training_jobs").paginate()
    for name in jobs.search("TrainingJobSummaries[].TrainingJobName"):
        job = sagemaker.describe_training_job(TrainingJobName=name)
        assert "InternalServerError" not in job.get("FailureReason", ""), job
    for endpoint in sagemaker.list_endpoints(MaxResults=100)["Endpoints"]:
        sagemaker.delete_endpoint(EndpointName=endpoint["EndpointName"])
    process = psutil.Process(engine.aws.process.pid)
    wait_until(lambda: not process.children(recursive=True), limit=20)
    log = (engine.aws.state / "engine.log").read_text()
    assert "Traceback" not in log, log[-3000:]


def all_ended(sagemaker) -> bool:
    endpoints = sagemaker.list_endpoints(MaxResults=100)["Endpoints"]
    busy = [
        sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"],
        sagemaker.list_training_jobs(StatusEquals="Stopping")["TrainingJobSummaries"],
        sagemaker.list_hyper_parameter_tuning_jobs(StatusEquals="InProgress")[
            "HyperParameterTuningJobSummaries"
        ],
        [e for e in endpoints if e["EndpointStatus"] in {"Creating", "Updating"}],
    ]
    return not any(busy)


def test_the_good_requests_got_somewhere(engine):
    """A generator whose every request is refused would prove little."""
    statuses = Counter()
    for (_, status), count in engine.seen.items():
        statuses[status] += count
    print(f"\nFUZZ_SEED={SEED}: {statuses.total()} requests, by status {dict(statuses)}")
    assert statuses.total() >= engine.requests
    done = {name for name, status in engine.seen if status == 200}
    assert done >= set(CREATED), f"FUZZ_SEED={SEED}: only {sorted(done)} succeeded"
