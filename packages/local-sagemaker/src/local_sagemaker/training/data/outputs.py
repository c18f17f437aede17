"""What a job leaves behind and its way to S3: the model and other output, packed or as it is."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path

from local_sagemaker.aws.s3.service import S3, split
from local_sagemaker.core.errors import REASON_LENGTH, failure_reason, invalid
from local_sagemaker.runtime import container
from local_sagemaker.runtime.archive import gzip
from local_sagemaker.runtime.tree import Tree
from local_sagemaker.training import configuration, profiler_config

MODEL, DATA = "model", "output/data"  # below /opt/ml
OWN_LENGTH = 600  # characters of a FailureReason that the script's own words may take


def places(job: dict) -> dict[str, str]:
    """The S3 addresses at which a job leaves something, by the member that names each."""
    named = {
        "OutputDataConfig": "S3OutputPath",
        "CheckpointConfig": "S3Uri",
        "DebugHookConfig": "S3OutputPath",
        "TensorBoardOutputConfig": "S3OutputPath",
        **({"ProfilerConfig": "S3OutputPath"} if profiler_config.is_enabled(job) else {}),
    }
    return {member: job[member][address] for member, address in named.items() if member in job}


def check(request: dict) -> None:
    """Refuse what cannot be stored from here, before anything is made.

    Raises:
        ApiError: ValidationException, naming the member and the way out.
    """
    asked = ("DebugRuleConfigurations", "ProfilerRuleConfigurations")
    rules = [rule for member in asked for rule in request.get(member, [])]
    own = [rule["S3OutputPath"] for rule in rules if "S3OutputPath" in rule]
    for uri in [*places(request).values(), *own]:
        try:
            split(uri)
        except ValueError as error:
            raise invalid(str(error)) from None
    for member in configuration.LOCAL_PATHS:
        local = configuration.local_path(request, member)
        if not os.path.normpath(local).startswith(f"{container.ML}/"):
            raise invalid(
                f"{member}.LocalPath '{local}': local_sagemaker keeps folders below {container.ML}/"
            )


class Outputs:
    """The results of one job; `left_out` names what was found and not stored.

    What several instances left is stored as one; of what has the same name on two of them, the
    first instance's.
    """

    def __init__(self, s3: S3, job: dict, trees: list[Tree], scratch: Path) -> None:
        self.s3, self.trees, self.scratch = s3, trees, scratch
        output = job["OutputDataConfig"]
        self.base = f"{output['S3OutputPath'].rstrip('/')}/{job['TrainingJobName']}/output"
        self.packed = output.get("CompressionType", "GZIP") == "GZIP"
        self.left_out: list[str] = []

    def store_model(self) -> dict:
        """Store the model; return the description's new member.

        It names the place where a model would be even if there is none, as on AWS.
        """
        uri = f"{self.base}/model.tar.gz" if self.packed else f"{self.base}/model/"
        self._store(MODEL, uri)
        return {"ModelArtifacts": {"S3ModelArtifacts": uri}}

    def store_data(self) -> None:
        """Store what the job wrote besides its model."""
        self._store(DATA, f"{self.base}/output.tar.gz" if self.packed else f"{self.base}/data/")

    def _store(self, name: str, uri: str) -> None:
        found: dict[str, Path | None] = {}
        for tree in self.trees:
            for each, place in tree.entries(tree.ml / name):
                found.setdefault(each, place)
        self.left_out += [f"{name}/{each}" for each, place in found.items() if place is None]
        kept = [(each, place) for each, place in found.items() if place]
        if self.packed and kept:
            archive = self.scratch / uri.rpartition("/")[2]
            pack(kept, archive)
            self.s3.put_file(uri, archive)
        elif not self.packed:
            self._store_files(kept, uri)

    def _store_files(self, kept: list[tuple[str, Path]], uri: str) -> None:
        """Store each file under its own name; the job's processes must have ended."""
        for name, place in kept:
            if place.is_file():
                body = self.scratch / "output"
                os.link(place, body)  # the file itself may be needed again, where a link led to it
                self.s3.put_file(uri + name, body)


def pack(kept: list[tuple[str, Path]], archive: Path) -> None:
    """Write these files and folders as a ``tar.gz``; what has two names is in it once."""
    names: dict[Path, str] = {}
    with gzip(archive, "wb") as stream, tarfile.open(fileobj=stream, mode="w|") as target:
        for name, place in kept:
            member = target.gettarinfo(place, arcname=name)
            if place.is_file() and place in names:
                member.type, member.size, member.linkname = tarfile.LNKTYPE, 0, names[place]
                target.addfile(member)
            elif place.is_file():
                names[place] = name
                member.type, member.size = tarfile.REGTYPE, place.stat().st_size
                with place.open("rb") as content:
                    target.addfile(member, content)
            else:
                target.addfile(member)


def left_out(names: list[str]) -> str:
    """A line for the job's log about what was not stored."""
    told = ", ".join(f"/opt/ml/{name}" for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"local_sagemaker: not stored, as outside of the job's folder or no file: {told}{more}"


def algorithm_error(code: int, tree: Tree, tail: Iterable[str], of: str = "") -> str:
    """Exit code, the script's own words if it left any, and the end of the log."""
    own = _failure(tree)
    if not own or "see CloudWatch logs" in own:  # the SDK driver's own text
        own = "the container's command failed"
    own = own[:OWN_LENGTH]
    lines = [line for line in tail if line.strip() and not re.match(r"\++ ", line)]
    head = f"AlgorithmError: {own}, exit code: {code}. Last lines of the log{of}:\n"
    return failure_reason(head, lines)


def _failure(tree: Tree) -> str:
    """What the job wrote about its own failure."""
    file = tree.real(tree.ml / "output/failure")
    if file is None or not file.is_file():
        return ""
    with file.open("rb") as content:
        return content.read(REASON_LENGTH).decode("utf-8", "replace").strip()
