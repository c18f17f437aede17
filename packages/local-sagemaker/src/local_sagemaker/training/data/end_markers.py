"""The empty files by which AWS says that a training job will write no more.

smdebug's trials wait for further steps, and its profiler's readers for further samples, until such
a file lies beside what they read.
"""

from __future__ import annotations

import logging

from local_sagemaker.aws.s3.service import S3, split
from local_sagemaker.core.store import is_disk_full
from local_sagemaker.training import profiler_config
from local_sagemaker.training.data import mirroring

log = logging.getLogger(__name__)

NAME = "training_job_end.ts"


def places(job: dict) -> list[str]:
    """Where AWS puts them: beside a job's tensors, and into both folders of its profile."""
    folders = [mirroring.tensors(job)] if "DebugHookConfig" in job else []
    if profiler_config.is_enabled(job):
        recording = profiler_config.recording(job)
        folders += [f"{recording}/framework", f"{recording}/system"]
    return [f"{folder}/{NAME}" for folder in folders]


def put(s3: S3, job: dict) -> None:
    """Say that a job has ended. A bucket that is not there, or refuses, is no reason to fail it.

    Raises:
        OSError, sqlite3.OperationalError: the disk is full; it can be tried again.
    """
    for uri in places(job):
        bucket, key = split(uri)
        try:
            with s3.lock:
                if s3.has_bucket(bucket):
                    with s3.transaction():
                        s3.backend.put_object(bucket, key, b"")
        except Exception as error:
            if is_disk_full(error):
                raise
            log.warning("%s", uri, exc_info=True)


def remove(s3: S3, job: dict) -> None:
    """Take away what a deleted job of the same name has left: this one is only to start."""
    for uri in places(job):
        bucket, key = split(uri)
        with s3.lock:
            if s3.has_bucket(bucket) and key in s3.backend.buckets[bucket].keys:
                with s3.transaction():
                    s3.backend.delete_object(bucket, key)
