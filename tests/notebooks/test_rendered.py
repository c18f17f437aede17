"""The committed notebooks are executed ones, and their outputs name no machine."""

import base64
import gzip
import re

import nbformat
import pytest

from course.workspace import ROOT, SHOWN_VERSIONS
from tools import run

NOTEBOOKS = sorted(run.NOTEBOOKS.rglob("[0-9]*.ipynb"))
ACCOUNTS = {"123456789012", "763104351884"}  # the dummy one, and AWS's own of public images
TRACES = {
    "a path of some machine": r"/(?:home|root|Users|tmp|var|work|mnt)/[\w.-]+|site-packages",
    "a download address": r"https?://(?!127\.0\.0\.1|localhost)|\bdownload\.\w+\.\w+",
    "a port": r"(?:127\.0\.0\.1|localhost|0\.0\.0\.0):\d+",
    "an address of an object in memory": r"0x[0-9a-f]{9,}",
    "a key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
}
MAX_MEGABYTES = 30


def outputs(notebook) -> str:
    """All that a notebook's cells have printed and shown, as text (pictures left out)."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts += [str(v) for kind, v in data.items() if kind.startswith("text/")]
            texts.append(output.get("text", ""))
    return "\n".join(texts)


def problems(notebook, versions: dict[str, str]) -> list[str]:
    """What keeps an executed notebook from being committed."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found, text = [], outputs(notebook)
    if [cell.execution_count for cell in code] != list(range(1, len(code) + 1)):
        found.append("cells not executed, or not from top to bottom")
    if any(output.output_type == "error" for cell in code for output in cell.outputs):
        found.append("an error output")
    found += [what for what, pattern in TRACES.items() if re.search(pattern, text)]
    if set(re.findall(r"(?<!\d)\d{12}(?!\d)", text)) - ACCOUNTS:
        found.append("an account number")
    shown = {name: re.search(rf"{name} (\d[\w.]*)", text) for name in SHOWN_VERSIONS}
    if {name: match and match[1] for name, match in shown.items()} != versions:
        found.append("other versions than requirements.txt, or none")
    return found


@pytest.fixture(scope="module")
def versions() -> dict[str, str]:
    pins = dict(re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), re.M))
    return {name: pins[name] for name in SHOWN_VERSIONS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_committed_notebook_is_fit_to_be_read(path, versions):
    assert problems(nbformat.read(path, as_version=4), versions) == []


SPOILED = {
    "cells not executed, or not from top to bottom": lambda c: c[1].update(execution_count=None),
    "an error output": lambda c: c[1].outputs.append(
        nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])
    ),
    "a path of some machine": lambda c: say(c, "see /home/ann/photos"),
    "a download address": lambda c: say(c, "cannot reach download.example.org: no network"),
    "a port": lambda c: say(c, "at http://127.0.0.1:40477"),
    "an address of an object in memory": lambda c: say(c, "<Session at 0x7f5c3e302510>"),
    "a key": lambda c: say(c, "AKIA" + "ABCDEFGHIJKLMNOP"),
    "an account number": lambda c: say(c, "arn:aws:iam::210987654321:role/x"),
    "other versions than requirements.txt, or none": lambda c: c[0].outputs.clear(),
}


def say(code, text):
    code[1].outputs.append(nbformat.v4.new_output("stream", text=text))


@pytest.mark.parametrize("what", SPOILED)
def test_each_problem_is_found(what, versions):
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    SPOILED[what]([cell for cell in notebook.cells if cell.cell_type == "code"])
    assert what in problems(notebook, versions)


def test_the_notebooks_stay_small():
    assert sum(path.stat().st_size for path in NOTEBOOKS) < MAX_MEGABYTES * 1e6 / 4


def unpacked(page: str) -> str:
    """A report's text with what it draws; without plotly's script, which is the same everywhere."""
    page = re.sub(r'<script[^>]*id="packed-plotly">[^<]*</script>', "", page)
    packed = re.search(r'id="packed-data">([^<]+)<', page)
    return page + gzip.decompress(base64.b64decode(packed[1])).decode()


def traces(text: str) -> list[str]:
    """What keeps a file that a notebook has written from being committed."""
    found = [what for what, pattern in TRACES.items() if re.search(pattern, text)]
    strange = set(re.findall(r"(?<![\d.])\d{12}(?![\d.])", text)) - ACCOUNTS
    return found + ["an account number"] * bool(strange)


def test_the_committed_write_up_names_no_machine():
    text = (run.REPORTS / "write-up.md").read_text()
    assert traces(text) == []
    assert "](profiler-report.html)" in text


def test_the_committed_report_is_a_run_s_and_names_no_machine():
    text = unpacked((run.REPORTS / "profiler-report.html").read_text())
    assert traces(text.replace("http://www.w3.org/2000/svg", "")) == []  # a name
    assert "dog-breeds-profiled-" in text and "Data loading" in text


def test_traces_in_what_a_report_draws_are_found():
    packed = base64.b64encode(gzip.compress(b'{"source": "/home/someone/x"}')).decode()
    text = unpacked(f'<script type="x" id="packed-data">{packed}</script>')
    assert re.search(TRACES["a path of some machine"], text)
