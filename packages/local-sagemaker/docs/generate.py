"""Write the lists of operations in ``local-sagemaker.md`` anew, from the engine's own tables.

    python docs/generate.py

Each list stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the rest of the page is
left as it is. CI runs this and then ``git diff --exit-code``.
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from collections.abc import Set
from pathlib import Path

from local_sagemaker import operations
from local_sagemaker.aws.refusals import s3_uris
from local_sagemaker.server import Engine

PAGE = Path(__file__).with_name("local-sagemaker.md")
BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH = 110
SERVICES = {"logs": "logs", "monitoring": "cloudwatch", "iam": "iam", "sts": "sts"}
ELSEWHERE = {"WriteGetObjectResponse"}  # of S3 Object Lambda's own host
RUNTIME = {"InvokeEndpoint"}  # of the service sagemaker-runtime; the other is always refused
# What is said of SageMaker's operations. A row names those that the engine serves.
ROWS = {
    "CreateTrainingJob DescribeTrainingJob StopTrainingJob": (
        "a process tree of its own with its own `/opt/ml`, logs, metrics, artefacts"
    ),
    "DeleteTrainingJob": (
        "for jobs that have ended and belong to no tuning job; logs, metrics and objects stay"
    ),
    "CreateHyperParameterTuningJob DescribeHyperParameterTuningJob StopHyperParameterTuningJob": (
        "training jobs side by side, searched by Optuna"
    ),
    "DeleteHyperParameterTuningJob": "for jobs that have ended; their training jobs stay",
    "CreateModel DescribeModel DeleteModel": "kept; the model's data must be there",
    "CreateEndpointConfig DescribeEndpointConfig DeleteEndpointConfig": (
        "kept; its models must be there"
    ),
    "CreateEndpoint DescribeEndpoint UpdateEndpoint DeleteEndpoint "
    "UpdateEndpointWeightsAndCapacities": "server processes that run the container's handlers",
    "InvokeEndpoint": ("of `sagemaker-runtime`, whose other operations are refused"),
    "ListTrainingJobs ListHyperParameterTuningJobs ListTrainingJobsForHyperParameterTuningJob "
    "ListModels ListEndpointConfigs ListEndpoints": "every filter, order and page of the request",
    "AddTags ListTags DeleteTags": ("for jobs, tuning jobs, models, configurations and endpoints"),
}


def sagemaker() -> str:
    """A table of the operations that an engine serves, and what it does."""
    with tempfile.TemporaryDirectory() as state:
        engine = Engine(Path(state), "http://127.0.0.1:1")
        served = set(engine.sagemaker.handlers) | RUNTIME
        engine.close()
    said = {name for names in ROWS for name in names.split()}
    rows = {**ROWS, " ".join(sorted(served - said)): ""}
    lines = [
        f"| {_code(names)} | {text} |"
        for row, text in rows.items()
        if (names := [name for name in row.split() if name in served])
    ]
    return "\n".join(["| operation | what it does here |", "|---|---|", *lines])


def s3_refused() -> str:
    """S3's operations that are refused."""
    names = {name for name, _, _ in s3_uris()}
    return _list(names - operations.SERVICES["s3"] - ELSEWHERE)


def _code(names: list[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def _list(names: Set[str]) -> str:
    return "\n".join(textwrap.wrap(_code(sorted(names)), WIDTH, break_on_hyphens=False))


def main() -> None:
    served = _list(operations.SERVICES["s3"])
    blocks = {"sagemaker": sagemaker(), "s3-done": served, "s3-refused": s3_refused()}
    for service, block in SERVICES.items():
        blocks[block] = _list(operations.SERVICES[service])
    text = PAGE.read_text()
    marked = [name for _, name, _ in BLOCK.findall(text)]
    if sorted(marked) != sorted(blocks):
        raise SystemExit(f"{PAGE} has the blocks {marked}, not {list(blocks)}")
    PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}\n{blocks[found[2]]}\n\n{found[3]}", text))


if __name__ == "__main__":
    main()
