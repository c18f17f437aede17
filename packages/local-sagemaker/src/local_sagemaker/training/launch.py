"""One launch of a job's instances: what they fetch, the command on them, what they leave."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from local_sagemaker.aws.s3.downloads import DownloadError
from local_sagemaker.aws.s3.service import split
from local_sagemaker.aws.services import Services
from local_sagemaker.core import state_files
from local_sagemaker.core.kinds import TRAINING_LOGS
from local_sagemaker.runtime import container, isolation, requirements
from local_sagemaker.runtime.output import Log
from local_sagemaker.training import cluster, configuration, machine_metrics
from local_sagemaker.training.data import channels, end_markers, outputs
from local_sagemaker.training.data.mirroring import Mirroring, mirrors
from local_sagemaker.training.data.outputs import Outputs, left_out
from local_sagemaker.training.instance import Instance
from local_sagemaker.training.profiling import sampling

FOLDERS = ("input/config", "input/data", "model", "output/data", "code", "checkpoints")


class JobFailed(Exception):
    """The job ends as Failed; the text is its FailureReason."""


class Launch:
    """The instances that a job has at a time; after an interruption there is another launch."""

    def __init__(self, services: Services, description: dict, folder: Path, moment: float) -> None:
        """Instances with nothing on them.

        Args:
            folder: for their files; a folder in it for each instance.
            moment: seconds since the epoch; a part of their log streams' names.
        """
        job, self.moment = description, int(moment)
        self.services, self.description, self.folder = services, description, folder
        self.name = job["TrainingJobName"]
        self.image = job["AlgorithmSpecification"]["TrainingImage"]
        hosts, views = cluster.hosts(job["ResourceConfig"]), channels.views(job)
        self.instances = [Instance(folder / host.name, host, hosts, views) for host in hosts]
        self._mirrorings = [
            Mirroring(services.s3, each.tree, mirrors(job, each.tree), each.scratch)
            for each in self.instances
        ]
        self._logs: dict[str, Log] = {}

    def stop(self, grace_s: float | None = None) -> None:
        """SIGTERM now, SIGKILL after the grace time."""
        for instance in self.instances:
            instance.stop(grace_s)

    def kill(self) -> None:
        for instance in self.instances:
            instance.kill()

    @property
    def killed(self) -> bool:
        """Whether a command had not ended at the end of the grace time."""
        return any(instance.killed for instance in self.instances)

    # Input

    def prepare(self) -> None:
        """Make each instance's ``/opt/ml``, with what the job reads in it.

        Raises:
            JobFailed: something that it reads is not there, or no place for what it leaves.
        """
        self._make_folders()
        self._find_buckets()
        end_markers.remove(self.services.s3, self.description)
        try:
            data = [each.ml / "input/data" for each in self.instances]
            channels.fetch_all(self.services.s3, self.description, data)
            for mirroring in self._mirrorings:
                mirroring.restore()
        except DownloadError as error:
            raise JobFailed(str(error)) from None
        for instance in self.instances:
            requirements.adopt_driver(instance.ml)
            if not isolation.isolation().real_opt_ml:
                configuration.relocate_drivers(instance.ml)

    def _make_folders(self) -> None:
        for instance in self.instances:
            for name in FOLDERS:
                (instance.ml / name).mkdir(parents=True, exist_ok=True)
            configuration.write_configuration(
                instance.ml, self.description, instance.host, instance.hosts
            )

    def _find_buckets(self) -> None:
        """Fail now rather than after the training if there is no place for its results."""
        for member, uri in outputs.places(self.description).items():
            bucket = split(uri)[0]
            if not self.services.s3.has_bucket(bucket):
                raise JobFailed(f"ClientError: the bucket '{bucket}' of {member} does not exist")

    # The container

    def run(self, threads: int, read: Callable[[list[str]], None]) -> tuple[int, Instance]:
        """Run the container's command on all instances to its end.

        Args:
            threads: how many each instance may use.
            read: gets the lines that the command prints, from a thread for each instance.

        Returns:
            The exit code and the instance that failed first; 0 and the first if none did.
        """
        for instance in self.instances:
            self._log(instance).write([container.banner(self.image)])
        hosts = [f"{self.name}/{instance.host.name}" for instance in self.instances]
        watching = machine_metrics.watching(self.services.cloudwatch, hosts, self.folder)
        with contextlib.ExitStack() as looking:
            for mirroring in self._mirrorings:
                looking.enter_context(mirroring.running())
            looking.enter_context(watching)
            return cluster.run_together(
                self.instances, lambda instance: self._run_on(instance, threads, read)
            )

    def _run_on(self, instance: Instance, threads: int, read: Callable[[list[str]], None]) -> int:
        command = configuration.command(self.description, instance.ml)
        kept = container.kept(instance.scratch, self._environments)
        instance.start(command, self._environment(instance, threads), kept)
        log_stream = self._log(instance)
        with sampling(self.description, instance, lambda line: log_stream.write([line])):
            for lines in instance.lines():
                log_stream.write(lines)
                read(lines)
            log_stream.flush()
            return instance.process.wait()

    @property
    def _environments(self) -> Path:
        return self.services.store.folder / state_files.ENVIRONMENTS

    def _environment(self, instance: Instance, threads: int) -> dict[str, str]:
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
            stream = f"{self.name}/{instance.host.name}-{self.moment}"
            self._logs[instance.host.name] = self.services.cloudwatch.log(TRAINING_LOGS, stream)
        return self._logs[instance.host.name]

    def reason(self, code: int, instance: Instance) -> str:
        """The FailureReason for an exit code that `run` returned."""
        of = f" of {instance.host.name}" if len(self.instances) > 1 else ""
        return outputs.algorithm_error(code, instance.tree, instance.tail, of)

    # Results

    def store_mirrored(self) -> None:
        """Store what is left of the folders that are kept on S3 while the job runs."""
        for mirroring in self._mirrorings:
            mirroring.finish()

    def store_results(self, with_model: bool) -> dict:
        """Store what the job left, in AWS's layout; return the description's new members.

        Raises:
            JobFailed: it cannot be stored.
        """
        first, trees = self.instances[0], [each.tree for each in self.instances]
        results = Outputs(self.services.s3, self.description, trees, first.scratch)
        try:
            self.store_mirrored()  # first: a next job may need its checkpoints
            changes = results.store_model() if with_model else {}
            results.store_data()
        except Exception as error:
            raise JobFailed(f"ClientError: Artifact upload failed: {error}") from error
        if results.left_out:
            self._log(first).write([left_out(results.left_out)])
        return changes
