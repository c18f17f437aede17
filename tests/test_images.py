"""Image addresses: the right registry, the exact tag."""

import re

import pytest

from course import images
from local_sagemaker import container

REGISTRIES = {  # account of AWS's images, by region, as AWS documents them
    "us-east-1": "763104351884",
    "eu-west-1": "763104351884",
    "ap-southeast-1": "763104351884",
    "eu-south-1": "692866216735",
    "af-south-1": "626614931356",
}


@pytest.fixture(autouse=True)
def region(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.mark.parametrize("region,account", REGISTRIES.items())
def test_registry_of_a_region(region, account):
    address = images.training(region, "gpu")
    pattern = rf"{account}\.dkr\.ecr\.{region}\.amazonaws\.com/pytorch:2\.13-cu\d+-[\w-]+"
    assert re.fullmatch(pattern, address), address


def test_a_region_without_images_is_named():
    with pytest.raises(ValueError, match="'mars-north-1'"):
        images.training("mars-north-1")


def test_the_local_engine_runs_all_of_them():
    addresses = [images.training("us-east-1", device) for device in images.TRAINING]
    for address in [*addresses, images.inference("us-east-1")]:
        assert container.has_runtime(address), address
