"""One training job: its walk from Starting to its end."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable

from local_sagemaker.aws.cloudwatch import TRAINING_METRICS
from local_sagemaker.aws.printed_metrics import PrintedMetrics, numbers
from local_sagemaker.aws.services import Services
from local_sagemaker.core import state_files
from local_sagemaker.core.errors import failure_reason
from local_sagemaker.core.kinds import TRAINING_JOB
from local_sagemaker.core.store import is_disk_full
from local_sagemaker.training.data import end_markers
from local_sagemaker.training.instance import Instance
from local_sagemaker.training.launch import JobFailed, Launch
from local_sagemaker.training.slots import Slots
from local_sagemaker.training.statuses import transition

log = logging.getLogger(__name__)


class TrainingJob:
    """One job on its way; runs in a thread of its own."""

    def __init__(
        self,
        services: Services,
        description: dict,
        slots: Slots,
        parallel: int,
        closing: threading.Event,
        on_end: Callable[[TrainingJob], None],
    ) -> None:
        """A job that waits for one of `slots`.

        Args:
            parallel: how many jobs its tuning job runs at a time.
            closing: set when the engine ends; the next start tells then what happened.
            on_end: called when the job has ended and its folder is removed.
        """
        self.services, self.description, self.slots = services, description, slots
        self.parallel, self._closing, self._on_end = parallel, closing, on_end
        self.name = description["TrainingJobName"]
        self.folder = services.store.folder / state_files.JOBS / self.name
        self.launch = self._launched(description["CreationTime"])
        self.stopping = threading.Event()
        self.over = "Stopped"  # the secondary status with which it ends once it is stopping
        self.reclaimable, self.ran_s = False, 0.0
        self.absence_s: float | None = None  # of instances, after those that were reclaimed
        definitions = description["AlgorithmSpecification"].get("MetricDefinitions", [])
        self.printed = PrintedMetrics(definitions)
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def _launched(self, moment: float) -> Launch:
        """Instances with nothing on them: for the start, and after each interruption."""
        return Launch(self.services, self.description, self.folder, moment)

    def stop(self) -> None:
        """SIGTERM now, SIGKILL after the grace time."""
        self.stopping.set()
        self.launch.stop()

    def reclaim(self, notice_s: float, absence_s: float) -> None:
        """Take the instances away after `notice_s`; there are others `absence_s` later."""
        self.absence_s = absence_s
        self.launch.stop(notice_s)

    def abort(self) -> None:
        self.stopping.set()
        self.launch.kill()

    def _run(self) -> None:
        wait = self.description["StoppingCondition"].get("MaxWaitTimeInSeconds")
        self.patience = self._timer(wait, "MaxWaitTimeExceeded")
        try:
            if self.slots.acquire(self.stopping):
                try:
                    self._walk()
                finally:
                    self.slots.release()
            else:
                self._end(self.over)
        except JobFailed as failure:
            self._fail(str(failure))
        except Exception as error:
            log.exception("training job %s", self.name)
            self._fail(f"InternalServerError: {type(error).__name__}: {error}")
        finally:
            self.patience.cancel()
            shutil.rmtree(self.folder, ignore_errors=True)
            self._on_end(self)

    def _fail(self, reason: str) -> None:
        self.launch.kill()
        self._end("Failed", FailureReason=failure_reason(reason))

    def _end(self, status: str, **changes) -> None:
        """Record the end; on a full disk that may wait until there is room to write it down."""
        shutil.rmtree(self.folder, ignore_errors=True)
        while True:
            try:
                if not self._closing.is_set():
                    end_markers.put(self.services.s3, self.description)
                return self._record(status, **changes)
            except (OSError, sqlite3.OperationalError) as error:
                if not is_disk_full(error):
                    raise
            time.sleep(1)

    def _record(self, status: str, **changes) -> None:
        if not self._closing.is_set():  # else the next start tells what happened
            # There may have been no room for the last of the metrics.
            changes.update(self.printed.members())
            transition(self.services.store, self.name, status, **changes)

    def _next(self, status: str, **changes) -> None:
        with self.services.store.lock:  # after Stopping come only Uploading and the end
            if status == "Uploading" or not self.stopping.is_set():
                self._record(status, **changes)

    def _walk(self) -> None:
        ended = self._use_instances(TrainingStartTime=time.time())
        while self._is_reclaimed():
            self._interrupt()
            ended = self._use_instances()
        self.patience.cancel()
        if ended is None:
            return self._end(self.over)
        code, instance = ended
        failed = code != 0 and not self.stopping.is_set()
        reason = self.launch.reason(code, instance) if failed else ""
        self._next("Uploading")
        if failed:
            with contextlib.suppress(JobFailed):  # the command's failure is the one to tell
                self.launch.store_results(with_model=False)
            raise JobFailed(reason)
        uploaded = self.launch.store_results(with_model=True)
        self._end(self.over if self.stopping.is_set() else "Completed", **uploaded)

    def _use_instances(self, **changes) -> tuple[int, Instance] | None:
        """Run on the instances to the end, as `_execute`; None if it was stopped before."""
        if not self.stopping.is_set():
            self._next("Downloading", **changes)
            self.launch.prepare()
            self._next("Training")
            self.reclaimable = True
        return None if self.stopping.is_set() else self._execute()

    def _is_reclaimed(self) -> bool:
        with self.services.store.lock:  # from here on nobody can reclaim them
            self.reclaimable = False
            return self.absence_s is not None and not self.stopping.is_set()

    def _interrupt(self) -> None:
        """The instances are gone, and what is not on S3 with them; wait for others."""
        if not self.launch.killed:  # there was time to store all
            self.launch.store_mirrored()
        self._next("Interrupted")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.stopping.wait(self.absence_s)
        self.absence_s = None
        with self.services.store.lock:  # who stops the job stops either these or those
            self.launch = self._launched(max(self.launch.moment + 1, time.time()))
        self._next("Starting")

    def _execute(self) -> tuple[int, Instance]:
        """Run the command within the time that is left; as `Launch.run`."""
        limit = self.description["StoppingCondition"].get("MaxRuntimeInSeconds", 86400)
        timer = self._timer(max(0, limit - self.ran_s), "MaxRuntimeExceeded")
        began = time.monotonic()
        try:
            return self.launch.run(self._threads(), self._take_metrics)
        finally:
            timer.cancel()
            self.ran_s += time.monotonic() - began

    def _threads(self) -> int:
        """How many threads each instance may use beside the other jobs that run."""
        together = min(max(self.parallel, self.slots.used), self.slots.count)
        return max(1, (os.cpu_count() or 1) // (together * len(self.launch.instances)))

    def _timer(self, seconds: float | None, over: str) -> threading.Timer:
        """Stop the job after so many seconds, to end with the secondary status `over`."""
        timer = threading.Timer(seconds or 0, self._time_out, [over])
        timer.daemon = True
        if seconds is not None:
            timer.start()
        return timer

    def _time_out(self, over: str) -> None:
        with self.services.store.lock:  # it may just have been stopped
            if not self.stopping.is_set():
                self.over = over
                self._next("Stopping", TrainingJobStatus="Stopping")
                self.stop()

    def _take_metrics(self, lines: list[str]) -> None:
        """Record the metrics that lines of output hold."""
        try:
            self._record_metrics(self.printed.found(lines), time.time())
        except Exception:  # the job goes on, whatever it prints and wherever that can be stored
            log.warning("metrics of %s are lost", self.name, exc_info=True)

    def _record_metrics(self, found: list[tuple[str, str | None]], now: float) -> None:
        with self.services.store.lock:  # other instances print metrics too
            if self.printed.keep(found, now):
                members = self.printed.members()
                self.services.store.update(TRAINING_JOB.stored, self.name, **members)
        if values := [(name, value, "None") for name, value in numbers(found)]:
            dimensions = {"TrainingJobName": self.name}
            self.services.cloudwatch.put_metrics(TRAINING_METRICS, dimensions, values, now)
