"""docs/debugger-rules.md: the measured tables, and the text that follows from the code."""

from __future__ import annotations

import inspect
from pathlib import Path

from benchmarks.illnesses import COLLECTIONS, HEALTHY, ILL, VGG_ACTIVATIONS
from course import rules
from open_debugger import RULES, catalogue

BEGIN, END = "<!-- measured: written by make rules-matrix -->", "<!-- end of what is measured -->"
SIGNS = {"fires": "**!**", "silent": "·", "absent": "n/a"}
CAUGHT = "✓"
INTRODUCTION = """\
# Debugger's rules, open

AWS never published the rules of SageMaker Debugger, and has closed it to new accounts. Those of
`open_debugger` have the same names, parameters and defaults, work on the same tensors, and can be
read: on AWS for old accounts and new ones, and here.

```python
from open_debugger import evaluate

print(evaluate("s3://bucket/prefix/job/debug-output", ["VanishingGradient", "Overfit"]))
```

- [Healthy and ill runs](#healthy-and-ill-runs): what the rules say of nine trainings
- [Parameters](#parameters): the course's, AWS's, and why they differ
- [The rules](#the-rules): their conditions as formulas, and where they come from

## Healthy and ill runs
"""
LEGEND = """\
In each field the rule's answer with the course's parameters, then with AWS's defaults:
✓ the illness is caught by its rule; **!** the rule fires; · it is silent; n/a: nothing that it
looks at was saved. An illness has several symptoms, so other rules may fire on ill runs, too; on
healthy runs none may.
"""


def write(page: Path, measured_part: str) -> None:
    """Write the page around its measured part."""
    parts = [INTRODUCTION, BEGIN, measured_part.strip(), END, text()]
    page.write_text("\n".join(parts))


def measured(page: Path) -> str:
    """The measured part of a page that was written."""
    return page.read_text().partition(BEGIN)[2].partition(END)[0]


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


def text() -> str:
    """What follows from the code."""
    return "\n".join([_collections(), _parameters(), _rules()])


def _collections() -> str:
    rows = [
        [f"`{name}`", "<br>".join(f"`{key}`: `{_cell(value)}`" for key, value in given.items())]
        for name, given in COLLECTIONS.items()
    ]
    return f"""
What was saved:

{_table(["collection", "parameters"], rows)}

VGG16's `activations` are `{_cell(VGG_ACTIVATIONS["include_regex"])}`.

`train.start_step` keeps the hook from saving the first step's gradients and weights. There, each
block of the course's ResNets is the identity (its last normalisation begins with 0), so that most
gradients are exactly 0 in a network that learns well: VanishingGradient, AllZero and
PoorWeightInitialization would fire. `eval.start_step` keeps it from saving parameters in
evaluation; smdebug would save the first step of each mode.
"""


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


def _parameters() -> str:
    rows = []
    for name in RULES:
        defaults, chosen = catalogue.defaults(name), rules.RULES_FOR_THE_COURSE[name]
        aws = "<br>".join(f"{key} {_given(value)}" for key, value in defaults.items())
        own = "<br>".join(f"{key} {_given(value)}" for key, value in chosen.items())
        rows.append([name, aws, own or "the same", rules.REASONS[name]])
    head = ["rule", "AWS's defaults", "the course's, where they differ", "why"]
    return f"""\
## Parameters

`course/rules.py` has the course's. `smoothing` and, in LossNotDecreasing, `patience` are not AWS's;
by default they change nothing.

{_table(head, rows)}
"""


def _given(value: object) -> str:
    if value is None:
        return "none"
    return f"`{_cell(', '.join(value) if isinstance(value, (list, tuple)) else value)}`"


def _rules() -> str:
    sections = [f"### {name}\n\n{inspect.getdoc(rule)}\n" for name, rule in RULES.items()]
    return "## The rules\n\n" + "\n".join(sections)
