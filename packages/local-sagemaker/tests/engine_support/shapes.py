"""Requests drawn from botocore's shapes: good ones, and such as break one constraint."""

from __future__ import annotations

import copy
import functools
from pathlib import Path

from botocore.model import Shape
from hypothesis import strategies as st

from engine_support.clients import BUCKET, INFERENCE_IMAGE, TRAINING_IMAGE
from engine_support.shared_files import shared
from local_sagemaker import ROLE_ARN
from local_sagemaker.core.validation import problems

CONTAINER = shared(Path(__file__).parent / "quick_container")
TRUE = ["/bin/true"]
NAMES = st.integers(0, 9999).map("n-{}".format) | st.sampled_from(["one", "two", "three"])
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"
ADDRESSES = [f"s3://{BUCKET}/data", f"s3://{BUCKET}/model.tar.gz", f"s3://{BUCKET}"] * 3 + [
    "s3://nowhere/x",
    "https://x/y",
]
X = {"Name": "x", "MinValue": "0", "MaxValue": "1"}
# What has a meaning beyond its constraints, so that many requests get past the first check.
MEANT = {
    "TrainingJobName": NAMES,
    "HyperParameterTuningJobName": NAMES,
    "ModelName": NAMES,
    "EndpointConfigName": NAMES,
    "EndpointName": NAMES,
    "ProductionVariant.ModelName": st.sampled_from(["m"] * 6 + ["nobody"]),
    "CreateEndpointInput.EndpointConfigName": st.sampled_from(["c"] * 6 + ["nobody"]),
    "UpdateEndpointInput.EndpointConfigName": st.sampled_from(["c"] * 6 + ["nobody"]),
    "TrainingImage": st.sampled_from([TRAINING_IMAGE] * 6 + ["ecr/other:1"]),
    "Image": st.sampled_from([INFERENCE_IMAGE] * 6 + ["ecr/other:1"]),
    "ContainerEntrypoint": st.just(TRUE),
    "RoleArn": st.just(ROLE_ARN),
    "ExecutionRoleArn": st.just(ROLE_ARN),
    "S3Uri": st.sampled_from(ADDRESSES),
    "S3OutputPath": st.sampled_from(ADDRESSES),
    "ModelDataUrl": st.just(ADDRESSES[1]),  # no archive: such an endpoint fails at once
    "InstanceCount": st.sampled_from([1, 1, 1, 2]),
    "HyperParameterTuningJobConfig.Strategy": st.sampled_from(
        ["Random"] * 4 + ["Bayesian", "Grid", "Hyperband"]
    ),
    "InitialInstanceCount": st.integers(1, 2),
    "VolumeSizeInGB": st.integers(1, 9),
    "StoppingCondition.MaxRuntimeInSeconds": st.integers(60, 2**31 - 1),
    "MaxNumberOfTrainingJobs": st.integers(1, 2),
    "MaxParallelTrainingJobs": st.integers(1, 2),
    "MetricDefinitions": st.just([{"Name": "loss", "Regex": "loss=([0-9.]+)"}]),
    "MetricName": st.just("loss"),
    "MinValue": st.sampled_from(["0", "0.5", "ten"]),
    "MaxValue": st.sampled_from(["1", "2", "100"]),
    "ParameterRanges.ContinuousParameterRanges": st.just([X]),
    "ResourceArn": st.builds(
        "{}{}/{}".format,
        st.just(ARN),
        st.sampled_from(["training-job", "model", "endpoint-config", "endpoint", "unicorn"]),
        NAMES,
    ),
    "LocalPath": st.sampled_from(["/opt/ml/checkpoints", "/opt/ml/here/there", "../x", "x"]),
}
ALWAYS = {  # members that nearly every request has, though the model does not require them
    "CreateTrainingJobRequest": {"AlgorithmSpecification", "ResourceConfig", "StoppingCondition"},
    "AlgorithmSpecification": {"TrainingImage", "ContainerEntrypoint"},
    "ResourceConfig": {"InstanceType", "InstanceCount", "VolumeSizeInGB"},
    "CreateHyperParameterTuningJobRequest": {"TrainingJobDefinition"},
    "HyperParameterTuningJobConfig": {"HyperParameterTuningJobObjective", "ParameterRanges"},
    "ResourceLimits": {"MaxNumberOfTrainingJobs"},
    "ParameterRanges": {"ContinuousParameterRanges"},
    "HyperParameterTrainingJobDefinition": {"ResourceConfig", "Environment"},
    "HyperParameterAlgorithmSpecification": {"TrainingImage", "MetricDefinitions"},
    "CreateModelInput": {"PrimaryContainer"},
    "ContainerDefinition": {"Image", "ModelDataUrl"},
    "ProductionVariant": {"ModelName", "InitialInstanceCount", "InstanceType"},
    "DataSource": {"S3DataSource"},
}
SELDOM = {  # members that ask for parts of AWS which are not here, or exclude others
    "ServerlessJobConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "InstanceGroups",
    "InstanceGroupNames",
    "InstanceConfigs",
    "InstancePreferences",
    "TrainingPlanArn",
    "AlgorithmName",
    "TrainingJobDefinitions",
    "HyperParameterTuningResourceConfig",
    "Containers",
    "NextToken",
    "EnableManagedSpotTraining",
    "MaxWaitTimeInSeconds",
    "WarmStartConfig",
    "AdditionalModelDataSources",
    "RoutingConfig",
    "DeploymentConfig",
    "RetainDeploymentConfig",
    "AsyncInferenceConfig",
    "MetricsConfig",
    "ShadowProductionVariants",
    "AcceleratorType",
    "EnableSSMAccess",
    "InstancePools",
    "ManagedInstanceScaling",
    "ServerlessConfig",
    "ExplainerConfig",
    "CoreDumpConfig",
    "CrossRegionTrafficConfig",
    "CapacityReservationConfig",
}
# Tuning's requests cannot name a command: what is found as `python` here ends at once.
QUICK = {"PATH": f"{CONTAINER}:/usr/bin:/bin", "JOB_COMMAND": "true"}
CLASSES = {r"\p{L}": "a-zA-Zéß", r"\p{Z}": " ", r"\p{N}": "0-9", r"\p{Alnum}": "a-zA-Z0-9"}


def good(shape: Shape) -> st.SearchStrategy:
    """Values that keep every constraint of `shape`."""
    return _good(shape.name, _Held(shape))


class _Held:
    """A shape as an argument that a cache by name may ignore."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape

    def __eq__(self, other) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


@functools.cache
def _good(name: str, held: _Held) -> st.SearchStrategy:
    shape = held.shape
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "structure":
        return _structures(shape)
    if shape.type_name == "list":
        most = min(high or 3, (low or 0) + 2)
        return st.lists(good(shape.member), min_size=low or 0, max_size=most)
    if shape.type_name == "map":
        return st.dictionaries(good(shape.key), good(shape.value), min_size=low or 0, max_size=3)
    if shape.type_name == "boolean":
        return st.booleans()
    if shape.type_name in {"integer", "long"}:
        bits = 31 if shape.type_name == "integer" else 63
        return st.integers(
            -(2**bits) if low is None else low, 2**bits - 1 if high is None else high
        )
    if shape.type_name in {"float", "double", "timestamp"}:
        return st.floats(low or 0, high or 4e9, allow_nan=False)
    return _texts(shape)


def _texts(shape: Shape) -> st.SearchStrategy:
    if shape.enum:
        return st.sampled_from(shape.enum)
    low, high = shape.metadata.get("min") or 0, shape.metadata.get("max") or 40
    pattern = shape.metadata.get("pattern", "")
    if pattern in {"", ".*", ".+", r"[\S\s]*"}:
        return st.text(min_size=max(low, pattern == ".+"), max_size=min(high, low + 30)).filter(
            lambda text: "\n" not in text
        )
    for name, plain in CLASSES.items():
        pattern = pattern.replace(name, plain)
    return st.from_regex(pattern, fullmatch=True).filter(lambda text: low <= len(text) <= high)


@st.composite
def _structures(draw, shape: Shape) -> dict:
    always, made = ALWAYS.get(shape.name, set()), {}
    for name, member in shape.members.items():
        rarity = 60 if name in SELDOM else 8
        wanted = name in shape.required_members or name in always
        if wanted or draw(st.integers(1, rarity)) == 1:
            strategy = MEANT.get(f"{shape.name}.{name}", MEANT.get(name))
            made[name] = draw(good(member) if strategy is None else strategy)
    if shape.name == "HyperParameterTrainingJobDefinition":
        made["Environment"] = QUICK
    return made


@st.composite
def broken(draw, shape: Shape) -> tuple[dict, str]:
    """A good request with one constraint broken, and which."""
    request = draw(good(shape))
    ways = list(_ways(request, shape, ()))
    path, rule, value = draw(st.sampled_from(ways))
    request = copy.deepcopy(request)
    place = request
    for step in path[:-1]:
        place = place[step]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return request, f"{'.'.join(map(str, path))}: {rule}"


def _ways(value, shape: Shape, path: tuple):
    """How a value can be broken: where, what rule, and what to put there (None takes it away)."""
    kind = shape.type_name
    if kind == "structure":
        yield (*path, "Unicorn"), "unknown member", 1
        for name, item in value.items():
            if name in shape.required_members:
                yield (*path, name), "required", None
            yield from _ways(item, shape.members[name], (*path, name))
        return
    yield path, "type", 7 if kind in {"string", "list", "map", "boolean"} else "seven"
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if kind == "list":
        if low:
            yield path, "min", []
        if high and value:
            yield path, "max", value[:1] * (high + 1)
        for index, item in enumerate(value):
            yield from _ways(item, shape.member, (*path, index))
    elif kind == "map":
        if high and high < 200:
            yield path, "max", {f"k{n}": next(iter(value.values()), "v") for n in range(high + 1)}
        for key, item in value.items():
            yield from _ways(item, shape.value, (*path, key))
    elif kind == "string":
        for rule, text in [("max", "x" * ((high or 0) + 1)), ("pattern", "§ \n"), ("enum", "§")]:
            if problems(text, shape):
                yield path, rule, text
    elif kind in {"integer", "long", "float", "double"}:
        if low is not None:
            yield path, "min", low - 1
        if high is not None:
            yield path, "max", high + 1
