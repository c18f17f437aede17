"""What a rule of a training job has written, and its way to S3."""

from __future__ import annotations

import shutil
from pathlib import Path

from local_sagemaker.aws.s3.service import S3
from local_sagemaker.runtime.tree import Tree


def place(job: dict, rule: dict) -> str:
    """The S3 address below which what a rule writes is kept.

    Below the rule's own S3OutputPath, or else the training job's, where the SDKs look for it.
    """
    base = rule.get("S3OutputPath") or job["OutputDataConfig"]["S3OutputPath"]
    name = rule["RuleConfigurationName"]
    return f"{base.rstrip('/')}/{job['TrainingJobName']}/rule-output/{name}"


def store(s3: S3, root: Path, written: Path, uri: str) -> None:
    """Store the files of the folder `written`, which lies in `root`, below `uri`.

    Raises:
        OSError, or moto's errors: something could not be stored.
    """
    tree = Tree(root, root / "ml")
    for name, file in list(tree.files(tree.root / written.relative_to(root))):
        copy = root / "result"
        shutil.copyfile(file, copy)
        s3.put_file(f"{uri}/{name}", copy)
