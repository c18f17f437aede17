"""A production variant: the instances that serve its model, their number and its weight."""

from __future__ import annotations

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from local_sagemaker.aws.services import Services
from local_sagemaker.hosting.instance import HostedInstance, OnFailure, Unreachable


class HostedVariant:
    """The processes of one variant; every instance is a process with the model loaded."""

    def __init__(
        self, services: Services, endpoint: str, spec: dict, on_failure: OnFailure
    ) -> None:
        """`spec` is a ProductionVariant with ``Container``, ``Weight`` and ``Count``."""
        self.services, self.endpoint, self.spec = services, endpoint, spec
        self._on_failure = on_failure  # of an instance in service
        self.name, self.weight = spec["VariantName"], spec["Weight"]
        self.instances = [self._instance() for _ in range(spec["Count"])]

    def _instance(self) -> HostedInstance:
        return HostedInstance(self.services, self.endpoint, self.spec, self._on_failure)

    def pick(self) -> HostedInstance:
        """An instance for the next request, at random."""
        instances = self.instances
        if not instances:
            raise Unreachable(f"the variant {self.name} has no instance")
        return random.choice(instances)

    def scale(self, count: int) -> None:
        """Start or end instances until there are `count`.

        Raises:
            HostingFailed: a new one does not come into service; the former ones stay.
        """
        new = [self._instance() for _ in range(count - len(self.instances))]
        start(new)
        self.instances, surplus = (self.instances + new)[:count], self.instances[count:]
        close(surplus)


Fleet = dict[str, HostedVariant]  # an endpoint's variants, by their names


def start(instances: list[HostedInstance]) -> None:
    """Start `instances` beside each other; close all of them if one fails.

    Raises:
        HostingFailed: as the first that failed says.
    """
    if not instances:
        return
    with ThreadPoolExecutor(len(instances)) as pool:
        started = [pool.submit(instance.start) for instance in instances]
        try:
            for future in started:
                future.result()
        except Exception:
            close(instances)
            raise


def close(instances: Iterable[HostedInstance]) -> None:
    """End the processes of `instances`, all at a time."""
    instances = list(instances)
    for instance in instances:
        instance.terminate()
    for instance in instances:
        instance.close()
