"""The serving process: the toolkit's handlers behind ``/ping`` and ``/invocations``."""

import io
import json
import tarfile

import numpy as np
import pytest
from conftest import BUCKET, unique, wait_until
from test_endpoints import INFERENCE, deploy, error_of, invoke, make_config, make_model

from local_sagemaker import serving


def test_a_context_holds_one_requests_properties_and_answers():
    context = serving.Context("/opt/ml/model", {"Content-Type": "image/jpeg"})
    assert context.system_properties["model_dir"] == "/opt/ml/model"
    assert context.request_processor[0].get_request_properties() == {"Content-Type": "image/jpeg"}
    context.set_response_status(code=415, phrase="x")
    context.set_response_content_type(0, "text/plain")
    assert (context.status, context.content_type) == (415, "text/plain")


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [(b"[1, 2]", "application/json", [1, 2]), ("1,2", "text/csv", [1, 2])],
)
def test_default_input_is_a_tensor(body, content_type, expected):
    tensor = serving.PyTorchHandler().default_input_fn(body, content_type)
    assert tensor.flatten().tolist() == expected


def test_default_prediction_and_output():
    torch = pytest.importorskip("torch")
    handler = serving.PyTorchHandler()
    prediction = handler.default_predict_fn(torch.ones(2), lambda x: x * 3)
    content = handler.default_output_fn(prediction, "application/json")[0]
    assert np.array_equal(json.loads(content), [3, 3])


def test_an_exception_in_a_handler_is_a_server_error_with_its_trace_in_the_log(aws):
    code = INFERENCE + "\ndef predict_fn(data, model):\n    return 1 / 0\n"
    endpoint = deploy(aws, code)["EndpointName"]
    error = error_of(aws, endpoint)
    assert error["OriginalStatusCode"] == 500
    assert "division by zero" in error["OriginalMessage"]
    group = f"/aws/sagemaker/Endpoints/{endpoint}"
    wait_until(lambda: "ZeroDivisionError" in " ".join(aws.log("", group)), 5)
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)


def test_requirements_that_are_not_met_fail_the_endpoint(aws):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        for name, text in {
            "model.json": "{}",
            "code/inference.py": INFERENCE,
            "code/requirements.txt": "no-such-package-anywhere==1\n",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            target.addfile(member, io.BytesIO(text.encode()))
    key = f"{unique('model')}/model.tar.gz"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())
    config = make_config(aws, a=make_model(aws, f"s3://{BUCKET}/{key}"))
    endpoint = unique("endpoint")
    aws.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    made = aws.endpoint(endpoint)
    assert made["EndpointStatus"] == "Failed"
    assert "asks for packages that this environment does not have" in made["FailureReason"]


def test_an_archive_whose_member_points_outside_fails_the_endpoint(aws):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        member = tarfile.TarInfo("../escape")
        member.size = 1
        target.addfile(member, io.BytesIO(b"x"))
    key = f"{unique('model')}/model.tar.gz"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())
    config = make_config(aws, a=make_model(aws, f"s3://{BUCKET}/{key}"))
    endpoint = unique("endpoint")
    aws.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    reason = aws.endpoint(endpoint)["FailureReason"]
    assert "Failed to fetch the model data" in reason and "escape" in reason


def test_text_and_bytes_are_both_answers(aws):
    code = INFERENCE + "\ndef output_fn(prediction, accept):\n    return 'd\\u00f6g'\n"
    endpoint = deploy(aws, code)["EndpointName"]
    answer = invoke(aws, endpoint, Accept="text/plain")
    assert (answer["Body"].read().decode(), answer["ContentType"]) == ("dög", "text/plain")
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)
