"""A variant's instances: which one gets the next request, and what happens when one fails."""

import threading

import pytest

from engine_support.endpoints import services_at
from local_sagemaker.hosting import variants
from local_sagemaker.hosting.instance import Unreachable
from local_sagemaker.hosting.model_data import HostingFailed


def variant(tmp_path, count, **spec):
    spec = {"VariantName": "a", "Container": {}, "Weight": 1.0, "Count": count, **spec}
    return variants.HostedVariant(services_at(tmp_path), "e", spec, on_failure=None)


def test_requests_go_to_all_instances(tmp_path):
    hosted = variant(tmp_path, 2)
    assert {hosted.pick() for _ in range(60)} == set(hosted.instances)


def test_a_variant_without_instances_is_unreachable(tmp_path):
    with pytest.raises(Unreachable, match="no instance"):
        variant(tmp_path, 0).pick()


class Instance:
    """Comes into service or fails; a waiting one only ends when it is closed."""

    def __init__(self, fails=False):
        self.fails, self.closed = fails, threading.Event()

    def start(self):
        if self.fails:
            raise HostingFailed("no dogs")
        self.closed.wait(10)

    def terminate(self):
        self.closed.set()

    def close(self):
        assert self.closed.is_set()


def test_when_one_instance_fails_the_others_are_not_waited_for():
    waiting, failing = Instance(), Instance(fails=True)
    with pytest.raises(HostingFailed, match="no dogs"):
        variants.start([failing, waiting])
    assert waiting.closed.is_set()


def test_a_failed_scaling_keeps_the_former_instances(tmp_path, monkeypatch):
    hosted = variant(tmp_path, 1)
    former = list(hosted.instances)
    monkeypatch.setattr(hosted, "_instance", lambda: Instance(fails=True))
    with pytest.raises(HostingFailed, match="no dogs"):
        hosted.scale(3)
    assert hosted.instances == former
