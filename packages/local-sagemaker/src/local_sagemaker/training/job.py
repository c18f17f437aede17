"""One training job: its walk from Starting to its end."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from local_sagemaker.aws.cloudwatch import TRAINING_LOGS, TRAINING_METRICS, as_number, captures
from local_sagemaker.aws.s3.downloads import DownloadError
from local_sagemaker.aws.s3.service import split
from local_sagemaker.core import state_files
from local_sagemaker.core.store import is_disk_full
from local_sagemaker.runtime import container, isolation, log_text, requirements
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
from local_sagemaker.training.statuses import KIND, UNREAD, transition

if TYPE_CHECKING:
    from local_sagemaker.training.operations import TrainingJobs

log = logging.getLogger(__name__)

TAIL_LENGTH = 4096  # characters of a line that a FailureReason may need


class JobFailed(Exception):
    """The job ends as Failed; the text is its FailureReason."""


class TrainingJob:
    """One job on its way; runs in a thread of its own."""

    def __init__(self, jobs: TrainingJobs, description: dict, parallel: int) -> None:
        self.jobs, self.description, self.parallel = jobs, description, parallel
        self.name = description["TrainingJobName"]
        self.image = description["AlgorithmSpecification"]["TrainingImage"]
        self.folder = jobs.folder / self.name
        self._launch(description["CreationTime"])
        self.stopping = threading.Event()
        self.over = "Stopped"  # the secondary status with which it ends once it is stopping
        self.reclaimable, self.ran_s = False, 0.0
        self.absence_s: float | None = None  # of instances, after those that were reclaimed
        self.final: dict[str, dict] = {}
        self.unread: dict[str, str | None] = {}
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def _launch(self, moment: float) -> None:
        """Make instances with nothing on them: for the start, and after each interruption."""
        job, self.launched = self.description, int(moment)
        hosts, views = cluster.hosts(job["ResourceConfig"]), channels.views(job)
        self.instances = [
            Instance(self.folder / host.name, host, hosts, self._publish, views) for host in hosts
        ]
        self.mirrorings = [
            Mirroring(self.jobs.s3, each.tree, mirrors(job, each.tree), each.scratch)
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
            if self.jobs.slots.acquire(self.stopping):
                try:
                    self._walk()
                finally:
                    self.jobs.slots.release()
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
            self.jobs.rules.job_ended(self.name)
            if self.jobs.running.get(self.name) is self:
                del self.jobs.running[self.name]

    def _fail(self, reason: str) -> None:
        for instance in self.instances:
            instance.kill()
        self._end("Failed", FailureReason=reason[: outputs.REASON_LENGTH])

    def _end(self, status: str, **changes) -> None:
        """Record the end; on a full disk that may wait until there is room to write it down."""
        shutil.rmtree(self.folder, ignore_errors=True)
        while True:
            try:
                if not self.jobs.closing:
                    end_markers.put(self.jobs.s3, self.description)
                return self._record(status, **changes)
            except (OSError, sqlite3.OperationalError) as error:
                if not is_disk_full(error):
                    raise
            time.sleep(1)

    def _record(self, status: str, **changes) -> None:
        if not self.jobs.closing:  # else the next start tells what happened
            changes.update(self._printed())  # there may have been no room for the last of them
            transition(self.jobs.store, self.name, status, **changes)

    def _next(self, status: str, **changes) -> None:
        with self.jobs.store.lock:  # after Stopping come only Uploading and the end
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
        with self.jobs.store.lock:  # from here on nobody can reclaim them
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
        with self.jobs.store.lock:  # who stops the job stops either these or those
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
        end_markers.remove(self.jobs.s3, self.description)
        try:
            data = [each.ml / "input/data" for each in self.instances]
            channels.fetch_all(self.jobs.s3, self.description, data)
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
            if not self.jobs.s3.has_bucket(bucket):
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
            self._log(instance, [container.banner(self.image)], time.time())
        hosts = [f"{self.name}/{instance.host.name}" for instance in self.instances]
        watching = machine_metrics.watching(self.jobs.cloudwatch, hosts, self.folder)
        try:
            with contextlib.ExitStack() as looking:
                for mirroring in self.mirrorings:
                    looking.enter_context(mirroring.running())
                looking.enter_context(watching)
                return cluster.run_together(self.instances, self._run_on)
        finally:
            timer.cancel()
            self.ran_s += time.monotonic() - began

    def _sampling(self, instance: Instance) -> AbstractContextManager:
        def tell(line: str) -> None:
            self._log(instance, [line], time.time())

        return sampling(self.description, instance, tell)

    def _timer(self, seconds: float | None, over: str) -> threading.Timer:
        """Stop the job after so many seconds, to end with the secondary status `over`."""
        timer = threading.Timer(seconds or 0, self._time_out, [over])
        timer.daemon = True
        if seconds is not None:
            timer.start()
        return timer

    def _time_out(self, over: str) -> None:
        with self.jobs.store.lock:  # it may just have been stopped
            if not self.stopping.is_set():
                self.over = over
                self._next("Stopping", TrainingJobStatus="Stopping")
                self.stop()

    def _run_on(self, instance: Instance) -> int:
        command = configuration.command(self.description, instance.ml)
        kept = container.kept(instance.scratch, self._environments)
        return instance.run(command, self._environment(instance), kept, self._sampling)

    @property
    def _environments(self) -> Path:
        return self.jobs.store.folder / state_files.ENVIRONMENTS

    def _environment(self, instance: Instance) -> dict[str, str]:
        shared = self._environments
        together = min(max(self.parallel, self.jobs.slots.used), self.jobs.slots.count)
        threads = max(1, (os.cpu_count() or 1) // (together * len(self.instances)))
        return {
            **container.environment(
                self.jobs.url,
                self.jobs.store.access_key,
                instance.scratch,
                instance.ml,
                self.image,
                shared,
            ),
            **configuration.variables(self.description, threads),
        }

    def _publish(self, instance: Instance, raw: list[bytes]) -> None:
        """Send lines of output to CloudWatch, and look for metrics in them."""
        now = time.time()
        texts = [text for text in map(log_text.decoded, raw) if text]
        instance.tail.extend(text[-TAIL_LENGTH:] for text in texts)
        try:
            if texts:
                self._log(instance, texts, now)
        finally:  # a log that cannot be written costs no final metric
            try:
                self._scrape(texts, now)
            except sqlite3.OperationalError:
                log.warning("metrics of %s are lost", self.name, exc_info=True)

    def _log(self, instance: Instance, texts: list[str], now: float) -> None:
        stream = f"{self.name}/{instance.host.name}-{self.launched}"
        events = [(int(now * 1000), text) for text in texts]
        self.jobs.cloudwatch.put_log_events(TRAINING_LOGS, stream, events)

    def _scrape(self, texts: list[str], now: float) -> None:
        """Record the metrics of these lines; a metric's final value is the one printed last."""
        definitions = self.description["AlgorithmSpecification"].get("MetricDefinitions", [])
        captured = [item for text in texts for item in captures(text, definitions).items()]
        found = [(name, value) for name, text in captured if (value := as_number(text)) is not None]
        unread = {name: text for name, text in captured if as_number(text) is None}
        with self.jobs.store.lock:  # other instances print metrics too
            if not found and not unread.keys() - self.unread.keys():
                return
            for name, value in found:
                self.final[name] = {"MetricName": name, "Value": value, "Timestamp": now}
            self.unread = {**unread, **self.unread}  # what was captured first is kept
            self.jobs.store.update(KIND, self.name, **self._printed())
        if found:
            values = [(name, value, "None") for name, value in found]
            self.jobs.cloudwatch.put_metrics(
                TRAINING_METRICS, {"TrainingJobName": self.name}, values, now
            )

    def _printed(self) -> dict:
        """What the description has of metrics: final values, and captures that are no number."""
        members = {"FinalMetricDataList": list(self.final.values()), UNREAD: self.unread}
        return {name: value for name, value in members.items() if value}

    def _reason(self, code: int, instance: Instance) -> str:
        of = f" of {instance.host.name}" if len(self.instances) > 1 else ""
        return outputs.failure_reason(code, instance.tree, instance.tail, of)

    # Results

    def _upload(self, with_model: bool) -> dict:
        """Store what the job left, in AWS's layout; return the description's new members."""
        first, trees = self.instances[0], [each.tree for each in self.instances]
        results = Outputs(self.jobs.s3, self.description, trees, first.scratch)
        try:
            for mirroring in self.mirrorings:  # first: a next job may need its checkpoints
                mirroring.finish()
            changes = results.store_model() if with_model else {}
            results.store_data()
        except Exception as error:
            raise JobFailed(f"ClientError: Artifact upload failed: {error}") from error
        if results.left_out:
            self._log(first, [left_out(results.left_out)], time.time())
        return changes
