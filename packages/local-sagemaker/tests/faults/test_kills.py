"""Kills at seeded moments under a running workload: nothing acknowledged is lost.

3 kills, and 50 where slow tests run; ``FAULT_POINTS`` sets how many, ``FAULT_SEED`` which.
"""

import os
import random
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, running_engine, training_request
from engine_support.endpoints import deploy, invoke
from engine_support.faults.ledger import ANYTHING, Ledger, judge
from engine_support.faults.survey import all_over, illegal, survey
from engine_support.faults.workload import GROUP, VERSIONED, Jobs, Objects, Things

POINTS = [3, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1060)])]
if asked := os.environ.get("FAULT_POINTS"):
    POINTS = [pytest.param(int(asked), marks=pytest.mark.timeout(60 + 20 * int(asked)))]
SEED = int(os.environ.get("FAULT_SEED", "20261121"))
LONGEST_S = 0.8  # of the work before a kill
VICTIMS = ["engine", "job", "engine", "endpoint", "engine"]  # in turn


class Suite:
    """One state folder, its workers, and the engine that is running now."""

    def __init__(self, state: Path) -> None:
        self.state, self.random = state, random.Random(SEED)
        self.workers = [Objects(0), Objects(1), Things(2), Jobs(3)]
        self.own = Ledger()  # what the suite itself made
        self.kills = dict.fromkeys(VICTIMS, 0)

    @property
    def ledgers(self) -> list[Ledger]:
        return [self.own, *(worker.ledger for worker in self.workers)]

    def prepare(self, aws) -> None:
        for bucket in (BUCKET, VERSIONED):
            aws.s3.create_bucket(Bucket=bucket)
        on = {"Status": "Enabled"}
        aws.s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration=on)
        aws.logs.create_log_group(logGroupName=GROUP)
        aws.trained("echo the group of the jobs' logs is there", TrainingJobName="first")
        self.endpoint = deploy(aws)["EndpointName"]
        self.own.facts = survey(aws, {"first"})

    def point(self, victim: str, number: int) -> None:
        """Work, kill, and count."""
        with running_engine(self.state) as aws:
            if number == 0:
                self.prepare(aws)
            else:
                self.check(aws)
            stop = threading.Event()
            threads = [worker.work(aws, f"{SEED} {number}", stop) for worker in self.workers]
            time.sleep(self.random.uniform(0.05, LONGEST_S))
            getattr(self, f"kill_{victim}")(aws)
            self.kills[victim] += 1
            stop.set()
            for thread in threads:
                thread.join(timeout=30)
            problems = [worker.problem for worker in self.workers if worker.problem]
            assert not problems, problems
            if victim != "engine":
                self.check(aws)

    def check(self, aws) -> None:
        wait_until(lambda: all_over(aws))
        names = {fact[1] for ledger in self.ledgers for fact in ledger.facts if "ended" in fact[0]}
        lost, invented = judge(self.ledgers, survey(aws, names))
        assert not lost, lost
        assert not invented, invented
        assert not (wrong := illegal(aws)), wrong

    def served(self, aws) -> None:
        wait_until(lambda: aws.endpoint(self.endpoint)["EndpointStatus"] == "InService")
        wait_until(lambda: answers(aws, self.endpoint))

    # The kills

    def kill_engine(self, aws) -> None:
        family = psutil.Process(aws.process.pid).children(recursive=True)
        aws.process.kill()
        assert aws.process.wait(timeout=20) == -signal.SIGKILL
        wait_until(lambda: not any(map(lives, family)))

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


def answers(aws, endpoint: str) -> bool:
    try:
        return bool(invoke(aws, endpoint)["Body"].read())
    except aws.runtime.exceptions.ClientError:
        return False


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it has just ended
        return ""


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
    suite = Suite(tmp_path / "state")
    for number in range(points):
        suite.point(VICTIMS[number % len(VICTIMS)], number)
    with running_engine(suite.state) as aws:
        suite.check(aws)
        suite.served(aws)
        family = psutil.Process(aws.process.pid).children(recursive=True)
    wait_until(lambda: not any(map(lives, family)))
    acknowledged = sum(ledger.acknowledged for ledger in suite.ledgers)
    facts = sum(len(ledger.facts) for ledger in suite.ledgers)
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
