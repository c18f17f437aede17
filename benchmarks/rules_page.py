"""The course's part of open-debugger's page of rules: what was measured, and its parameters."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.illnesses import COLLECTIONS, HEALTHY, ILL, VGG_ACTIVATIONS
from course.debugger import rules
from open_debugger import RULES

PAGE = Path(__file__).parents[1] / "packages" / "open-debugger" / "docs" / "debugger-rules.md"
MEASURED = (
    "<!-- measured: written by make rules-matrix -->\n",
    "\n<!-- end of what is measured -->",
)
COURSE = (
    "<!-- the course's parameters: written by make rules-matrix MATRIX=--text -->\n",
    "\n<!-- end of the course's parameters -->",
)
SIGNS = {"fires": "**!**", "silent": "·", "absent": "n/a"}
CAUGHT = "✓"
LEGEND = """\
In each field the rule's answer with the course's parameters, then with AWS's defaults:
✓ the illness is caught by its rule; **!** the rule fires; · it is silent; n/a: nothing that it
looks at was saved. An illness has several symptoms, so other rules may fire on ill runs, too; on
healthy runs none may.
"""


def write(page: Path, measured_part: str) -> None:
    """Write the two blocks that are the course's, and leave the rest of the page as it is.

    Raises:
        ValueError: the measured part lacks a rule or a run, or the page lacks a block.
    """
    runs = " | ".join(run.name for run in (*HEALTHY, *ILL))
    for wanted in [f"\n| rule | {runs} |\n", *(f"\n| {name} | " for name in RULES)]:
        if wanted not in measured_part:
            raise ValueError(f"no line {wanted.strip()!r} was measured: run make rules-matrix")
    text = page.read_text()
    for (begin, end), part in ((MEASURED, measured_part), (COURSE, course_part())):
        block = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
        if not block.search(text):
            raise ValueError(f"{page.name} has no block {begin.strip()}")
        text = block.sub((begin + part.strip() + end).replace("\\", r"\\"), text)
    page.write_text(text)


def measured(page: Path) -> str:
    """The measured part of a page that was written."""
    begin, end = MEASURED
    return page.read_text().partition(begin)[2].partition(end)[0]


def tables(results: list[dict], how: str) -> str:
    """The measured part: the runs, what the rules said, and how it was found out."""
    names = [result["name"] for result in results]
    seeds = ", ".join(f"{run.name} {names.count(run.name)}" for run in HEALTHY)
    return "\n\n".join([_runs(results), LEGEND.strip(), _matrix(results), _notes(seeds, how)])


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _runs(results: list[dict]) -> str:
    rows = []
    for run in (*HEALTHY, *ILL):
        its = [result for result in results if result["name"] == run.name]
        first, last = its[0]["epochs"][0], its[0]["epochs"][-1]
        losses = f"{_loss(first['train_loss'])} → {_loss(last['train_loss'])}"
        accuracy = f"{last['valid_accuracy']:.2f}"
        seconds = " + ".join(f"{value:.0f}" for value in its[0]["seconds"])
        megabytes = f"{its[0]['megabytes']:.0f}"
        rows.append([run.name, run.what, losses, accuracy, run.rule or "none", seconds, megabytes])
    head = ["run", "what it is", "training loss", "validation accuracy", "rule that has to fire"]
    return _table([*head, "seconds: training + rules", "MB saved"], rows)


def _loss(value: float) -> str:
    return f"{value:.2f}" if value < 1000 or value != value else f"{value:.0e}"


def _matrix(results: list[dict]) -> str:
    runs = (*HEALTHY, *ILL)
    rows = [[name, *(_field(run, name, results) for run in runs)] for name in RULES]
    return _table(["rule", *(run.name for run in runs)], rows)


def _field(run, name: str, results: list[dict]) -> str:
    signs = []
    for whose in ("course", "aws"):
        said = [r["said"][whose][name]["said"] for r in results if r["name"] == run.name]
        fired = said.count("fires")
        sign = SIGNS["fires" if fired else said[0]]
        if fired and run.rule == name:
            sign = CAUGHT
        elif 0 < fired < len(said):
            sign += f" {fired} of {len(said)}"
        signs.append(sign)
    return " / ".join(signs)


def _notes(seeds: str, how: str) -> str:
    return f"""\
Seeds: {seeds}, the ill runs one each. Where a rule fired with some seeds only, their number stands
beside it; the first table's figures are those of seed 0.

{how}

All on drawn photos, 10 breeds with 24 for training and 8 for validation, at 64 pixels, batches
of 16, 4 epochs, learning rate 1e-3 unless it says otherwise: `entry_points`' networks, loaders,
optimiser, schedule and hook. `benchmarks/illnesses.py` has the runs."""


def course_part() -> str:
    """What follows from the code: the collections that were saved, the course's parameters."""
    return f"{_collections()}\n\n{_parameters()}"


def _collections() -> str:
    rows = [
        [f"`{name}`", "<br>".join(f"`{key}`: `{_cell(value)}`" for key, value in given.items())]
        for name, given in COLLECTIONS.items()
    ]
    return f"""\
### What was saved

{_table(["collection", "parameters"], rows)}

VGG16's `activations` are `{_cell(VGG_ACTIVATIONS["include_regex"])}`.

`train.start_step` keeps the hook from saving the first step's gradients and weights. There, each
block of the course's ResNets is the identity (its last normalisation begins with 0), so that most
gradients are exactly 0 in a network that learns well: VanishingGradient, AllZero and
PoorWeightInitialization would fire. `eval.start_step` keeps it from saving parameters in
evaluation; smdebug would save the first step of each mode."""


def _parameters() -> str:
    rows = []
    for name in RULES:
        chosen = rules.RULES_FOR_THE_COURSE[name].items()
        own = "<br>".join(f"{key} {_given(value)}" for key, value in chosen)
        rows.append([name, own or "AWS's defaults", rules.REASONS[name]])
    return f"""\
### The course's parameters

`course/debugger/rules.py` has them.

{_table(["rule", "where they differ from AWS's defaults", "why"], rows)}"""


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _given(value: object) -> str:
    return f"`{_cell(', '.join(value) if isinstance(value, (list, tuple)) else value)}`"
