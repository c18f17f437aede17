"""One state folder under load: its workers, what they were told, and how that is checked."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET
from engine_support.endpoints import deploy, invoke
from engine_support.faults.ledger import Ledger, judge
from engine_support.faults.survey import all_over, illegal, survey
from engine_support.faults.workload import GROUP, VERSIONED, Jobs, Objects, Things


class Suite:
    """One state folder, its workers, and the engine that is running now."""

    def __init__(self, state: Path, seed: int) -> None:
        self.state, self.seed, self.random = state, seed, random.Random(seed)
        self.workers = [Objects(0), Objects(1), Things(2), Jobs(3)]
        self.own = Ledger()  # what the suite itself made

    @property
    def ledgers(self) -> list[Ledger]:
        return [self.own, *(worker.ledger for worker in self.workers)]

    def prepare(self, aws) -> None:
        """Make what the workers need."""
        for bucket in (BUCKET, VERSIONED):
            aws.s3.create_bucket(Bucket=bucket)
        on = {"Status": "Enabled"}
        aws.s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration=on)
        aws.logs.create_log_group(logGroupName=GROUP)
        aws.trained("echo the group of the jobs' logs is there", TrainingJobName="first")
        self.endpoint = deploy(aws)["EndpointName"]
        self.own.facts = survey(aws, {"first"})

    @property
    def acknowledged(self) -> int:
        """How many requests were answered with a success."""
        return sum(ledger.acknowledged for ledger in self.ledgers)

    @property
    def facts(self) -> int:
        """How many things there are to be found."""
        return sum(len(ledger.facts) for ledger in self.ledgers)

    def check(self, aws) -> None:
        """Nothing acknowledged is lost, and nothing is there that nobody asked for."""
        wait_until(lambda: all_over(aws))
        names = {fact[1] for ledger in self.ledgers for fact in ledger.facts if "ended" in fact[0]}
        lost, invented = judge(self.ledgers, survey(aws, names))
        assert not lost, lost
        assert not invented, invented
        assert not (wrong := illegal(aws)), wrong

    @contextmanager
    def load(self, aws, number: int) -> Iterator[None]:
        """Inside the block, the workers ask `aws` for one thing after the other.

        What they ask for follows from the seed and from `number`, which is new for each block.
        """
        stop = threading.Event()
        threads = [worker.work(aws, f"{self.seed} {number}", stop) for worker in self.workers]
        yield
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
        problems = [worker.problem for worker in self.workers if worker.problem]
        assert not problems, problems

    def kill_engine(self, aws) -> None:
        """Kill it, and wait until its jobs and endpoints are gone, too."""
        family = psutil.Process(aws.process.pid).children(recursive=True)
        aws.process.kill()
        assert aws.process.wait(timeout=20) == -signal.SIGKILL
        wait_until(lambda: not any(map(lives, family)))

    def served(self, aws) -> None:
        """The endpoint serves."""
        wait_until(lambda: aws.endpoint(self.endpoint)["EndpointStatus"] == "InService")
        wait_until(lambda: answers(aws, self.endpoint))


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
