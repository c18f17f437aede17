"""The process behind a variant: kept running while that makes sense."""

import json
import re

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET
from engine_support.endpoints import INFERENCE, deploy, error_of, invoke, serving
from engine_support.in_process import FullAt, engine_here
from local_sagemaker.hosting import instance


def test_a_process_that_dies_is_started_again(aws):
    before = set(serving(aws))
    endpoint = deploy(aws)["EndpointName"]
    assert json.loads(invoke(aws, endpoint)["Body"].read())["name"] == "one"
    (identifier,) = set(serving(aws)) - before
    supervisor = serving(aws)[identifier]
    (model,) = [
        process
        for process in supervisor.children(recursive=True)
        if "local_sagemaker.runtime.inside.serve" in process.cmdline()
    ]
    model.kill()
    wait_until(lambda: not model.is_running(), 10)
    answer = wait_until(lambda: _answer_or_none(aws, endpoint), 15)
    assert json.loads(answer)["name"] == "one"
    log = aws.log("", f"/aws/sagemaker/Endpoints/{endpoint}")
    assert "local_sagemaker: the process has ended and is started again" in log
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)
    wait_until(lambda: identifier not in serving(aws), 5)


def _answer_or_none(aws, endpoint):
    try:
        return invoke(aws, endpoint)["Body"].read()
    except Exception:
        return None


def test_a_request_that_kills_the_process_is_a_model_error(aws):
    endpoint = deploy(aws)["EndpointName"]
    error = error_of(aws, endpoint, ContentType="application/x-die")
    assert error["Error"]["Code"] == "ModelError"
    assert error["OriginalStatusCode"] == 500
    assert json.loads(error["OriginalMessage"])["message"] == "Worker died."
    wait_until(lambda: _answer_or_none(aws, endpoint), 15)
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_a_process_that_keeps_dying_fails_the_endpoint(aws):
    before = set(serving(aws))
    dying = "print('out of memory', flush=True) or os._exit(9)"
    timer = f"threading.Timer(0.5, lambda: {dying}).start()\n    return json.load"
    made = deploy(aws, INFERENCE.replace("return json.load", timer, 1))
    assert made["EndpointStatus"] == "InService"
    describe = aws.sagemaker.describe_endpoint
    failed = wait_until(
        lambda: (
            (d := describe(EndpointName=made["EndpointName"]))["EndpointStatus"] == "Failed" and d
        ),
        30,
    )
    assert f"It ended {instance.RESTARTS + 1} times in a row." in failed["FailureReason"]
    assert "out of memory" in failed["FailureReason"]
    wait_until(lambda: not set(serving(aws)) - before, 5)
    aws.sagemaker.delete_endpoint(EndpointName=made["EndpointName"])


TALKING = INFERENCE.replace(
    "def predict_fn(data, model):", "def predict_fn(data, model):\n    print('asked', flush=True)"
)


def test_a_log_that_cannot_be_written_leaves_the_endpoint_in_service(tmp_path):
    with engine_here(tmp_path) as aws:
        aws.s3.create_bucket(Bucket=BUCKET)
        endpoint = deploy(aws, TALKING)["EndpointName"]
        database = aws.engine.store._db = FullAt(aws.engine.store._db, rolls_back=True)
        database.full = "INSERT INTO"  # log lines, and the metrics of each invocation
        for _ in range(3):
            assert invoke(aws, endpoint)["Body"].read()
            wait_until(lambda: [sql for sql in database.writes if "log_events" in sql], 10)
            database.count()
        database.full = None
        assert invoke(aws, endpoint)["Body"].read()
        group = f"/aws/sagemaker/Endpoints/{endpoint}"
        lost = r"local_sagemaker: \d+ lines of output before this one were lost: .* full"
        log = wait_until(lambda: (log := aws.log("", group)).count("asked") and log, 10)
        assert re.fullmatch(lost, log[log.index("asked") - 1])
