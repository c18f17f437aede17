"""The Debugger rules of training jobs: a process for each kind, and the statuses it tells.

An evaluator (`open_debugger.beside_job.tensors` or `.profiler`) reads what the job leaves in S3,
like any client, while the job runs. It starts when there is something to read; a job that leaves
nothing costs no process. It ends after its job, which does not wait for it, and its processes
cannot outlive the engine.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from local_sagemaker.aws.s3.service import split
from local_sagemaker.aws.services import Services
from local_sagemaker.client.environment import aws_variables
from local_sagemaker.core import state_files
from local_sagemaker.core.kinds import TRAINING_JOB
from local_sagemaker.core.store import is_disk_full
from local_sagemaker.runtime import isolation
from local_sagemaker.training.data import end_markers
from local_sagemaker.training.rules import results as rule_results
from local_sagemaker.training.rules import statuses as rule_statuses
from local_sagemaker.training.rules.kinds import KINDS, RuleKind
from local_sagemaker.training.statuses import described

log = logging.getLogger(__name__)

LOOK_S = 1.0  # between two looks for the first object
LIMIT_S = 3600  # that an evaluator may take after its job has ended
TAIL = 600  # characters of what an evaluator said last
HANDED_ON = ("TZ", "LD_LIBRARY_PATH")
STOPPED = "InternalServerError: the local engine stopped while the rule was being evaluated"


class RuleEvaluations:
    """The evaluations of one engine's jobs."""

    def __init__(self, services: Services) -> None:
        self.services, self.store = services, services.store
        self.running: dict[tuple[str, RuleKind], RuleEvaluation] = {}

    def restore(self) -> None:
        """Rules that were being evaluated when the engine ended are in Error."""
        shutil.rmtree(self.store.folder / state_files.RULES, ignore_errors=True)
        for job, kind in itertools.product(self.store.all(TRAINING_JOB.stored), KINDS):
            for rule in rule_statuses.in_progress(job, kind):
                name = job["TrainingJobName"]
                rule_statuses.record(self.store, kind, name, rule, "Error", STOPPED)

    def busy(self) -> bool:
        return bool(self.running)

    def begin(self, job: dict) -> None:
        """Evaluate the rules of a job that is about to start."""
        for kind in KINDS:
            if rule_statuses.in_progress(job, kind):
                evaluation = RuleEvaluation(self.services, job, kind, self._forget)
                self.running[evaluation.name, kind] = evaluation
                evaluation.thread.start()

    def _forget(self, evaluation: RuleEvaluation) -> None:
        """An evaluation has ended."""
        key = evaluation.name, evaluation.kind
        if self.running.get(key) is evaluation:  # not a new one of the same name
            del self.running[key]

    def job_ended(self, name: str) -> None:
        """All that a job saved is stored: its evaluations come to their end."""
        for evaluation in self._of(name):
            evaluation.finish()

    def drop(self, name: str) -> None:
        """End the evaluations of a job at once; nothing more is told of its rules."""
        evaluations = self._of(name)
        _end(evaluations)
        for evaluation in evaluations:  # a folder of the same name may be made next
            evaluation.thread.join()

    def close(self) -> None:
        """End all evaluations; the next start tells what happened."""
        _end(list(self.running.values()))

    def _of(self, name: str) -> list[RuleEvaluation]:
        found = [self.running.get((name, kind)) for kind in KINDS]
        return [evaluation for evaluation in found if evaluation]


def _end(evaluations: list[RuleEvaluation]) -> None:
    for evaluation in evaluations:
        evaluation.abort()
    for evaluation in evaluations:
        evaluation.thread.join(timeout=10)


class RuleEvaluation:
    """The rules of one job and kind on their way; runs in a thread of its own."""

    def __init__(
        self,
        services: Services,
        job: dict,
        kind: RuleKind,
        on_end: Callable[[RuleEvaluation], None],
    ) -> None:
        """The evaluation of a job that is about to start; `on_end` is called when it has ended."""
        self.services, self._on_end = services, on_end
        self.job, self.name = job, job["TrainingJobName"]
        self.kind, self.source = kind, kind.source(job)
        self.folder = services.store.folder / state_files.RULES / kind.statuses / self.name
        self.results, self.scratch = self.folder / "results", self.folder / "scratch"
        names = rule_statuses.in_progress(job, kind)
        self.rules = {
            rule["RuleConfigurationName"]: rule
            for rule in job[kind.configurations]
            if rule["RuleConfigurationName"] in names
        }
        self.process: subprocess.Popen | None = None
        self.ended, self.aborted = threading.Event(), threading.Event()
        self._changing = threading.Lock()  # of the process and the events together
        self._told: dict[str, str] = {}  # each rule's last status
        self._said: deque[str] = deque(maxlen=20)  # on the standard output, and no status
        self._timer = threading.Timer(LIMIT_S, self._time_out)
        self._timer.daemon = True
        self.timed_out = False
        self.thread = threading.Thread(target=self._run, name=f"rules {self.name}", daemon=True)

    def finish(self) -> None:
        """Let the evaluator look a last time."""
        with self._changing:
            self.ended.set()
            if self.process:
                self._close_input()

    def abort(self) -> None:
        with self._changing:
            self.aborted.set()
            self.ended.set()
            if self.process:
                isolation.kill(self.process)

    def _run(self) -> None:
        try:
            if self._await_source():
                self._evaluate()
            elif not self.aborted.is_set():
                self._end_others(self.kind.nothing.format(self.source))
        except Exception as error:
            log.exception("rules of the training job %s", self.name)
            self._end_others(f"InternalServerError: {type(error).__name__}: {error}")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            self._on_end(self)

    def _await_source(self) -> bool:
        """Wait until there is something to read; False if the job ends and there is nothing."""
        bucket, prefix = split(f"{self.source}/")
        while not (found := self._is_there(bucket, prefix)) and not self.ended.wait(LOOK_S):
            continue
        if found:
            self.ended.wait(self.kind.delay_s)
        return (found or self._is_there(bucket, prefix)) and not self.aborted.is_set()

    def _is_there(self, bucket: str, prefix: str) -> bool:
        with self.services.s3.lock:
            found = self.services.s3.backend.buckets.get(bucket)
            keys = [key for key in found.keys if key.startswith(prefix)] if found else []
            return not all(key.endswith(f"/{end_markers.NAME}") for key in keys)

    # The process

    def _evaluate(self) -> None:
        """Run the evaluator to its end, and record what it tells."""
        with contextlib.ExitStack() as opened:
            self.scratch.mkdir(parents=True)
            errors = opened.enter_context((self.scratch / "errors").open("w+b"))
            if not self._start(errors):
                return
            for line in opened.enter_context(self.process.stdout):
                self._take(line)
            code = self.process.wait()
            with self._changing:
                self._timer.cancel()
                self.process.stdin.close()
            if not self.aborted.is_set():
                self._end(code, errors)

    def _start(self, errors) -> bool:
        """Start the evaluator, unless it is no longer wanted."""
        self.results.mkdir()
        rules = self.folder / "rules.json"
        rules.write_text(json.dumps(list(self.rules.values())))
        (ml := self.folder / "ml").mkdir()
        command = [sys.executable, "-m", self.kind.evaluator, self.source, str(rules)]
        command += [str(self.results), *(("--job", str(self._job)) if self.kind.takes_job else ())]
        with self._changing:
            if self.aborted.is_set():
                return False
            self._describe()
            self.process = isolation.start(
                ml, self.scratch, command, self._environment(), str(self.folder), errors=errors
            )
            if self.ended.is_set():
                self._close_input()
        return True

    def _environment(self) -> dict[str, str]:
        """The machine's settings and the engine's key; nothing else of the caller's."""
        for name in ("home", "tmp"):
            (self.scratch / name).mkdir()
        return {
            **{name: os.environ[name] for name in HANDED_ON if name in os.environ},
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.scratch / "home"),
            "TMPDIR": str(self.scratch / "tmp"),  # a copy of the tensors goes with the rest
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            # The job is to have the machine.
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            **aws_variables(self.services.url, self.services.store.access_key),
        }

    @property
    def _job(self) -> Path:
        return self.folder / "job.json"

    def _describe(self) -> None:
        """Let the evaluator know what DescribeTrainingJob would say."""
        job, draft = (
            self.services.store.get(TRAINING_JOB.stored, self.name),
            self._job.with_suffix(".draft"),
        )
        if self.kind.takes_job and job:
            try:
                draft.write_text(json.dumps(described(job)))
                draft.replace(self._job)
            except OSError:  # it keeps what it knew
                log.warning("describing %s", self.name, exc_info=True)

    def _close_input(self) -> None:
        """Tell the evaluator that there will be no more; it has limited time from now on."""
        self._describe()
        self.process.stdin.close()
        self._timer.start()

    def _time_out(self) -> None:
        self.timed_out = True
        isolation.kill(self.process)

    # What it tells

    def _take(self, line: bytes) -> None:
        """Record a change of a rule's status; what the rule wrote by then is stored before."""
        text = line.decode("utf-8", "replace").rstrip()
        try:
            told = json.loads(text)
            rule, status = told["RuleConfigurationName"], told["RuleEvaluationStatus"]
        except (ValueError, TypeError, KeyError):
            self._said.append(text)
            return
        if rule in self.rules:
            details = told.get("StatusDetails")
            if status != "InProgress" or told.get("Results"):
                details = self._store_results(rule, details)
            self._told[rule] = status
            self._record(rule, status, details)

    def _end(self, code: int, errors) -> None:
        """The evaluator has ended: what has no verdict by now gets none."""
        if self.timed_out:
            why = f"The evaluation took more than {LIMIT_S} s after the training job's end"
        else:
            errors.seek(0)
            said = "\n".join([*self._said, errors.read().decode("utf-8", "replace")]).strip()
            why = f"InternalServerError: the evaluator ended with exit code {code}"
            why += f". Its last words: {said[-TAIL:]}" if said else ""
        self._end_others(why)

    def _end_others(self, why: str) -> None:
        """Put the rules that have no verdict in Error."""
        for rule in self.rules:
            if self._told.get(rule, "InProgress") == "InProgress":
                self._record(rule, "Error", why)

    def _record(self, rule: str, status: str, details: str | None) -> None:
        """Write a status down; on a full disk that may have to wait for room."""
        while not self.aborted.is_set():
            try:
                store = self.services.store
                return rule_statuses.record(store, self.kind, self.name, rule, status, details)
            except sqlite3.OperationalError as error:
                if not is_disk_full(error):
                    raise
            time.sleep(1)

    def _store_results(self, rule: str, details: str | None) -> str | None:
        """Store what a rule has written; return its details, with the reason if that failed."""
        place = rule_results.place(self.job, self.rules[rule])
        try:
            rule_results.store(self.services.s3, self.folder, self.results / rule, place)
        except Exception as error:  # the bucket may be gone; the verdict stands
            log.warning("storing %s", place, exc_info=True)
            return f"{details or ''} (the results could not be stored at {place}/: {error})".strip()
        return details
