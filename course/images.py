"""The container images of the course: exact tags, and the registry of each region.

Training: PyTorch 2.13, Python 3.12, torchvision 0.28. Inference: PyTorch 2.6, Python 3.12, the last
image that serves `model_fn` handlers. The SDK's own tables end before these tags, so the addresses
are built here from its registries.
"""

from datetime import date

TRAINING = {
    "cpu": "pytorch:2.13-cpu-amzn2023-sagemaker",
    "gpu": "pytorch:2.13-cu133-amzn2023-sagemaker",
}
INFERENCE = {"cpu": "pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"}
# The last day on which AWS publishes security patches of an image, read in November 2026.
PATCHED_UNTIL = {
    TRAINING["cpu"]: date(2027, 7, 20),
    TRAINING["gpu"]: date(2027, 7, 20),
    INFERENCE["cpu"]: date(2026, 6, 30),
}


def unpatched(*addresses: str, today: date | None = None) -> str:
    """A warning with a line for each image that AWS no longer patches; empty if there is none.

    Args:
        addresses: images as `training` and `inference` give them; others are not judged.
        today: the day to judge by, in place of the calendar's.
    """
    now = today or date.today()
    tags = [address.rpartition("/")[2] for address in addresses]
    return "\n".join(
        f"WARNING: AWS patched the image {tag} until {PATCHED_UNTIL[tag]}. It still runs, without "
        "security fixes since: see docs/aws.md"
        for tag in tags
        if tag in PATCHED_UNTIL and now > PATCHED_UNTIL[tag]
    )


def training(region: str, device: str = "gpu") -> str:
    """Address of the training image for `device` (cpu or gpu) in `region`."""
    return f"{registry(region)}/{TRAINING[device]}"


def inference(region: str) -> str:
    """Address of the inference image in `region`."""
    return f"{registry(region)}/{INFERENCE['cpu']}"


def registry(region: str) -> str:
    """The host of AWS's deep learning images in `region`.

    Raises:
        ValueError: if AWS publishes no PyTorch images there.
    """
    from sagemaker.core import image_uris

    try:
        known = image_uris.retrieve(
            "pytorch",
            region,
            version="2.6.0",
            py_version="py312",
            instance_type="ml.m5.large",
            image_scope="inference",
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"AWS publishes no PyTorch images in region '{region}'") from error
    return known.partition("/")[0]


def rules(region: str) -> str:
    """Address of the image in which SageMaker Debugger evaluates its rules, in `region`.

    Raises:
        ValueError: if AWS publishes none there.
    """
    from sagemaker.core import image_uris

    try:
        return image_uris.retrieve("debugger", region)
    except (KeyError, ValueError) as error:
        raise ValueError(f"AWS publishes no Debugger image in region '{region}'") from error
