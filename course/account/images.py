"""The container images of the course, as the SDK's own tables name them in each region.

Training: PyTorch 2.13, Python 3.12, torchvision 0.28. Inference: PyTorch 2.6, Python 3.12, the last
image that serves `model_fn` handlers.

When AWS no longer patches an image, take the next version of AWS's list, here and nowhere else: set
`PYTORCH`, add its day to `PATCHED_UNTIL`, and compare torch and torchvision in `pyproject.toml` and
the list of packages in `tests/containers/training.txt` with the image's. Then run `make lock`,
`make test` and `make check-containers`. For the endpoint there is no next version: see `SUCCESSOR`.
"""

from datetime import date

PYTORCH = "2.13"  # of the training image
SERVED = "2.6.0"  # PyTorch's version in the inference image
# The last day on which AWS publishes security patches of an image, read in November 2026.
PATCHED_UNTIL = {
    f"pytorch:{PYTORCH}": date(2027, 7, 20),
    f"pytorch-inference:{SERVED}": date(2026, 6, 30),
}
# AWS's successor to its PyTorch inference images. It serves no `model_fn` (docs/aws-details.md).
SUCCESSOR = ("ray-serve", "1.4")
INSTANCES = {"cpu": "ml.m5.large", "gpu": "ml.g4dn.xlarge"}  # by which the SDK knows the device


def unpatched(*addresses: str, today: date | None = None) -> str:
    """A warning with a line for each image that AWS no longer patches; empty if there is none.

    Args:
        addresses: images as `training` and `inference` give them; others are not judged.
        today: the day to judge by, in place of the calendar's.
    """
    now = today or date.today()
    lines = []
    for tag in (address.rpartition("/")[2] for address in addresses):
        for name, last in PATCHED_UNTIL.items():
            if tag.startswith(f"{name}-") and now > last:
                lines.append(
                    f"WARNING: AWS patched the image {tag} until {last}. It still runs, without "
                    f"security fixes since. {_next(tag)}"
                )
    return "\n".join(lines)


def _next(tag: str) -> str:
    if tag.startswith("pytorch-inference:"):
        return (
            "AWS's successor is Ray Serve (ray:serve-ml-sagemaker-cpu-v"
            f"{SUCCESSOR[1]}), which needs another serving script: see docs/aws-details.md"
        )
    return "Take the next version: see course/account/images.py"


def training(region: str, device: str = "gpu") -> str:
    """Address of the training image for `device` (cpu or gpu) in `region`.

    Raises:
        ValueError: if AWS publishes no PyTorch images there.
    """
    return _address("pytorch-amzn2023", region, PYTORCH, "training", device)


def inference(region: str) -> str:
    """Address of the inference image in `region`.

    Raises:
        ValueError: if AWS publishes no PyTorch images there.
    """
    return _address("pytorch", region, SERVED, "inference", "cpu", py_version="py312")


def successor(region: str) -> str:
    """Address of AWS's successor to the inference image in `region`; the course does not use it."""
    framework, number = SUCCESSOR
    return _address(framework, region, number, "inference", "cpu")


def _address(framework: str, region: str, number: str, scope: str, device: str, **more: str) -> str:
    """What the SDK's tables say."""
    from sagemaker.core import image_uris

    try:
        return image_uris.retrieve(
            framework,
            region,
            version=number,
            instance_type=INSTANCES[device],
            image_scope=scope,
            **more,
        )
    except (KeyError, ValueError) as error:
        raise ValueError(f"AWS publishes no PyTorch images in region '{region}'") from error


def registry(region: str) -> str:
    """The host of AWS's deep learning images in `region`.

    Raises:
        ValueError: if AWS publishes no PyTorch images there.
    """
    return training(region).partition("/")[0]


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
