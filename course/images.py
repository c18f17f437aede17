"""The container images of the course: exact tags, and the registry of each region.

Training: PyTorch 2.13, Python 3.12, torchvision 0.28; patched by AWS until 2027-07-20. Inference:
PyTorch 2.6, Python 3.12, the last image that serves `model_fn` handlers; patched until 2026-06-30.
The SDK's own tables end before these tags, so the addresses are built here from its registries.
"""

TRAINING = {
    "cpu": "pytorch:2.13-cpu-amzn2023-sagemaker",
    "gpu": "pytorch:2.13-cu133-amzn2023-sagemaker",
}
INFERENCE = {"cpu": "pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"}


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
