"""Requests and answers checked against botocore's own model of the SageMaker API.

The model is data that AWS publishes: for each operation the members, their types, lengths,
ranges, patterns and allowed values. What AWS refuses by it is refused here in AWS's words.
"""

from __future__ import annotations

import datetime
import functools

import regex  # AWS's patterns use \p{L} and the like
from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel, Shape


class ApiError(Exception):
    """An error answer in AWS's form: a code, a message and an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400, **members) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.members = code, message, status, members


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)


@functools.cache
def service_model(name: str) -> ServiceModel:
    """botocore's model of a service."""
    # Not by a session: that would read the caller's profile, which need not be there.
    return ServiceModel(create_loader().load_service_model(name, "service-2"), name)


def operation(name: str) -> OperationModel | None:
    """The model of a SageMaker operation, or None if AWS has no such operation."""
    service = service_model("sagemaker")
    return service.operation_model(name) if name in service.operation_names else None


def check(request: dict, model: OperationModel) -> None:
    """Raise ValidationException if `request` breaks the operation's input shape."""
    problems = _problems(request, model.input_shape, "") if model.input_shape else []
    if problems:
        count = f"{len(problems)} validation error{'s' * (len(problems) > 1)} detected: "
        raise invalid(count + "; ".join(problems))


def shaped(answer: dict, model: OperationModel) -> dict:
    """`answer` reduced to the members of the operation's output, ready for JSON."""
    return _shaped(answer, model.output_shape) if model.output_shape else {}


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _failed(value, path: str, rule: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {rule}"


PYTHON_TYPES = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}


def _problems(value, shape: Shape, path: str) -> list[str]:
    expected = PYTHON_TYPES.get(shape.type_name)
    is_bool_as_number = isinstance(value, bool) and shape.type_name != "boolean"
    if expected and (not isinstance(value, expected) or is_bool_as_number):
        return [_failed(value, path, f"Member must be of type {shape.type_name}")]
    check_members = {"structure": _structure, "list": _list, "map": _map}.get(shape.type_name)
    if check_members:
        return check_members(value, shape, path)
    return _scalar(value, shape, path)


def _structure(value: dict, shape: Shape, path: str) -> list[str]:
    prefix = f"{path}." if path else ""
    problems = [
        _failed("null", prefix + _camel(name), "Member must not be null")
        for name in shape.required_members
        if value.get(name) is None
    ]
    for name, member in value.items():
        if name in shape.members and member is not None:
            problems += _problems(member, shape.members[name], prefix + _camel(name))
        elif name not in shape.members:
            raise ApiError(
                "SerializationException", f"'{prefix}{name}' is not a member of {shape.name}"
            )
    return problems


def _list(value: list, shape: Shape, path: str) -> list[str]:
    problems = _length(value, shape, path)
    for index, item in enumerate(value, start=1):
        problems += _problems(item, shape.member, f"{path}.{index}.member")
    return problems


def _map(value: dict, shape: Shape, path: str) -> list[str]:
    problems = _length(value, shape, path)
    for key, item in value.items():
        problems += _problems(key, shape.key, f"{path}.{key}.key")
        problems += _problems(item, shape.value, f"{path}.{key}.member")
    return problems


def _length(value, shape: Shape, path: str) -> list[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and len(value) < low:
        rule = f"Member must have length greater than or equal to {low}"
        return [_failed(value, path, rule)]
    if high is not None and len(value) > high:
        return [_failed(value, path, f"Member must have length less than or equal to {high}")]
    return []


def _scalar(value, shape: Shape, path: str) -> list[str]:
    if shape.type_name == "string":
        problems = _length(value, shape, path)
        pattern, allowed = shape.metadata.get("pattern"), shape.metadata.get("enum")
        if pattern and not regex.fullmatch(pattern, value, regex.DOTALL):
            rule = f"Member must satisfy regular expression pattern: {pattern}"
            problems.append(_failed(value, path, rule))
        if allowed and value not in allowed:
            rule = f"Member must satisfy enum value set: [{', '.join(allowed)}]"
            problems.append(_failed(value, path, rule))
        return problems
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        return [_failed(value, path, f"Member must have value greater than or equal to {low}")]
    if high is not None and value > high:
        return [_failed(value, path, f"Member must have value less than or equal to {high}")]
    return []


def _shaped(value, shape: Shape):
    if shape.type_name == "structure":
        return {
            name: _shaped(value[name], member)
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if shape.type_name == "list":
        return [_shaped(item, shape.member) for item in value]
    if shape.type_name == "map":
        return {key: _shaped(item, shape.value) for key, item in value.items()}
    if shape.type_name == "timestamp" and isinstance(value, datetime.datetime):
        return value.timestamp()
    return value
