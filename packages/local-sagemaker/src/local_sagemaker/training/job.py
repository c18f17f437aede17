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
from pathlib import Path

from local_sagemaker.aws.cloudwatch import TRAINING_METRICS
from local_sagemaker.aws.printed_metrics import PrintedMetrics, numbers
from local_sagemaker.aws.s3.downloads import DownloadError
from local_sagemaker.aws.s3.service import split
from local_sagemaker.aws.services import Services
from local_sagemaker.core import state_files
from local_sagemaker.core.errors import failure_reason
from local_sagemaker.core.kinds import TRAINING_JOB, TRAINING_LOGS
from local_sagemaker.core.store import is_disk_full
from local_sagemaker.runtime import container, isolation, requirements
from local_sagemaker.runtime.output import Log
from local_sagemaker.training import (
    channels,
    cluster,
    configuration,
    end_markers,
    machine_metrics,
    outputs,
)
from local_sagemaker.training.instance import Instance
from local_sagemaker.training.mirroring import Mirroring, mirrors
from local_sagemaker.training.outputs import Outputs, left_out
from local_sagemaker.training.profiling import sampling
from local_sagemaker.training.slots import Slots
from local_sagemaker.training.statuses import transition

log = logging.getLogger(__name__)


class JobFailed(Exception):
    """The job ends as Failed; the text is its FailureReason."""


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
        self.image = description["AlgorithmSpecification"]["TrainingImage"]
        self.folder = services.store.folder / state_files.JOBS / self.name
        self._launch(description["CreationTime"])
        self.stopping = threading.Event()
        self.over = "Stopped"  # the secondary status with which it ends once it is stopping
        self.reclaimable, self.ran_s = False, 0.0
        self.absence_s: float | None = None  # of instances, after those that were reclaimed
        definitions = description["AlgorithmSpecification"].get("MetricDefinitions", [])
        self.printed = PrintedMetrics(definitions)
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def _launch(self, moment: float) -> None:
        """Make instances with nothing on them: for the start, and after each interruption."""
        job, self.launched = self.description, int(moment)
        self._logs: dict[str, Log] = {}
        hosts, views = cluster.hosts(job["ResourceConfig"]), channels.views(job)
        self.instances = [Instance(self.folder / host.name, host, hosts, views) for host in hosts]
        self.mirrorings = [
            Mirroring(self.services.s3, each.tree, mirrors(job, each.tree), each.scratch)
            for each in self.instances
        ]

    def stop(self) -> None:
        """SIGTERM now, SIGKILL after the grace time."""
        self.stopping.set()
        for instance in self.instances:
            instance.stop()

    def reclaim(self, notice_s: float, absence_s: float) -> None:
        """Take the instances away after `notice_s`; there are others `absence_s` later."""
        self.absence_s = absence_s
        for instance in self.instances:
            instance.stop(notice_s)

    def abort(self) -> None:
        self.stopping.set()
        for instance in self.instances:
            instance.kill()

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
        for instance in self.instances:
            instance.kill()
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
        reason = self._reason(code, instance) if failed else ""
        self._next("Uploading")
        if failed:
            with contextlib.suppress(JobFailed):  # the command's failure is the one to tell
                self._upload(with_model=False)
            raise JobFailed(reason)
        uploaded = self._upload(with_model=True)
        self._end(self.over if self.stopping.is_set() else "Completed", **uploaded)

    def _use_instances(self, **changes) -> tuple[int, Instance] | None:
        """Run on the instances to the end, as `_execute`; None if it was stopped before."""
        if not self.stopping.is_set():
            self._next("Downloading", **changes)
            self._make_folders()
            self._download()
            self._next("Training")
            self.reclaimable = True
        return None if self.stopping.is_set() else self._execute()

    def _is_reclaimed(self) -> bool:
        with self.services.store.lock:  # from here on nobody can reclaim them
            self.reclaimable = False
            return self.absence_s is not None and not self.stopping.is_set()

    def _interrupt(self) -> None:
        """The instances are gone, and what is not on S3 with them; wait for others."""
        if not any(instance.killed for instance in self.instances):  # there was time to store all
            for mirroring in self.mirrorings:
                mirroring.finish()
        self._next("Interrupted")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.stopping.wait(self.absence_s)
        self.absence_s = None
        with self.services.store.lock:  # who stops the job stops either these or those
            self._launch(max(self.launched + 1, time.time()))
        self._next("Starting")

    def _make_folders(self) -> None:
        names = ("input/config", "input/data", "model", "output/data", "code", "checkpoints")
        for instance in self.instances:
            for name in names:
                (instance.ml / name).mkdir(parents=True, exist_ok=True)
            configuration.write_configuration(
                instance.ml, self.description, instance.host, instance.hosts
            )

    def _download(self) -> None:
        self._find_buckets()
        end_markers.remove(self.services.s3, self.description)
        try:
            data = [each.ml / "input/data" for each in self.instances]
            channels.fetch_all(self.services.s3, self.description, data)
            for mirroring in self.mirrorings:
                mirroring.restore()
        except DownloadError as error:
            raise JobFailed(str(error)) from None
        for instance in self.instances:
            requirements.adopt_driver(instance.ml)
            if not isolation.isolation().real_opt_ml:
                configuration.relocate_drivers(instance.ml)

    def _find_buckets(self) -> None:
        """Fail now rather than after the training if there is no place for its results."""
        for member, uri in outputs.places(self.description).items():
            bucket = split(uri)[0]
            if not self.services.s3.has_bucket(bucket):
                raise JobFailed(f"ClientError: the bucket '{bucket}' of {member} does not exist")

    # The container

    def _execute(self) -> tuple[int, Instance]:
        """Run the container's command on all instances to its end.

        Returns:
            The exit code and the instance that failed first; 0 and the first if none did.
        """
        limit = self.description["StoppingCondition"].get("MaxRuntimeInSeconds", 86400)
        timer = self._timer(max(0, limit - self.ran_s), "MaxRuntimeExceeded")
        began = time.monotonic()
        for instance in self.instances:
            self._log(instance).write([container.banner(self.image)])
        hosts = [f"{self.name}/{instance.host.name}" for instance in self.instances]
        watching = machine_metrics.watching(self.services.cloudwatch, hosts, self.folder)
        try:
            with contextlib.ExitStack() as looking:
                for mirroring in self.mirrorings:
                    looking.enter_context(mirroring.running())
                looking.enter_context(watching)
                return cluster.run_together(self.instances, self._run_on)
        finally:
            timer.cancel()
            self.ran_s += time.monotonic() - began

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

    def _run_on(self, instance: Instance) -> int:
        command = configuration.command(self.description, instance.ml)
        kept = container.kept(instance.scratch, self._environments)
        instance.start(command, self._environment(instance), kept)
        log_stream = self._log(instance)
        with sampling(self.description, instance, lambda line: log_stream.write([line])):
            for lines in instance.lines():
                log_stream.write(lines)
                self._take_metrics(lines)
            log_stream.flush()
            return instance.process.wait()

    @property
    def _environments(self) -> Path:
        return self.services.store.folder / state_files.ENVIRONMENTS

    def _environment(self, instance: Instance) -> dict[str, str]:
        together = min(max(self.parallel, self.slots.used), self.slots.count)
        threads = max(1, (os.cpu_count() or 1) // (together * len(self.instances)))
        return {
            **container.environment(
                self.services.url,
                self.services.store.access_key,
                instance.scratch,
                instance.ml,
                self.image,
                self._environments,
            ),
            **configuration.variables(self.description, threads),
        }

    def _log(self, instance: Instance) -> Log:
        """The log stream of one of the job's instances."""
        if instance.host.name not in self._logs:
            stream = f"{self.name}/{instance.host.name}-{self.launched}"
            self._logs[instance.host.name] = self.services.cloudwatch.log(TRAINING_LOGS, stream)
        return self._logs[instance.host.name]

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

    def _reason(self, code: int, instance: Instance) -> str:
        of = f" of {instance.host.name}" if len(self.instances) > 1 else ""
        return outputs.algorithm_error(code, instance.tree, instance.tail, of)

    # Results

    def _upload(self, with_model: bool) -> dict:
        """Store what the job left, in AWS's layout; return the description's new members."""
        first, trees = self.instances[0], [each.tree for each in self.instances]
        results = Outputs(self.services.s3, self.description, trees, first.scratch)
        try:
            for mirroring in self.mirrorings:  # first: a next job may need its checkpoints
                mirroring.finish()
            changes = results.store_model() if with_model else {}
            results.store_data()
        except Exception as error:
            raise JobFailed(f"ClientError: Artifact upload failed: {error}") from error
        if results.left_out:
            self._log(first).write([left_out(results.left_out)])
        return changes
