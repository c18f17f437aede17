"""Write the lists of operations in ``local-sagemaker.md`` anew, from the engine's own tables.

    python docs/generate.py

Each list stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the rest of the page is
left as it is. CI runs this and then ``git diff --exit-code``.
"""

from __future__ import annotations

import re
import tempfile
import textwrap
from pathlib import Path

from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.utils import camelcase_to_underscores
from moto.iam.responses import IamResponse
from moto.logs.responses import LogsResponse
from moto.sts.responses import TokenResponse

from local_sagemaker.aws.refusals import BUCKET_WORDS, KEY_WORDS, s3_uris
from local_sagemaker.core.validation import service_model
from local_sagemaker.server import Engine

PAGE = Path(__file__).with_name("local-sagemaker.md")
BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH = 110
MOTO = {
    "logs": LogsResponse,
    "cloudwatch": CloudWatchResponse,
    "iam": IamResponse,
    "sts": TokenResponse,
}
OWN = {"iam": {"SimulatePrincipalPolicy"}}  # what the engine answers instead of moto
ELSEWHERE = {"WriteGetObjectResponse"}  # of S3 Object Lambda's own host
RUNTIME = {"InvokeEndpoint"}  # of the service sagemaker-runtime
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


def s3(done: bool) -> str:
    """S3's operations that are served, or those that are refused."""
    found = set()
    for (name, method, keyed), words in s3_uris().items():
        known = (KEY_WORDS if keyed else BUCKET_WORDS).get(method, set())
        if name not in ELSEWHERE and (words <= known) == done:
            found.add(name)
    return _list(found)


def moto(service: str) -> str:
    """The operations of a service that moto has implemented, and the engine's own."""
    served = {
        name
        for name in service_model(service).operation_names
        if hasattr(MOTO[service], camelcase_to_underscores(name))
    }
    return _list(served | OWN.get(service, set()))


def _code(names: list[str]) -> str:
    return " ".join(f"`{name}`" for name in names)


def _list(names: set[str]) -> str:
    return "\n".join(textwrap.wrap(_code(sorted(names)), WIDTH, break_on_hyphens=False))


def main() -> None:
    blocks = {"sagemaker": sagemaker(), "s3-done": s3(True), "s3-refused": s3(False)}
    blocks |= {service: moto(service) for service in MOTO}
    text = PAGE.read_text()
    marked = [name for _, name, _ in BLOCK.findall(text)]
    if sorted(marked) != sorted(blocks):
        raise SystemExit(f"{PAGE} has the blocks {marked}, not {list(blocks)}")
    PAGE.write_text(BLOCK.sub(lambda found: f"{found[1]}\n{blocks[found[2]]}\n\n{found[3]}", text))


if __name__ == "__main__":
    main()
