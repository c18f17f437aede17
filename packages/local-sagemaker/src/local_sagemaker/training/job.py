"""One training job: its walk from Starting to its end."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
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

OWN_LENGTH = 600  # characters of it that the script's own words may take


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
        hosts, views = cluster.hosts(description["ResourceConfig"]), channels.views(description)
        self.instances = [Instance(self.folder / host.name, host, hosts, views) for host in hosts]
        self.mirrorings = [
            Mirroring(services.s3, each.tree, mirrors(description, each.tree), each.scratch)
            for each in self.instances
        ]
        self.stopping = threading.Event()
        self.timed_out = False
        self._logs: dict[str, Log] = {}
        definitions = description["AlgorithmSpecification"].get("MetricDefinitions", [])
        self.printed = PrintedMetrics(definitions)
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def stop(self) -> None:
        """SIGTERM now, SIGKILL after the grace time."""
        self.stopping.set()
        for instance in self.instances:
            instance.stop()

    def abort(self) -> None:
        self.stopping.set()
        for instance in self.instances:
            instance.kill()

    def _run(self) -> None:
        try:
            if self.slots.acquire(self.stopping):
                try:
                    self._walk()
                finally:
                    self.slots.release()
            else:
                self._end("Stopped")
        except JobFailed as failure:
            self._fail(str(failure))
        except Exception as error:
            log.exception("training job %s", self.name)
            self._fail(f"InternalServerError: {type(error).__name__}: {error}")
        finally:
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
        self._next("Downloading", TrainingStartTime=time.time())
        self._make_folders()
        self._download()
        self._next("Training")
        if self.stopping.is_set():
            self._end("Stopped")
            return
        code, instance = self._execute()
        failed = code != 0 and not self.stopping.is_set()
        reason = self._reason(code, instance) if failed else None
        self._next("Uploading")
        if failed:
            with contextlib.suppress(JobFailed):  # the command's failure is the one to tell
                self._upload(with_model=False)
            raise JobFailed(reason)
        uploaded = self._upload(with_model=True)
        end = "Stopped" if self.stopping.is_set() else "Completed"
        self._end("MaxRuntimeExceeded" if self.timed_out else end, **uploaded)

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
            for channel in self.description.get("InputDataConfig", []):
                self._fetch(channel)
            for mirroring in self.mirrorings:
                mirroring.restore()
        except DownloadError as error:
            raise JobFailed(str(error)) from None
        for instance in self.instances:
            requirements.adopt_driver(instance.ml)
            if not isolation.isolation().real_opt_ml:
                configuration.relocate_drivers(instance.ml)

    def _fetch(self, channel: dict) -> None:
        hosts = len(self.instances)
        for number, each in enumerate(self.instances):
            data = each.ml / "input/data"
            channels.fetch(self.services.s3, self.description, channel, data, number, hosts)

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
        timer = threading.Timer(limit, self._time_out)
        timer.daemon = True
        timer.start()
        for instance in self.instances:
            self._log(instance).write([container.banner(self.image)])
        try:
            with contextlib.ExitStack() as looking:
                for mirroring in self.mirrorings:
                    looking.enter_context(mirroring.running())
                looking.enter_context(self._watching())
                return cluster.run_together(self.instances, self._run_on)
        finally:
            timer.cancel()

    def _watching(self) -> AbstractContextManager:
        hosts = [f"{self.name}/{instance.host.name}" for instance in self.instances]
        return machine_metrics.watching(self.services.cloudwatch, hosts, self.folder)

    def _time_out(self) -> None:
        with self.services.store.lock:  # it may just have been stopped
            if not self.stopping.is_set():
                self.timed_out = True
                self._next("Stopping", TrainingJobStatus="Stopping")
                self.stop()

    def _run_on(self, instance: Instance) -> int:
        kept = container.kept(instance.scratch, self._environments)
        instance.start(self._command(instance), self._environment(instance), kept)
        log_stream = self._log(instance)
        with sampling(self.description, instance, lambda line: log_stream.write([line])):
            for lines in instance.lines():
                log_stream.write(lines)
                self._take_metrics(lines)
            log_stream.flush()
            return instance.process.wait()

    def _command(self, instance: Instance) -> list[str]:
        algorithm = self.description["AlgorithmSpecification"]
        if entrypoint := algorithm.get("ContainerEntrypoint"):
            words = [*entrypoint, *algorithm.get("ContainerArguments", [])]
            return [container.inside(instance.ml, word) for word in words]
        return ["python", "-m", "local_sagemaker.runtime.inside.train"]

    @property
    def _environments(self) -> Path:
        return self.services.store.folder / state_files.ENVIRONMENTS

    def _environment(self, instance: Instance) -> dict[str, str]:
        job, shared = self.description, self._environments
        together = min(max(self.parallel, self.slots.used), self.slots.count)
        threads = max(1, (os.cpu_count() or 1) // (together * len(self.instances)))
        return {
            **container.environment(
                self.services.url,
                self.services.store.access_key,
                instance.scratch,
                instance.ml,
                self.image,
                shared,
            ),
            "SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main",
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": job["TrainingJobArn"],
            "OMP_NUM_THREADS": str(threads),
            **job.get("Environment", {}),
        }

    def _log(self, instance: Instance) -> Log:
        """The log stream of one of the job's instances."""
        if instance.host.name not in self._logs:
            created = int(self.description["CreationTime"])
            stream = f"{self.name}/{instance.host.name}-{created}"
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
        """Exit code, the script's own words if it left any, and the end of the log."""
        own = outputs.failure(instance.tree)
        if not own or "see CloudWatch logs" in own:  # the SDK driver's own text
            own = "the container's command failed"
        own = own[:OWN_LENGTH]
        lines = [line for line in instance.tail if line.strip() and not re.match(r"\++ ", line)]
        of = f" of {instance.host.name}" if len(self.instances) > 1 else ""
        head = f"AlgorithmError: {own}, exit code: {code}. Last lines of the log{of}:\n"
        return failure_reason(head, lines)

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
