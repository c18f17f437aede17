"""What an endpoint serves, as data: a deployment's changes, and how Describe shows it."""

from __future__ import annotations

from local_sagemaker.core.errors import invalid
from local_sagemaker.hosting import resources
from local_sagemaker.hosting.models import check_count
from local_sagemaker.hosting.variants import HostedVariant

NOT_IN_DEPLOYMENTS = {
    "DeploymentConfig": "all traffic goes to the new instances at once, without alarms",
    "RetainDeploymentConfig": "no endpoint has a DeploymentConfig",
}
RETAINED = {"DesiredInstanceCount": "Count", "DesiredWeight": "Weight"}  # VariantPropertyType


def retain(former: dict, deployment: dict, excluded: list[dict]) -> None:
    """Give a new deployment's variants the properties of the former ones of the same name."""
    left_out = {item["VariantPropertyType"] for item in excluded}
    known = {spec["VariantName"]: spec for spec in former["Variants"]}
    for spec in deployment["Variants"]:
        for property_type, member in RETAINED.items():
            if spec["VariantName"] in known and property_type not in left_out:
                spec[member] = known[spec["VariantName"]][member]
    if "DataCaptureConfig" not in left_out:
        deployment["DataCaptureConfig"] = former["DataCaptureConfig"]


def rescaled(endpoint: dict, wanted: list[dict]) -> dict:
    """The endpoint's deployment with the wanted weights and numbers of instances.

    Raises:
        ApiError: there is no such variant, or it cannot have so many instances.
    """
    deployment = endpoint["Deployment"]
    known = {spec["VariantName"]: spec for spec in deployment["Variants"]}
    for item in wanted:
        spec = known.get(item["VariantName"])
        if spec is None:
            text = f'Could not find variant "{item["VariantName"]}" of endpoint '
            raise invalid(text + f'"{endpoint["EndpointArn"]}"; it has {sorted(known)}.')
        resources.refuse(
            item, "DesiredWeightsAndCapacities.", {"ServerlessUpdateConfig": "nothing to update"}
        )
        spec["Weight"] = item.get("DesiredWeight", spec["Weight"])
        spec["Count"] = item.get("DesiredInstanceCount", spec["Count"])
        check_count(spec["Count"], spec.get("InstanceType", ""))
    return deployment


def variant_summary(spec: dict, hosted: HostedVariant | None, endpoint: dict) -> dict:
    """A ProductionVariantSummary; `hosted` is what serves now, if anything does."""
    image = spec["Container"]["Image"]
    pending = endpoint["Pending"] or {"Variants": [spec]}
    wanted = {s["VariantName"]: s for s in pending["Variants"]}.get(spec["VariantName"], spec)
    shown = {
        "VariantName": spec["VariantName"],
        # No image is pulled here, so it resolves to itself.
        "DeployedImages": [
            {
                "SpecifiedImage": image,
                "ResolvedImage": image,
                "ResolutionTime": endpoint["CreationTime"],
            }
        ],
        "CurrentWeight": hosted.weight if hosted else spec["Weight"],
        "DesiredWeight": wanted["Weight"],
        "RoutingConfig": spec.get("RoutingConfig"),
    }
    if serverless := spec.get("ServerlessConfig"):
        return shown | {"CurrentServerlessConfig": serverless}
    count = len(hosted.instances) if hosted else 0
    return shown | {"CurrentInstanceCount": count, "DesiredInstanceCount": wanted["Count"]}
