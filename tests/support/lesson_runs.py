"""The four lessons, changed and executed by a test, and what their cells have shown."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pandas as pd
import pytest

from course.dataset import SPLITS
from course.workspace import ROOT
from engine_support.clients import running_engine
from local_sagemaker import ACCOUNT, REGION
from local_sagemaker.client.environment import REMOVED, client_environment
from tests.support import drawn_as_text
from tools import run

CELL_TIMEOUT_S = 900
BUCKET, PREFIX = f"sagemaker-{REGION}-{ACCOUNT}", "dog-breeds"
SETTINGS = ("COURSE_CLASSES", "COURSE_DEBUGGER", "COURSE_DOWNLOAD", "COURSE_REPORTS")


# ------------------------------------------------------------------------------------ what is run


class Copies:
    """Copies of the lessons, their solutions and of what their jobs run, which a test may change.

    Their first cell makes figures tell what they draw.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "reports")
        for name in ("notebooks", "entry_points"):
            shutil.copytree(ROOT / name, folder / name, ignore=ignored)
        self.lessons = sorted((folder / "notebooks").glob("[0-9]*.ipynb"))
        self.solutions = sorted((folder / "notebooks" / "solutions").glob("[0-9]*.ipynb"))
        first = Path(drawn_as_text.__file__).read_text()
        for file in self.lessons:
            notebook = nbformat.read(file, as_version=4)
            notebook.cells.insert(0, nbformat.v4.new_code_cell(first))
            nbformat.write(notebook, file)

    def change(self, number: int, old: str, new: str | Callable[[re.Match], str]) -> None:
        """Replace a regular expression in the code of a lesson or, 0, of all, as `re.sub` does.

        Raises:
            LookupError: nothing matches, so the test would not test what it says.
        """
        count = 0
        for file in [self.lessons[number - 1]] if number else [*self.lessons, *self.solutions]:
            notebook = nbformat.read(file, as_version=4)
            for cell in notebook.cells[file in self.lessons :]:
                if cell.cell_type == "code":
                    cell.source, found = re.subn(old, new, cell.source)
                    count += found
            nbformat.write(notebook, file)
        if not count:
            raise LookupError(f"no code of lesson {number or 'any'} matches {old!r}")

    def change_script(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file that jobs run.

        Raises:
            LookupError: the text is not there, or several times.
        """
        file = self.folder / "entry_points" / name
        text = file.read_text()
        if text.count(old) != 1:
            raise LookupError(f"{name} has {old!r} {text.count(old)} times")
        file.write_text(text.replace(old, new))


def run_all(copies: Copies, photos: Path, name: str = "") -> Lessons:
    """Execute the lessons on `photos` and an engine of their own, then their solutions.

    Raises:
        CellFailed: at the first cell that raises.
    """
    folder = copies.folder
    with running_engine(folder / "state") as clients, pytest.MonkeyPatch.context() as patch:
        for variable in (*REMOVED, *SETTINGS):
            patch.delenv(variable, raising=False)
        given = {"COURSE_MODE": "local", "COURSE_DATA": str(photos), "COURSE_IMAGE_SIZE": "64"}
        for variable, value in {**client_environment(clients.url, clients.state), **given}.items():
            patch.setenv(variable, value)
        executed = []
        for file in [*copies.lessons, *copies.solutions]:
            content = run.execute(file, CELL_TIMEOUT_S, reports=folder / "reports")
            nbformat.write(content, file)
            executed.append(Lesson(content))
        [tuning] = clients.sagemaker.list_hyper_parameter_tuning_jobs()[
            "HyperParameterTuningJobSummaries"
        ]
        return Lessons(
            name,
            executed[: len(copies.lessons)],
            executed[len(copies.lessons) :],
            photos,
            (folder / "reports" / "write-up.md").read_text(),
            clients.keys(f"{PREFIX}/data/", BUCKET),
            list(_jobs(clients)),
            clients.tuning_job(tuning["HyperParameterTuningJobName"]),
        )


# --------------------------------------------------------------------------------- what was shown


@dataclass
class Lesson:
    """An executed notebook."""

    notebook: nbformat.NotebookNode

    def cell(self, part: str) -> nbformat.NotebookNode:
        """The only code cell whose source has this part."""
        found = [c for c in self.notebook.cells[1:] if c.cell_type == "code" and part in c.source]
        assert len(found) == 1, f"{len(found)} cells have {part!r}"
        return found[0]

    def said(self, part: str) -> str:
        """What a cell printed or displayed as text, figures left out."""
        texts = list(_texts(self.cell(part)))
        return "\n".join(t for t in texts if not t.startswith(drawn_as_text.MARKER))

    def drawn(self, part: str) -> list[dict]:
        """What the figures of a cell draw, as `drawn_as_text.describe` tells it."""
        marker = drawn_as_text.MARKER
        texts = [t for t in _texts(self.cell(part)) if t.startswith(marker)]
        return [json.loads(text.removeprefix(marker)) for text in texts]

    def table(self, part: str, place: int = -1) -> pd.DataFrame:
        """A table that a cell displayed, the last one by default; its index is a column."""
        pages = [o.data["text/html"] for o in self.cell(part).outputs
                 if "text/html" in o.get("data", {})]  # fmt: skip
        return _table("".join(pages[place]))

    @property
    def text(self) -> str:
        """All that was printed or displayed as text, figures left out."""
        code = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
        texts = [text for cell in code for text in _texts(cell)]
        return "\n".join(t for t in texts if not t.startswith(drawn_as_text.MARKER))


def _table(page: str) -> pd.DataFrame:
    """The table of a page that pandas made. A named index has a row of headings of its own."""
    page = re.search(r"<table.*?</table>", page, re.S)[0].replace("&nbsp;", " ")
    head, body = ElementTree.fromstring(page)[:2]
    headings = [["".join(cell.itertext()).strip() for cell in row] for row in head]
    names = ["".join(dict.fromkeys(filter(None, column))) for column in zip(*headings, strict=True)]
    rows = [["".join(cell.itertext()).strip() for cell in row] for row in body]
    return pd.DataFrame(rows, columns=names)


def _texts(cell: nbformat.NotebookNode) -> Iterator[str]:
    for output in cell.outputs:
        data = output.get("data", {})
        text = output.get("text") or data.get("text/markdown") or data.get("text/plain")
        if text:
            yield "".join(text)


@dataclass
class Job:
    """What SageMaker knows of a training job, and the answers to the test photos in its output."""

    name: str
    status: str
    given: dict
    metrics: dict[str, float]
    seconds: int
    megabytes: float
    log: list[str]
    test: dict | None = None
    answers: pd.DataFrame | None = None

    @property
    def scores(self) -> tuple[int, int]:
        """How many test photos it got right, and how many there were, by its own answers."""
        return int((self.answers["label"] == self.answers["predicted"]).sum()), len(self.answers)

    @property
    def weights(self) -> str:
        """What it really started from, by its log."""
        return next(m[1] for line in self.log if (m := re.match(r"weights=(\w+)", line)))


@dataclass
class Lessons:
    """A whole run, and what the engine still knew when it was over.

    Attributes:
        name: of the run.
        lessons, solutions: executed.
        photos: the folder that was given to the lessons.
        write_up: what notebook 04 saved.
        keys: of the photos in the bucket.
        jobs: all training jobs, in the order of their start.
        tuning: the description of the tuning job.
    """

    name: str
    lessons: list[Lesson]
    solutions: list[Lesson]
    photos: Path
    write_up: str
    keys: list[str]
    jobs: list[Job]
    tuning: dict

    @property
    def counts(self) -> pd.DataFrame:
        """The photos in the bucket: a row for each class in label order, a column a split."""
        places = pd.DataFrame(
            [key.split("/")[2:4] for key in self.keys], columns=["split", "class"]
        )
        return pd.crosstab(places["class"], places["split"])[list(SPLITS)]

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return 1 / len(self.counts)

    @property
    def trials(self) -> pd.DataFrame:
        """The training jobs of the search: a row for each, by its number."""
        rows, photos = {}, self.counts["train"].sum()
        for job in self.jobs:
            if number := re.search(r"-(\d{3})-[0-9a-f]{8}$", job.name):
                epochs, size = int(job.given["epochs"]), int(job.given["batch-size"])
                steps, accuracy = epochs * math.ceil(photos / size), job.metrics["valid_accuracy"]
                rows[int(number[1])] = [job, float(job.given["lr"]), size, epochs, steps, accuracy]
        columns = ["of", "lr", "batch-size", "epochs", "steps", "accuracy"]
        return pd.DataFrame.from_dict(rows, "index", columns=columns).sort_index()

    @property
    def best(self) -> pd.Series:
        """The row of the trial that SageMaker calls the best."""
        name, rows = self.tuning["BestTrainingJob"]["TrainingJobName"], self.trials
        return rows[[job.name == name for job in rows["of"]]].iloc[0]

    @property
    def main(self) -> Job:
        """The job whose model is deployed."""
        return self.job("dog-breeds-efficientnet-lite0-")

    def job(self, begins: str) -> Job:
        """The only job whose name begins so."""
        found = [job for job in self.jobs if job.name.startswith(begins)]
        assert len(found) == 1, [job.name for job in found]
        return found[0]


def _jobs(clients) -> Iterator[Job]:
    """All training jobs, oldest first."""
    pages = clients.sagemaker.get_paginator("list_training_jobs").paginate(
        SortBy="CreationTime", SortOrder="Ascending"
    )
    for item in [item for page in pages for item in page["TrainingJobSummaries"]]:
        name = item["TrainingJobName"]
        told = clients.sagemaker.describe_training_job(TrainingJobName=name)
        model = told.get("ModelArtifacts", {}).get("S3ModelArtifacts", "")
        yield Job(
            name,
            told["TrainingJobStatus"],
            {key: value.strip('"') for key, value in told["HyperParameters"].items()},
            {each["MetricName"]: each["Value"] for each in told.get("FinalMetricDataList", [])},
            told["BillableTimeInSeconds"],
            len(_stored(clients, model) or b"") / 1e6,
            clients.log(name),
            *_test(_stored(clients, f"{model.rpartition('/')[0]}/output.tar.gz")),
        )


def _stored(clients, address: str) -> bytes | None:
    """What lies at an address in S3; None: nothing, as where a job was stopped."""
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket:
        return None
    try:
        return clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except clients.s3.exceptions.ClientError:
        return None


def _test(archive: bytes | None) -> tuple[dict | None, pd.DataFrame | None]:
    """The counts and the answers of a job's test, from its output; None: it has tested nothing."""
    if archive is None:
        return None, None
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        files = {Path(member.name).name: member for member in opened if member.isfile()}
        if "test.json" not in files:
            return None, None
        answers = opened.extractfile(files["predictions.csv"])
        options = {"keep_default_na": False, "na_values": {"probability": [""]}}
        table = pd.read_csv(answers, dtype={"label": str, "predicted": str}, **options)
        return json.load(opened.extractfile(files["test.json"])), table
