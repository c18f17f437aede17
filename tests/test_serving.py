"""The serving process: the toolkit's handlers behind ``/ping`` and ``/invocations``."""

import io
import tarfile

from conftest import BUCKET, unique, wait_until
from test_endpoints import INFERENCE, deploy, error_of, invoke, make_config, make_model


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
    assert reason.startswith("Failed to extract model data archive") and "escape" in reason


def test_text_and_bytes_are_both_answers(aws):
    code = INFERENCE + "\ndef output_fn(prediction, accept):\n    return 'd\\u00f6g'\n"
    endpoint = deploy(aws, code)["EndpointName"]
    answer = invoke(aws, endpoint, Accept="text/plain")
    assert (answer["Body"].read().decode(), answer["ContentType"]) == ("dög", "text/plain")
    aws.sagemaker.delete_endpoint(EndpointName=endpoint)
