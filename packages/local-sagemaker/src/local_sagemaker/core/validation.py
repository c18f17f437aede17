"""Requests and answers checked against botocore's own model of the SageMaker API.

The model is data that AWS publishes: for each operation the members, their types, lengths,
ranges, patterns and allowed values. What AWS refuses by it is refused here in AWS's words.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Callable, Iterable

import regex  # AWS's patterns use \p{L} and the like
from botocore.loaders import create_loader
from botocore.model import OperationModel, ServiceModel, Shape

from local_sagemaker.core.errors import ApiError, invalid


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
    """Refuse a `request` that breaks the operation's input shape.

    Raises:
        ApiError: SerializationException for a value of another type than the member's, or a member
            that the operation does not have; ValidationException for a broken constraint.
    """
    if not model.input_shape:
        return
    check_types(request, model.input_shape)
    found = problems(request, model.input_shape)
    if found:
        count = f"{len(found)} validation error{'s' * (len(found) > 1)} detected: "
        raise invalid(count + "; ".join(found))


def shaped(answer: dict, model: OperationModel) -> dict:
    """`answer` reduced to the members of the operation's output, ready for JSON."""
    return _shaped(answer, model.output_shape) if model.output_shape else {}


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# Types: what AWS refuses while it reads the body, before it looks at any constraint

SCALARS = {  # what a scalar is in JSON, and how AWS calls it
    "string": (str, "a String"),
    "boolean": (bool, "a Boolean"),
    "integer": (int, "an Integer"),
    "long": (int, "a Long"),
    "float": ((int, float), "a Float"),
    "double": ((int, float), "a Double"),
    "timestamp": ((int, float), "milliseconds since epoch"),
    "blob": ((str, int), "a Blob"),  # SageMaker's own API has none; the recorder gives lengths
}
BITS = {"integer": 31, "long": 63}


def _unreadable(text: str, path: str) -> ApiError:
    # AWS does not say where; this does.
    return ApiError("SerializationException", f"{text} (at '{path}')")


def check_types(value, shape: Shape, path: str = "") -> None:
    """Refuse a value that has not the JSON types and the members of `shape`.

    Raises:
        ApiError: SerializationException.
    """
    if value is None:
        return
    kind = shape.type_name
    if kind in {"structure", "map"}:
        if not isinstance(value, dict):
            raise _unreadable("Expected map or null", path)
        for name, item in value.items():
            if kind == "map":
                check_types(item, shape.value, f"{path}.{name}.member")
            elif name in shape.members:
                check_types(item, shape.members[name], _below(path, _camel(name)))
            else:
                raise _unreadable(f"'{name}' is not a member of {shape.name}", _below(path, name))
    elif kind == "list":
        if not isinstance(value, list):
            raise _unreadable("Expected list or null", path)
        for index, item in enumerate(value, start=1):
            check_types(item, shape.member, f"{path}.{index}.member")
    else:
        _check_scalar(value, kind, path)


def _check_scalar(value, kind: str, path: str) -> None:
    if isinstance(value, list):
        raise _unreadable("Start of list found where not expected", path)
    if isinstance(value, dict):
        raise _unreadable("Start of structure or map found where not expected.", path)
    expected, name = SCALARS[kind]
    is_bool_as_number = isinstance(value, bool) and kind != "boolean"
    too_large = kind in BITS and isinstance(value, int) and value.bit_length() > BITS[kind]
    if not isinstance(value, expected) or is_bool_as_number or too_large:
        raise _unreadable(f"{_token(value)} can not be converted to {name}", path)


def _token(value) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    return {str: "STRING_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}[type(value)]


# Constraints, in AWS's words


def problems(value: dict, shape: Shape, path: str = "") -> list[str]:
    """What breaks the constraints of `shape`, one sentence for each; the types must be right."""
    if shape.type_name == "structure":
        return _structure(value, shape, path)
    found = [_failed(value, shape, path, rule) for rule in _broken(value, shape)]
    if shape.type_name == "list":
        items = {f"{path}.{index}.member": item for index, item in enumerate(value, start=1)}
        found += _items(value, shape, items, shape.member, path, "Member")
    if shape.type_name == "map":
        keys = {f"{path}.{key}.key": key for key in value}
        found += _items(value, shape, keys, shape.key, path, "Map keys")
        items = {f"{path}.{key}.member": item for key, item in value.items()}
        found += _items(value, shape, items, shape.value, path, "Map value")
    return found


def _structure(value: dict, shape: Shape, path: str) -> list[str]:
    found = [
        _failed(None, shape.members[name], _below(path, _camel(name)), NOT_NULL)
        for name in shape.required_members
        if value.get(name) is None
    ]
    for name, member in value.items():
        if member is not None:
            found += problems(member, shape.members[name], _below(path, _camel(name)))
    return found


def _items(
    collection, shape: Shape, items: dict, item_shape: Shape, path: str, subject: str
) -> list[str]:
    """Structures and collections are told one by one, scalars by the collection they are in."""
    found = [_failed(None, shape, at, NOT_NULL) for at, item in items.items() if item is None]
    there = {at: item for at, item in items.items() if item is not None}
    if item_shape.type_name in {"structure", "list", "map"}:
        for at, item in there.items():
            found += problems(item, item_shape, at)
    elif any(_broken(item, item_shape) for item in there.values()):
        rules = ", ".join(_rules(item_shape))
        found.append(
            _failed(collection, shape, path, f"{subject} must satisfy constraint: [{rules}]")
        )
    return found


NOT_NULL = "Member must not be null"
ECHO = 4096  # characters of a refused value that a message repeats


def _failed(value, shape: Shape, path: str, rule: str) -> str:
    shown = "Value null" if value is None else f"Value '{_cut(_java(value))}'"
    if shape.metadata.get("sensitive"):
        shown = "Value"
    return f"{shown} at '{path}' failed to satisfy constraint: {rule}"


def _java(value) -> str:
    """A value as AWS's service, written in Java, prints it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_java, value)) + "]"
    return json.dumps(value) if isinstance(value, bool | None) else str(value)


def _cut(text: str) -> str:
    return text if len(text) <= ECHO else text[:ECHO] + "..."


def _rules(shape: Shape) -> dict[str, Callable[[object], bool]]:
    """The constraints of a shape in AWS's words and order, each with its test."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    pattern, allowed = shape.metadata.get("pattern"), shape.metadata.get("enum")
    measured = shape.type_name in {"string", "list", "map", "blob"}
    noun = "length" if measured else "value"
    rules = {}
    if high is not None:
        rules[f"Member must have {noun} less than or equal to {high}"] = lambda v: _size(v) <= high
    if low is not None:
        rules[f"Member must have {noun} greater than or equal to {low}"] = lambda v: _size(v) >= low
    if pattern:
        rule = f"Member must satisfy regular expression pattern: {pattern}"
        rules[rule] = lambda v: _matches(pattern, v)
    if allowed:
        rule = f"Member must satisfy enum value set: [{', '.join(allowed)}]"
        rules[rule] = lambda v: v in allowed
    return rules


def _size(value) -> float:
    return value if isinstance(value, int | float) else len(value)


def _broken(value, shape: Shape) -> list[str]:
    return [rule for rule, holds in _rules(shape).items() if not holds(value)]


def _matches(pattern: str, value: str) -> bool:
    return regex.fullmatch(pattern, value, regex.DOTALL) is not None


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


def check_unique(path: str, names: Iterable[str]) -> None:
    """Refuse names of which one comes twice.

    Raises:
        ApiError: ValidationException with the name.
    """
    seen = set()
    for name in names:
        if name in seen:
            raise invalid(f"{path}: the names must be unique, and '{name}' comes twice")
        seen.add(name)
