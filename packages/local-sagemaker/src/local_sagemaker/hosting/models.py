"""Models and endpoint configurations: the operations, and what of them can be served here."""

from __future__ import annotations

from local_sagemaker.aws.s3.service import S3
from local_sagemaker.core.errors import ApiError, invalid
from local_sagemaker.core.kinds import ENDPOINT_CONFIG, MODEL
from local_sagemaker.core.store import Store
from local_sagemaker.core.validation import check_unique
from local_sagemaker.hosting import capture, model_data, resources
from local_sagemaker.runtime import container

MAX_INSTANCES = 20  # AWS's default quota of instances for one endpoint
NOT_IN_CONTAINERS = {
    "ModelPackageName": "name Image and ModelDataUrl instead",
    "InferenceSpecificationName": "it belongs to a model package",
    "MultiModelConfig": "one model an endpoint; make one endpoint for each model",
    "AdditionalModelDataSources": "put all files into ModelDataUrl or ModelDataSource",
    "ContainerMetricsConfig": "containers publish no metrics of their own here",
}
NOT_IN_CONFIGS = {
    "ExplainerConfig": "there is no SageMaker Clarify on this machine",
    "ShadowProductionVariants": "make a production variant, and invoke it by TargetVariant",
    "AsyncInferenceConfig": "invoke the endpoint directly",
    "MetricsConfig": "metrics come at every invocation",
    "CrossRegionTrafficConfig": "there is one region",
}
NOT_IN_VARIANTS = {
    "InstancePools": "name InstanceType and InitialInstanceCount",
    "AcceleratorType": "Elastic Inference has ended",
    "CoreDumpConfig": "core dumps are not collected",
    "EnableSSMAccess": "the container is a process of this machine: look at it directly",
    "ManagedInstanceScaling": "use UpdateEndpointWeightsAndCapacities",
    "CapacityReservationConfig": "this machine is all there is",
    "AcceleratorPartitionLayouts": "this machine's GPUs are used as they are",
}
RANDOM = "RANDOM"  # the RoutingStrategy, AWS's default
# Accepted, without effect: the endpoint's log says so.
WITHOUT_EFFECT = {
    "VpcConfig": "the process has this machine's network",
    "EnableNetworkIsolation": "the process has this machine's network",
    "KmsKeyId": "files on this machine are not encrypted",
    "ServerlessConfig": "an ordinary process serves; its memory and concurrency are not limited",
}


class Models:
    """All models and endpoint configurations of one engine."""

    def __init__(self, store: Store, s3: S3) -> None:
        self.store, self.s3 = store, s3

    def create(self, request: dict) -> dict:
        definition = container_of(request)
        _check_container(definition)
        resources.refuse(
            {"Direct": request.get("InferenceExecutionConfig", {}).get("Mode") == "Direct"},
            "InferenceExecutionConfig.Mode ",
            {"Direct": "models of one container are invoked as a whole"},
        )
        for source in model_data.sources(definition):
            self._check_source(source)
        return resources.make(self.store, MODEL, request)

    def describe(self, request: dict) -> dict:
        """A model as AWS tells it, with its defaults."""
        model = resources.get(self.store, MODEL, request["ModelName"])
        told = {"EnableNetworkIsolation": False, **model}
        if "PrimaryContainer" in told:
            told["PrimaryContainer"] = _described(told["PrimaryContainer"])
        if "Containers" in told:
            told["Containers"] = [_described(each) for each in told["Containers"]]
        return told

    def list(self, request: dict) -> dict:
        return resources.listed(self.store, MODEL, request)

    def delete(self, request: dict) -> dict:
        return resources.delete(self.store, MODEL, request)

    def _check_source(self, source: dict) -> None:
        address = source["S3Uri"]
        if (source["S3DataType"], source["CompressionType"]) == ("S3Prefix", "Gzip"):
            raise invalid(f"{address}: CompressionType Gzip needs S3DataType S3Object")
        try:
            found = model_data.exists(self.s3, source)
        except ValueError as error:
            raise invalid(str(error)) from None
        if not found:
            raise invalid(f"Could not find model data at {address}.")

    def create_config(self, request: dict) -> dict:
        resources.refuse(request, "", NOT_IN_CONFIGS)
        variants = request["ProductionVariants"]
        check_unique("ProductionVariants.VariantName", [v["VariantName"] for v in variants])
        for number, variant in enumerate(variants):
            _check_variant(variant, f"ProductionVariants[{number}].")
            resources.get(self.store, MODEL, variant["ModelName"])
        capture.check(request.get("DataCaptureConfig"))
        return resources.make(self.store, ENDPOINT_CONFIG, request)

    def describe_config(self, request: dict) -> dict:
        return resources.get(self.store, ENDPOINT_CONFIG, request["EndpointConfigName"])

    def list_configs(self, request: dict) -> dict:
        return resources.listed(self.store, ENDPOINT_CONFIG, request)

    def delete_config(self, request: dict) -> dict:
        return resources.delete(self.store, ENDPOINT_CONFIG, request)

    def deployment(self, config_name: str) -> dict:
        """What an endpoint of a configuration serves, whole.

        A copy, because a model or configuration may be deleted while an endpoint serves it.
        """
        config = resources.get(self.store, ENDPOINT_CONFIG, config_name)
        variants = []
        for variant in config["ProductionVariants"]:
            model = resources.get(self.store, MODEL, variant["ModelName"])
            variants.append(
                {
                    **variant,
                    "Container": container_of(model),
                    "Weight": variant.get("InitialVariantWeight", 1.0),
                    "Count": variant.get("InitialInstanceCount", 1),
                    "Notes": [*_notes(config), *_notes(model), *_notes(variant)],
                }
            )
        return {
            "EndpointConfigName": config_name,
            "Variants": variants,
            "DataCaptureConfig": config.get("DataCaptureConfig"),
        }


def container_of(model: dict) -> dict:
    """The one container of a model's request or description.

    Raises:
        ApiError: there is none, or several.
    """
    containers = model.get("Containers", [])
    found = [model["PrimaryContainer"], *containers] if "PrimaryContainer" in model else containers
    if len(found) != 1:
        raise invalid(
            f"{len(found)} containers: local_sagemaker serves models of exactly one container "
            "(PrimaryContainer, or one in Containers), not inference pipelines"
        )
    return found[0]


def _described(definition: dict) -> dict:
    """A container as AWS tells it: with the source that a ModelDataUrl is short for."""
    told = {"Mode": "SingleModel", "Environment": {}, **definition}
    if found := model_data.sources(definition):
        told.setdefault("ModelDataSource", {"S3DataSource": found[0]})
    return told


def _check_container(definition: dict) -> None:
    resources.refuse(definition, "PrimaryContainer.", NOT_IN_CONTAINERS)
    resources.refuse(
        {"MultiModel": definition.get("Mode") == "MultiModel"},
        "PrimaryContainer.Mode ",
        {"MultiModel": "one model an endpoint; make one endpoint for each model"},
    )
    image = definition.get("Image", "")
    if not container.has_runtime(image):
        raise invalid(
            f"PrimaryContainer.Image '{image}' has no local runtime: local_sagemaker serves "
            "AWS's PyTorch images (.../pytorch-inference:TAG)"
        )


def _check_variant(variant: dict, where: str) -> None:
    if "ModelName" not in variant:
        raise invalid(
            f"{where}ModelName is missing: local_sagemaker has no inference components, "
            "every variant names its model"
        )
    resources.refuse(variant, where, NOT_IN_VARIANTS)
    strategy = variant.get("RoutingConfig", {}).get("RoutingStrategy", RANDOM)
    resources.refuse(
        {strategy: strategy != RANDOM},
        f"{where}RoutingConfig.RoutingStrategy ",
        {strategy: f"each request goes to an instance at random ({RANDOM})"},
    )
    if "ServerlessConfig" not in variant and "InstanceType" not in variant:
        raise invalid(f"{where}InstanceType is missing")
    check_count(variant.get("InitialInstanceCount", 1), variant.get("InstanceType", ""))


def check_count(count: int, instance_type: str) -> None:
    """Refuse more instances of a variant than an account has by default, or none at all.

    Raises:
        ApiError: ResourceLimitExceeded, or ValidationException.
    """
    if count < 1:
        raise invalid(f"DesiredInstanceCount {count}: a variant has at least one instance")
    if count > MAX_INSTANCES:
        raise ApiError(
            "ResourceLimitExceeded",
            f"The account-level service limit '{instance_type} for endpoint usage' is "
            f"{MAX_INSTANCES} Instances, with current utilization of 0 Instances and a request "
            f"delta of {count} Instances. Please use AWS Service Quotas to request an increase "
            "for this quota.",
        )


def _notes(request: dict) -> list[str]:
    return [
        f"local_sagemaker: {member} has no effect here: {why}"
        for member, why in WITHOUT_EFFECT.items()
        if request.get(member)
    ]
