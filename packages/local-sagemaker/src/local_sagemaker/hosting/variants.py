"""A production variant: the instances that serve its model, their number and its weight."""

from __future__ import annotations

import random
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from local_sagemaker.hosting.instance import HostedInstance, Unreachable

if TYPE_CHECKING:
    from local_sagemaker.hosting.endpoints import Endpoints


class HostedVariant:
    """The processes of one variant; every instance is a process with the model loaded."""

    def __init__(self, endpoints: Endpoints, endpoint: str, spec: dict) -> None:
        """`spec` is a ProductionVariant with ``Container``, ``Weight`` and ``Count``."""
        self.endpoints, self.endpoint, self.spec = endpoints, endpoint, spec
        self.name, self.weight = spec["VariantName"], spec["Weight"]
        self.instances = [self._instance() for _ in range(spec["Count"])]

    def _instance(self) -> HostedInstance:
        return HostedInstance(self.endpoints, self.endpoint, self.spec)

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
