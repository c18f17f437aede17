"""Kills at seeded moments under a running workload: nothing acknowledged is lost.

3 kills, and 50 where slow tests run; ``FAULT_POINTS`` sets how many, ``FAULT_SEED`` which.
"""

import os
import time
from pathlib import Path

import psutil
import pytest

from debugger_support.processes import wait_until
from engine_support.clients import running_engine, training_request
from engine_support.faults.ledger import ANYTHING, Ledger, judge
from engine_support.faults.suite import Suite, command_of, lives

POINTS = [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1060)])]
if asked := os.environ.get("FAULT_POINTS"):
    POINTS = [pytest.param(int(asked), marks=pytest.mark.timeout(60 + 20 * int(asked)))]
SEED = int(os.environ.get("FAULT_SEED", "20261121"))
LONGEST_S = 0.8  # of the work before a kill
VICTIMS = ["engine", "job", "engine", "endpoint", "engine"]  # in turn


class Kills(Suite):
    """Kills the engine, a job or an endpoint, while the workers work."""

    def __init__(self, state: Path) -> None:
        super().__init__(state, SEED)
        self.kills = dict.fromkeys(VICTIMS, 0)

    def point(self, victim: str, number: int) -> None:
        """Work, kill, and count."""
        with running_engine(self.state) as aws:
            if number == 0:
                self.prepare(aws)
            else:
                self.check(aws)
            with self.load(aws, number):
                time.sleep(self.random.uniform(0.05, LONGEST_S))
                getattr(self, f"kill_{victim}")(aws)
                self.kills[victim] += 1
            if victim != "engine":
                self.check(aws)

    def kill_job(self, aws) -> None:
        """A job fails with a reason, and nothing of it lives on."""
        name = f"victim-{self.kills['job']}"
        with self.own.change({("job", name): "there"}):
            request = training_request("sleep 300", TrainingJobName=name)
            aws.sagemaker.create_training_job(**request)
        family = wait_until(lambda: tree_of(aws, name))
        self.random.choice(family).kill()
        job = aws.job(name)
        assert (job["TrainingJobStatus"], bool(job["FailureReason"])) == ("Failed", True)
        wait_until(lambda: not any(map(lives, family)))

    def kill_endpoint(self, aws) -> None:
        """An endpoint whose process is killed serves again."""
        self.served(aws)
        engine = psutil.Process(aws.process.pid)
        serving = [
            process
            for process in engine.children(recursive=True)
            if "local_sagemaker.runtime.inside.serve" in command_of(process)
        ]
        self.random.choice(serving).kill()
        self.served(aws)


def tree_of(aws, job: str) -> list[psutil.Process]:
    """The processes of a job whose command sleeps, once it does."""
    for process in psutil.Process(aws.process.pid).children():
        if f"jobs/{job}/" in command_of(process):
            family = process.children(recursive=True)
            if any(command_of(member) == "sleep 300" for member in family):
                return [process, *family]
    return []


@pytest.mark.parametrize("points", POINTS)
def test_nothing_acknowledged_is_lost(tmp_path, points):
    suite = Kills(tmp_path / "state")
    for number in range(points):
        suite.point(VICTIMS[number % len(VICTIMS)], number)
    with running_engine(suite.state) as aws:
        suite.check(aws)
        suite.served(aws)
        family = psutil.Process(aws.process.pid).children(recursive=True)
    wait_until(lambda: not any(map(lives, family)))
    acknowledged, facts = suite.acknowledged, suite.facts
    kills = ", ".join(f"{count} {victim}s" for victim, count in suite.kills.items())
    print(f"\nseed {SEED}: killed {kills}; acknowledged {acknowledged}, lost 0; {facts} facts left")
    assert acknowledged > 10 * points


# The count itself


def ledger(facts, in_flight=()) -> Ledger:
    made = Ledger()
    made.facts, made.in_flight = dict(facts), dict(in_flight)
    return made


KEPT, OTHER = ("object", "b", "kept"), ("object", "b", "other")


@pytest.mark.parametrize(
    ("facts", "in_flight", "found", "counts"),
    [
        ({KEPT: 1}, {}, {KEPT: 1}, (0, 0)),
        ({KEPT: 1}, {}, {}, (1, 0)),
        ({KEPT: 1}, {}, {KEPT: 2}, (1, 0)),
        ({KEPT: 1}, {}, {KEPT: 1, OTHER: 1}, (0, 1)),
        ({KEPT: 1}, {KEPT: 2}, {KEPT: 1}, (0, 0)),
        ({KEPT: 1}, {KEPT: 2}, {KEPT: 2}, (0, 0)),
        ({KEPT: 1}, {KEPT: 2}, {KEPT: 3}, (1, 0)),
        ({KEPT: 1}, {KEPT: None}, {}, (0, 0)),
        ({KEPT: 1}, {KEPT: None}, {KEPT: 1}, (0, 0)),
        ({}, {OTHER: ANYTHING}, {OTHER: 5}, (0, 0)),
        ({}, {OTHER: ANYTHING}, {}, (0, 0)),
        ({KEPT: 1}, {KEPT: None, OTHER: 2}, {OTHER: 2}, (0, 0)),
        ({KEPT: 1}, {KEPT: None, OTHER: 2}, {}, (1, 0)),  # half of a request
    ],
)
def test_what_counts_as_lost_and_as_invented(facts, in_flight, found, counts):
    lost, invented = judge([ledger(facts, in_flight)], found)
    assert (len(lost), len(invented)) == counts
