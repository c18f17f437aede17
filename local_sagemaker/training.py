"""Training jobs: the operations, and the walk of one job from Starting to its end."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import shutil
import threading
import time
from collections import deque
from pathlib import Path

from local_sagemaker import ACCOUNT, REGION, container, isolation
from local_sagemaker.cloudwatch import TRAINING_LOGS, TRAINING_METRICS, CloudWatch, scrape
from local_sagemaker.listing import page
from local_sagemaker.s3 import S3, split
from local_sagemaker.store import Store
from local_sagemaker.validation import ApiError, invalid

log = logging.getLogger(__name__)

KIND = "training-job"
ENDED = {"Completed", "Failed", "Stopped"}
STOP_GRACE_S = 120  # between SIGTERM and SIGKILL, as on SageMaker
REASON_LENGTH = 1024  # FailureReason's limit in the API
LINE_LENGTH = 200_000  # characters; CloudWatch takes 256 KB an event
FLUSH_S = 0.25
MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Completed": "Training job completed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds",
    "Failed": "Training job failed",
    "Stopping": "Stopping the training job",
}


class JobFailed(Exception):
    """The job ends as Failed; the text is its FailureReason."""


class TrainingJobs:
    """All training jobs of one engine."""

    def __init__(self, store: Store, s3: S3, cloudwatch: CloudWatch, url: str) -> None:
        self.store, self.s3, self.cloudwatch, self.url = store, s3, cloudwatch, url
        self.folder = store.folder / "jobs"
        self.slots = Slots(os.cpu_count() or 1)
        self.running: dict[str, TrainingJob] = {}
        self.closing = False
        self.handlers = {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop,
        }

    def restore(self) -> None:
        """Jobs that ran when the engine ended are Failed, and their folders are removed."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for job in self.store.all(KIND):
            if job["TrainingJobStatus"] not in ENDED:
                reason = "InternalServerError: the local engine stopped while the job was running"
                transition(self.store, job["TrainingJobName"], "Failed", FailureReason=reason)

    def busy(self) -> bool:
        return bool(self.running)

    def close(self) -> None:
        """Kill all jobs and wait for their threads."""
        self.closing = True
        for job in list(self.running.values()):
            job.abort()
        for job in list(self.running.values()):
            job.thread.join(timeout=10)

    # Operations

    def create(self, request: dict, tuning_job_arn: str | None = None, parallel: int = 1) -> dict:
        """CreateTrainingJob; `parallel` is how many jobs its tuning job runs at a time."""
        check_definition(request)
        name, now = request["TrainingJobName"], time.time()
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name}"
        job = {
            **request,
            "TrainingJobArn": arn,
            "TuningJobArn": tuning_job_arn,
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Starting",
            "SecondaryStatusTransitions": [_step("Starting", now)],
            "CreationTime": now,
            "LastModifiedTime": now,
            "FinalMetricDataList": [],
            **_rule_statuses(request),
        }
        runner = TrainingJob(self, job, parallel)
        with self.store.lock:
            if self.store.get(KIND, name):
                text = "Training job names must be unique within an AWS account and region, "
                raise ApiError("ResourceInUse", text + f"and '{name}' exists already")
            self.store.put(KIND, name, job)
            self.running[name] = runner
        runner.thread.start()
        return {"TrainingJobArn": arn}

    def describe(self, request: dict) -> dict:
        job = self.store.get(KIND, request["TrainingJobName"])
        if job is None:
            raise invalid("Requested resource not found.")
        if "TrainingStartTime" in job:
            seconds = job.get("TrainingEndTime", time.time()) - job["TrainingStartTime"]
            job["TrainingTimeInSeconds"] = job["BillableTimeInSeconds"] = max(1, round(seconds))
        return job

    def list(self, request: dict) -> dict:
        return page(self.store.all(KIND), request, "TrainingJob")

    def stop(self, request: dict) -> dict:
        name = request["TrainingJobName"]
        with self.store.lock:  # the job may be about to end by itself
            status = self.describe(request)["TrainingJobStatus"]
            if status in ENDED:
                text = "The request was rejected because the training job is in status"
                raise invalid(f"{text} {status}.")
            if status == "InProgress":
                transition(self.store, name, "Stopping", TrainingJobStatus="Stopping")
                self.running[name].stop()
        return {}


def check_definition(request: dict) -> None:
    """Refuse what cannot be run here, before anything is made.

    Raises:
        ApiError: ValidationException, naming the member and the way out.
    """
    algorithm, resources = request["AlgorithmSpecification"], request.get("ResourceConfig", {})
    image = algorithm.get("TrainingImage")
    if not image or not container.has_runtime(image):
        raise invalid(
            f"AlgorithmSpecification.TrainingImage '{image}' has no local runtime: local_sagemaker "
            "runs AWS's PyTorch images (.../pytorch-training:TAG or .../pytorch:TAG)"
        )
    if resources.get("InstanceCount", 1) != 1:
        raise invalid(
            f"ResourceConfig.InstanceCount {resources['InstanceCount']}: local_sagemaker runs jobs "
            "of one instance"
        )
    for metric in algorithm.get("MetricDefinitions", []):
        try:
            re.compile(metric["Regex"])
        except re.error as error:
            text = f"the Regex of the metric '{metric['Name']}', {metric['Regex']!r}, is none"
            raise invalid(f"{text}: {error}") from None
    addresses = [request["OutputDataConfig"]["S3OutputPath"]]
    for channel in request.get("InputDataConfig", []):
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise invalid(f"the channel '{channel['ChannelName']}' has no S3DataSource")
        addresses.append(source["S3Uri"])
    for address in addresses:
        try:
            split(address)
        except ValueError as error:
            raise invalid(str(error)) from None


def _rule_statuses(request: dict) -> dict:
    """Statuses of rules that were asked for: this engine does not evaluate them yet."""
    statuses = {}
    for asked, member in [
        ("DebugRuleConfigurations", "DebugRuleEvaluationStatuses"),
        ("ProfilerRuleConfigurations", "ProfilerRuleEvaluationStatuses"),
    ]:
        if asked in request:
            statuses[member] = [
                {
                    "RuleConfigurationName": rule["RuleConfigurationName"],
                    "RuleEvaluationStatus": "Error",
                    "StatusDetails": "local_sagemaker does not evaluate rules",
                    "LastModifiedTime": time.time(),
                }
                for rule in request[asked]
            ]
    return statuses


def _step(status: str, start: float, message: str | None = None) -> dict:
    return {"Status": status, "StartTime": start, "StatusMessage": message or MESSAGES[status]}


def transition(store: Store, name: str, secondary: str, **changes) -> None:
    """Move a job to its next secondary status (and its end, if it is one)."""
    with store.lock:
        now = time.time()
        steps = store.get(KIND, name)["SecondaryStatusTransitions"]
        steps[-1].setdefault("EndTime", now)
        steps.append(_step(secondary, now, changes.get("FailureReason")))
        changes |= {
            "SecondaryStatus": secondary,
            "SecondaryStatusTransitions": steps,
            "LastModifiedTime": now,
        }
        primary = "Stopped" if secondary == "MaxRuntimeExceeded" else secondary
        if primary in ENDED:
            steps[-1]["EndTime"] = now
            changes |= {"TrainingJobStatus": primary, "TrainingEndTime": now}
        store.update(KIND, name, **changes)


class Slots:
    """As many jobs at a time as the machine has cores; the others wait in order."""

    def __init__(self, count: int) -> None:
        self.count, self.used = count, 0
        self._waiting: deque[object] = deque()
        self._changed = threading.Condition()

    def acquire(self, cancelled: threading.Event) -> bool:
        """Wait for a slot; False if `cancelled` was set first."""
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            while not cancelled.is_set():
                if self._waiting[0] is ticket and self.used < self.count:
                    self._waiting.popleft()
                    self.used += 1
                    self._changed.notify_all()
                    return True
                self._changed.wait(timeout=0.2)
            self._waiting.remove(ticket)
            return False

    def release(self) -> None:
        with self._changed:
            self.used -= 1
            self._changed.notify_all()


class TrainingJob:
    """One job on its way; runs in a thread of its own."""

    def __init__(self, jobs: TrainingJobs, description: dict, parallel: int) -> None:
        self.jobs, self.description, self.parallel = jobs, description, parallel
        self.name = name = description["TrainingJobName"]
        self.folder = jobs.folder / name
        self.ml = self.folder / "ml"
        self.stream = f"{name}/algo-1-{int(description['CreationTime'])}"
        self.process = None
        self.stopping = threading.Event()
        self.timed_out = False
        self.tail: deque[str] = deque(maxlen=60)
        self.final: dict[str, dict] = {}
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)

    def stop(self) -> None:
        """SIGTERM now, SIGKILL after the grace time."""
        self.stopping.set()
        if self.process:
            isolation.terminate(self.process)
            timer = threading.Timer(STOP_GRACE_S, isolation.kill, [self.process])
            timer.daemon = True
            timer.start()

    def abort(self) -> None:
        self.stopping.set()
        if self.process:
            isolation.kill(self.process)

    def _run(self) -> None:
        try:
            if self.jobs.slots.acquire(self.stopping):
                try:
                    self._walk()
                finally:
                    self.jobs.slots.release()
            else:
                self._end("Stopped")
        except JobFailed as failure:
            self._end("Failed", FailureReason=str(failure)[:REASON_LENGTH])
        except Exception as error:
            log.exception("training job %s", self.name)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
            self._end("Failed", FailureReason=reason[:REASON_LENGTH])
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.jobs.running.pop(self.name, None)

    def _end(self, status: str, **changes) -> None:
        if not self.jobs.closing:  # else the next start tells what happened
            transition(self.jobs.store, self.name, status, **changes)

    def _next(self, status: str, **changes) -> None:
        with self.jobs.store.lock:  # nothing follows Stopping but the end
            if not self.stopping.is_set():
                transition(self.jobs.store, self.name, status, **changes)

    def _walk(self) -> None:
        self._next("Downloading", TrainingStartTime=time.time())
        self._make_folders()
        self._download()
        self._next("Training")
        if self.stopping.is_set():
            self._end("Stopped")
            return
        code = self._execute()
        failed = code != 0 and not self.stopping.is_set()
        reason = self._reason(code) if failed else None
        self._next("Uploading")
        if failed:
            with contextlib.suppress(JobFailed):  # the command's failure is the one to tell
                self._upload(with_model=False)
            raise JobFailed(reason)
        uploaded = self._upload(with_model=True)
        end = "Stopped" if self.stopping.is_set() else "Completed"
        self._end("MaxRuntimeExceeded" if self.timed_out else end, **uploaded)

    def _make_folders(self) -> None:
        for name in ("input/config", "input/data", "model", "output/data", "code", "checkpoints"):
            (self.ml / name).mkdir(parents=True, exist_ok=True)
        container.write_configuration(self.ml, self.description)

    def _download(self) -> None:
        bucket = split(self.description["OutputDataConfig"]["S3OutputPath"])[0]
        if bucket not in self.jobs.s3.backend.buckets:  # better now than after the training
            raise JobFailed(
                f"ClientError: the bucket '{bucket}' of OutputDataConfig does not exist"
            )
        for channel in self.description.get("InputDataConfig", []):
            uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
            target = self.ml / "input/data" / channel["ChannelName"]
            target.mkdir(parents=True)
            try:
                count = self.jobs.s3.download(uri, target)
            except (FileNotFoundError, ValueError) as error:
                raise JobFailed(f"ClientError: Data download failed: {error}") from None
            if count == 0:
                raise JobFailed(
                    f"ClientError: Data download failed: NoSuchKey: the channel "
                    f"'{channel['ChannelName']}' has no object under {uri}"
                )
        if checkpoints := self.description.get("CheckpointConfig"):
            uri = checkpoints["S3Uri"]
            if self.jobs.s3.backend.buckets.get(split(uri)[0]):
                self.jobs.s3.download(uri.rstrip("/") + "/", self.ml / "checkpoints")
        if not isolation.isolation().real_opt_ml:
            container.relocate_drivers(self.ml)

    # The container

    def _execute(self) -> int:
        """Run the container's command to its end and return its exit code."""
        self.process = isolation.start(
            self.ml,
            self.folder / "scratch",
            self._command(),
            self._environment(),
            container.inside(self.ml, container.ML),
        )
        if self.stopping.is_set():  # asked while the process was being made
            self.stop()
        limit = self.description["StoppingCondition"].get("MaxRuntimeInSeconds", 86400)
        timer = threading.Timer(limit, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            self._read_output(self.process.stdout.fileno())
            return self.process.wait()
        finally:
            timer.cancel()
            self.process.stdout.close()

    def _time_out(self) -> None:
        self.timed_out = True
        self.stop()

    def _command(self) -> list[str]:
        algorithm = self.description["AlgorithmSpecification"]
        if entrypoint := algorithm.get("ContainerEntrypoint"):
            words = [*entrypoint, *algorithm.get("ContainerArguments", [])]
            return [container.inside(self.ml, word) for word in words]
        return ["python", "-m", "local_sagemaker.toolkit"]

    def _environment(self) -> dict[str, str]:
        job = self.description
        together = max(self.parallel, self.jobs.slots.used)
        threads = max(1, (os.cpu_count() or 1) // min(together, self.jobs.slots.count))
        return {
            **container.environment(self.jobs.url, self.folder / "scratch/home", self.ml),
            "SAGEMAKER_TRAINING_MODULE": "sagemaker_pytorch_container.training:main",
            "TRAINING_JOB_NAME": self.name,
            "TRAINING_JOB_ARN": job["TrainingJobArn"],
            "OMP_NUM_THREADS": str(threads),
            **job.get("Environment", {}),
        }

    def _read_output(self, descriptor: int) -> None:
        """Send the command's output to CloudWatch, line by line, until it ends."""
        rest, lines, flushed = b"", [], time.monotonic()
        while True:
            ready, _, _ = select.select([descriptor], [], [], FLUSH_S)
            chunk = os.read(descriptor, 65536) if ready else None
            if chunk:
                *complete, rest = (rest + chunk).split(b"\n")
                lines += complete
            if chunk == b"" and rest:
                lines.append(rest)
            if lines and (not ready or chunk == b"" or time.monotonic() - flushed > FLUSH_S):
                self._publish(lines)
                lines, flushed = [], time.monotonic()
            if chunk == b"":
                return

    def _publish(self, raw: list[bytes]) -> None:
        now = time.time()
        # A progress bar overwrites its line: what it showed last counts.
        texts = [line.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2] for line in raw]
        texts = [text[:LINE_LENGTH] for text in texts if text]
        self.tail.extend(texts)
        events = [(int(now * 1000), text) for text in texts]
        if events:
            self.jobs.cloudwatch.put_log_events(TRAINING_LOGS, self.stream, events)
        self._scrape(texts, now)

    def _scrape(self, texts: list[str], now: float) -> None:
        """Record the metrics of these lines; a metric's final value is the one printed last."""
        definitions = self.description["AlgorithmSpecification"].get("MetricDefinitions", [])
        found = [item for text in texts for item in scrape(text, definitions).items()]
        if not found:
            return
        values = [(name, value, "None") for name, value in found]
        self.jobs.cloudwatch.put_metrics(
            TRAINING_METRICS, {"TrainingJobName": self.name}, values, now
        )
        for name, value in found:
            self.final[name] = {"MetricName": name, "Value": value, "Timestamp": now}
        metrics = list(self.final.values())
        self.jobs.store.update(KIND, self.name, FinalMetricDataList=metrics)

    def _reason(self, code: int) -> str:
        """Exit code, the script's own words if it left any, and the end of the log."""
        failure = self.ml / "output/failure"
        own = failure.read_text(errors="replace").strip() if failure.exists() else ""
        if not own or "see CloudWatch logs" in own:  # the SDK driver's stand-in text
            own = "the container's command failed"
        own = own.splitlines()[0][:300]
        lines = [line for line in self.tail if line.strip() and not re.match(r"\++ ", line)]
        head = f"AlgorithmError: {own}, exit code: {code}. Last lines of the log:\n"
        return head + "\n".join(lines)[-(REASON_LENGTH - len(head)) :]

    # Results

    def _upload(self, with_model: bool) -> dict:
        """Store what the job left, in AWS's layout; return the description's new members."""
        base = self.description["OutputDataConfig"]["S3OutputPath"].rstrip("/") + f"/{self.name}"
        changes = {}
        try:
            if with_model:
                target = f"{base}/output/model.tar.gz"
                self._store_packed(self.ml / "model", target)
                changes["ModelArtifacts"] = {"S3ModelArtifacts": target}
            if any((self.ml / "output/data").glob("*")):
                self._store_packed(self.ml / "output/data", f"{base}/output/output.tar.gz")
            self._store_tensors()
            self._store_checkpoints()
        except Exception as error:
            raise JobFailed(f"ClientError: Artifact upload failed: {error}") from error
        return changes

    def _store_packed(self, folder: Path, uri: str) -> None:
        archive = self.folder / "scratch" / uri.rpartition("/")[2]
        container.pack(folder, archive)
        self.jobs.s3.put_file(uri, archive)

    def _store_tensors(self) -> None:
        hook = self.description.get("DebugHookConfig")
        if hook:
            local = hook.get("LocalPath", "/opt/ml/output/tensors")
            target = f"{hook['S3OutputPath'].rstrip('/')}/{self.name}/debug-output"
            self._store_tree(self.ml / local.removeprefix("/opt/ml/"), target)

    def _store_checkpoints(self) -> None:
        if checkpoints := self.description.get("CheckpointConfig"):
            self._store_tree(self.ml / "checkpoints", checkpoints["S3Uri"].rstrip("/"))

    def _store_tree(self, folder: Path, uri: str) -> None:
        files = [file for file in folder.rglob("*") if file.is_file()]
        for file in sorted(files, key=lambda f: (not f.is_symlink(), f)):  # links before targets
            self.jobs.s3.put_file(f"{uri}/{file.relative_to(folder)}", file)
