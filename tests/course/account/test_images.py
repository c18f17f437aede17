"""Image addresses: the right registry, the exact tag."""

import re
from datetime import date, timedelta
from pathlib import Path

import pytest

from course import workspace
from course.account import images
from local_sagemaker.runtime import container

INFERENCE = f"pytorch-inference:{images.SERVED}"
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


def test_the_tag_stands_in_one_place():
    """Of all files that decide something: pages and tests may name it."""
    root = Path(images.__file__).parents[1]
    files = [
        f for folder in ("course", "entry_points", "tools") for f in (root / folder).rglob("*.py")
    ]
    tag = re.compile(r"-amzn2023-sagemaker|cu133|-py312-ubuntu")
    assert [f.name for f in files if tag.search(f.read_text())] == []


def test_the_successor_is_one_that_the_sdk_knows():
    address = images.successor("eu-west-1")
    assert address.endswith(f"/ray:serve-ml-sagemaker-cpu-v{images.SUCCESSOR[1]}")


def test_a_region_without_images_is_named():
    with pytest.raises(ValueError, match="'mars-north-1'"):
        images.training("mars-north-1")


def test_the_local_engine_runs_all_of_them():
    addresses = [images.training("us-east-1", device) for device in images.INSTANCES]
    for address in [*addresses, images.inference("us-east-1")]:
        assert container.has_runtime(address), address


def test_every_image_has_the_day_until_which_it_is_patched():
    used = [images.training("us-east-1"), images.inference("us-east-1")]
    tags = [address.rpartition("/")[2] for address in used]
    assert len(images.PATCHED_UNTIL) == 2
    for tag, name in zip(tags, images.PATCHED_UNTIL, strict=True):
        assert tag.startswith(f"{name}-")


def test_an_image_is_warned_of_after_its_last_day_only():
    address = images.inference("us-east-1")
    last = images.PATCHED_UNTIL[INFERENCE]
    assert images.unpatched(address, today=last) == ""
    said = images.unpatched(address, today=last + timedelta(days=1))
    assert INFERENCE in said and "until 2026-06-30" in said
    assert "ray:serve-ml-sagemaker-cpu-v1.4" in said and "docs/aws-details.md" in said


def test_each_image_is_judged_by_itself_and_unknown_ones_are_not():
    training, inference = images.training("us-east-1"), images.inference("us-east-1")
    said = images.unpatched(training, inference, "mine:1", today=date(2026, 12, 1))
    assert said.count("WARNING") == 1 and "pytorch-inference" in said
    later = images.unpatched(training, inference, today=date(2027, 12, 1))
    assert later.count("WARNING") == 2


def _workspace(mode):
    return workspace.Workspace(
        mode=mode,
        session=None,
        role="arn:aws:iam::123456789012:role/mine",
        bucket="b",
        prefix="dog-breeds",
        region="us-east-1",
        training_instance="ml.g4dn.xlarge",
        endpoint_instance="ml.m5.large",
        training_image=images.training("us-east-1"),
        inference_image=images.inference("us-east-1"),
        debugger="self",
        reports=Path("reports"),
        image_size=224,
    )


def test_the_banner_warns_on_aws_only(monkeypatch):
    monkeypatch.setitem(images.PATCHED_UNTIL, INFERENCE, date(2000, 1, 1))
    assert "until 2000-01-01" in workspace._banner(_workspace("aws"))
    assert "2000-01-01" not in workspace._banner(_workspace("local"))
    monkeypatch.setitem(images.PATCHED_UNTIL, INFERENCE, date.max)
    monkeypatch.setitem(images.PATCHED_UNTIL, f"pytorch:{images.PYTORCH}", date.max)
    assert "WARNING" not in workspace._banner(_workspace("aws"))


def test_debuggers_image_lies_in_the_regions_registry():
    assert re.fullmatch(
        r"\d{12}\.dkr\.ecr\.eu-west-1\.amazonaws\.com/.*rules:.*", images.rules("eu-west-1")
    )
    with pytest.raises(ValueError, match="no Debugger image in region 'mars-1'"):
        images.rules("mars-1")
