"""The instances of one training job: their names and addresses, started and ended together."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from local_sagemaker.runtime.isolation import isolation

# 127.1.0 to 127.254.255, in turn; each engine on the machine begins somewhere else.
NETS = 254 * 256
_nets = itertools.count(secrets.randbelow(NETS))


@dataclass(frozen=True)
class Host:
    """One instance as the others know it."""

    name: str
    address: str
    instance_type: str = ""


def hosts(resources: dict) -> list[Host]:
    """``algo-1`` ... for a ResourceConfig, each with a loopback address of its own.

    No other job has these addresses, so that two jobs may listen on the same port at a time.
    Without a mount namespace the names would not resolve: the one host is ``localhost``.
    """
    instance_type = resources.get("InstanceType", "")
    if not isolation().real_opt_ml:
        return [Host("localhost", "127.0.0.1", instance_type)]
    upper, lower = divmod(next(_nets) % NETS, 256)
    net = f"127.{1 + upper}.{lower}"
    return [
        Host(f"algo-{number}", f"{net}.{number}", instance_type)
        for number in range(1, resources.get("InstanceCount", 1) + 1)
    ]


def run_together(instances: list, run: Callable) -> tuple[int, object]:
    """Call `run` with each instance at a time, to the end of all; stop the others if one fails.

    Returns:
        The exit code and the instance of the first failure; else 0 and the first instance.
    """
    failures: list[tuple[int, object]] = []
    lock = threading.Lock()

    def watched(instance) -> None:
        code = None
        try:
            code = run(instance)
        finally:
            if code != 0:
                with lock:
                    failures.append((code, instance))
                for other in instances:
                    other.stop()

    with ThreadPoolExecutor(len(instances)) as pool:
        list(pool.map(watched, instances))
    return failures[0] if failures else (0, instances[0])
