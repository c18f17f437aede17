"""Whether an answer of the engine is one that the API's model allows."""

from __future__ import annotations

import json

from botocore.model import OperationModel

from local_sagemaker.core.validation import check_types, problems

# Beside those that the model lists for an operation; InternalFailure, a defect, is not among them.
COMMON_ERRORS = {
    "ValidationException",
    "SerializationException",
    "UnknownOperationException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
}


def check_answer(http_response, model: OperationModel, **_) -> None:
    """Assert that a client's answer (an ``after-call`` event of botocore) fits the model."""
    found = faults(http_response.status_code, http_response.content, model)
    assert not found, f"{model.name}: {found} in {http_response.content[:2000]!r}"


def faults(status: int, content: bytes, model: OperationModel) -> list[str]:
    """What is wrong with an answer; empty if nothing."""
    answer = json.loads(content)
    if status != 200:
        return _error_faults(status, answer, model)
    if model.output_shape is None:
        return [] if answer == {} else ["the operation answers nothing"]
    check_types(answer, model.output_shape)
    found = problems(answer, model.output_shape)
    if answer.get("TrainingJobStatus") not in {None, "Completed"}:
        # The model wants it always, but until something was uploaded there is none to name.
        found = [fault for fault in found if "'modelArtifacts' failed" not in fault]
    if answer.get("InputDataConfig") == []:  # AWS's answer against AWS's model, which wants one
        found = [fault for fault in found if "'inputDataConfig' failed" not in fault]
    return found


def _error_faults(status: int, answer: dict, model: OperationModel) -> list[str]:
    allowed = {shape.name for shape in model.error_shapes} | COMMON_ERRORS
    found = [] if answer["__type"] in allowed else [f"{answer['__type']} is no error of it"]
    if not 400 <= status < 500:
        found.append(f"status {status}")
    return found if answer.get("message") else [*found, "no message"]
