"""The serving process: the toolkit's handlers behind ``/ping`` and ``/invocations``."""

import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import wait_until
from engine_support.clients import INFERENCE_IMAGE
from engine_support.endpoints import INFERENCE, deploy, deploy_files, error_of, invoke

OLD_IMAGE = INFERENCE_IMAGE.replace("2.6.0-cpu-py312", "1.12.1-cpu-py38")
# A module of another name; the content type chooses what the handler does.
TOOLBOX = """
import logging, os, sys, threading

def model_fn(model_dir):
    logging.getLogger("loading").info("seen without a configuration")
    logging.debug("not seen")
    return open(model_dir + "/model.txt").read()

def transform_fn(model, body, content_type, accept, context):
    kind = content_type.partition("/")[2]
    if kind == "context":
        attribute = context.get_request_header(0, "X-Amzn-SageMaker-Custom-Attributes")
        context.set_response_header(0, "X-Amzn-SageMaker-Custom-Attributes", attribute + " seen")
        return context.get_request_header(0, "x-amzn-sagemaker-inference-id")
    if kind == "object":
        return object()
    if kind == "teapot":
        context.set_response_status(418, "teapot")
        return {"I am": "a teapot"}
    if kind == "sleep":
        threading.Event().wait(30)
    return {
        "model": model, "cwd": os.getcwd(), "type": type(body).__name__, "accept": accept,
        "old": os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"),
        "torch": "torch" in sys.modules, "main": threading.current_thread().name,
    }
"""


@pytest.fixture(scope="module")
def toolbox(aws):
    """An endpoint of an old image with its entry point, of another name, at the archive's root."""
    made = deploy_files(
        aws,
        {"model.txt": "weights", "toolbox.py": TOOLBOX},
        Image=OLD_IMAGE,
        Environment={"SAGEMAKER_PROGRAM": "toolbox.py", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "1"},
    )
    assert made["EndpointStatus"] == "InService", made.get("FailureReason")
    yield made["EndpointName"]
    aws.sagemaker.delete_endpoint(EndpointName=made["EndpointName"])


def lines_of(aws, endpoint):
    return aws.whole_log("", f"/aws/sagemaker/Endpoints/{endpoint}")


def test_a_handler_finds_what_it_finds_in_the_container(aws, toolbox):
    answer = json.loads(invoke(aws, toolbox, ContentType="x/what", Accept="a/b")["Body"].read())
    assert answer.pop("cwd").endswith("/ml/model")
    assert answer == {
        "model": "weights",
        "type": "bytearray",
        "accept": "a/b",
        "old": "1",  # PyTorch 1.12 loads whole pickled models
        "torch": False,
        "main": "MainThread",
    }


def test_the_log_begins_with_the_versions_and_shows_what_python_logs(aws, toolbox):
    wait_until(lambda: "model loaded" in lines_of(aws, toolbox), 5)
    lines = lines_of(aws, toolbox)
    assert "asks for PyTorch 1.12.1; PyTorch" in lines[0]
    assert "seen without a configuration" in lines
    assert "not seen" not in lines


def test_headers_go_in_and_out_by_the_context(aws, toolbox):
    for number in ("1", "2"):  # the second request must not see the first one's
        answer = invoke(
            aws,
            toolbox,
            ContentType="x/context",
            CustomAttributes=number,
            InferenceId="id" + number,
        )
        assert answer["Body"].read().decode() == "id" + number
        assert answer["CustomAttributes"] == number + " seen"


def test_a_result_that_is_no_text_is_json_or_refused(aws, toolbox):
    answer = invoke(aws, toolbox, ContentType="x/what")
    assert json.loads(answer["Body"].read())["model"] == "weights"
    assert answer["ContentType"] == "application/json"  # the toolkit's default Accept
    error = error_of(aws, toolbox, ContentType="x/object")
    assert error["OriginalStatusCode"] == 503
    assert "Unsupported model output data type." in error["OriginalMessage"]


def test_a_status_that_the_handler_sets_is_the_answers(aws, toolbox):
    error = error_of(aws, toolbox, ContentType="x/teapot")
    assert error["OriginalStatusCode"] == 418
    assert json.loads(error["OriginalMessage"]) == {"I am": "a teapot"}
    assert error["Error"]["Message"].startswith("Received client error (418) from primary with")


def test_a_handler_that_takes_too_long_ends_and_the_endpoint_serves_on(aws, toolbox):
    error = error_of(aws, toolbox, ContentType="x/sleep")
    assert error["OriginalStatusCode"] == 500
    assert json.loads(error["OriginalMessage"])["message"] == "Worker died."
    wait_until(lambda: _served(aws, toolbox), 15)
    assert "no answer after 1 s: the worker ends" in lines_of(aws, toolbox)


def _served(aws, endpoint):
    try:
        return invoke(aws, endpoint, ContentType="x/what")["Body"].read()
    except ClientError:  # it is starting again
        return None


BOTH = """
import os, pathlib, time

def model_fn(model_dir):
    return pathlib.Path(model_dir)

def transform_fn(model, body, content_type, accept):
    (model / f"{os.getpid()}.here").touch()
    while len(list(model.glob("*.here"))) < 2:
        time.sleep(0.02)
    return str(os.getpid())
"""


def test_workers_answer_at_the_same_time(aws):
    workers = {"SAGEMAKER_MODEL_SERVER_WORKERS": "2", "SAGEMAKER_MODEL_SERVER_TIMEOUT": "20"}
    made = deploy_files(aws, {"code/inference.py": BOTH}, Environment=workers)
    endpoint = made["EndpointName"]
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(invoke, aws, endpoint) for _ in range(2)]
        answers = {future.result()["Body"].read() for future in asked}
    assert len(answers) == 2
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_an_exception_in_a_handler_is_a_server_error_with_its_trace_in_the_log(aws):
    code = INFERENCE + "\ndef predict_fn(data, model):\n    return 1 / 0\n"
    endpoint = deploy(aws, code)["EndpointName"]
    error = error_of(aws, endpoint)
    assert error["OriginalStatusCode"] == 500
    assert error["OriginalMessage"].startswith("division by zero\nTraceback")
    wait_until(lambda: "ZeroDivisionError" in " ".join(lines_of(aws, endpoint)), 5)
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)


# A reference to the class `Net` of the module `__main__`, as pickle writes it.
PICKLED = "import pickle\nmodel_fn = lambda folder: pickle.loads(b'c__main__\\nNet\\n.')"


@pytest.mark.parametrize(
    ("files", "environment", "words"),
    [
        # No module of the name: the toolkit's default model_fn serves, and finds no model.
        ({}, {}, "there is no module 'inference' in code/ or at the archive's root: the defaults"),
        ({}, {}, "Exactly one .pth or .pt file is required for PyTorch models: []"),
        # The toolkit takes the name for a module's, so a folder in it is never found.
        ({"code/src/serve.py": INFERENCE}, {"SAGEMAKER_PROGRAM": "src/serve.py"}, "'src/serve'"),
        # Saved by `python train.py`: the server's own __main__ has no such class, as on AWS.
        (
            {"code/inference.py": PICKLED},
            {},
            "Can't get attribute 'Net' on <module",
        ),
    ],
)
def test_what_cannot_be_served_fails_with_the_reason(aws, files, environment, words):
    made = deploy_files(aws, {"model.json": "{}", **files}, Environment=environment)
    assert made["EndpointStatus"] == "Failed"
    assert made["FailureReason"].startswith(
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    assert words in made["FailureReason"]


def test_an_archive_whose_member_points_outside_fails_the_endpoint(aws):
    reason = deploy_files(aws, {"../escape": "x"})["FailureReason"]
    assert reason.startswith("Failed to extract model data archive") and "escape" in reason


def test_text_is_an_answer(aws):
    code = INFERENCE + "\ndef output_fn(prediction, accept):\n    return 'd\\u00f6g'\n"
    endpoint = deploy(aws, code)["EndpointName"]
    answer = invoke(aws, endpoint, Accept="text/plain")
    assert (answer["Body"].read().decode(), answer["ContentType"]) == ("dög", "text/plain")
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_a_torchscript_model_is_served_without_any_code(aws):
    import torch

    saved = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 1, bias=False)), saved)
    weights = torch.jit.load(io.BytesIO(saved.getvalue())).weight.tolist()[0]
    endpoint = deploy_files(aws, {"anything.pth": saved.getvalue()})["EndpointName"]
    npy = io.BytesIO()
    np.save(npy, np.array([[1, 2]], dtype=np.float32))
    expected = [[weights[0] + 2 * weights[1]]]
    asked = {"application/json": b"[[1, 2]]", "application/x-npy": npy.getvalue()}
    for content_type, body in asked.items():
        answer = invoke(aws, endpoint, body, ContentType=content_type, Accept="application/json")
        assert np.allclose(json.loads(answer["Body"].read()), expected, atol=1e-5)
    # A single row of CSV is a vector of features, and so is the answer.
    answer = invoke(aws, endpoint, b"1,2", ContentType="text/csv", Accept="a/b, application/x-npy")
    assert answer["ContentType"] == "application/x-npy"
    assert np.allclose(np.load(io.BytesIO(answer["Body"].read())), expected[0], atol=1e-5)
    answer = invoke(
        aws, endpoint, b"[[1, 2], [1, 2]]", ContentType="application/json", Accept="text/csv"
    )
    rows = [float(row) for row in answer["Body"].read().split()]
    assert np.allclose(rows, expected[0] * 2, atol=1e-5)
    error = error_of(aws, endpoint, ContentType="image/jpeg")
    assert error["OriginalStatusCode"] == 500
    assert "Content type image/jpeg is not supported" in error["OriginalMessage"]
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)
