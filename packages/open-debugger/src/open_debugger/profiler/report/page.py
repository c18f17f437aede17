"""The report as one HTML file: texts, tables, charts and their script, and nothing from outside."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from open_debugger.profiler import text
from open_debugger.profiler.findings import Diagnosis, Finding
from open_debugger.profiler.recording import Recording
from open_debugger.profiler.report import charts, sections, shares

BARS = 12  # bars; further epochs are in the table only


def write(
    recording: Recording, findings: Iterable[Finding], diagnosis: Diagnosis, file: str | Path
) -> Path:
    """Write the report of a run to `file`, with its folders; return its path.

    The file holds all it needs, plotly's script included, and asks no network for anything. Of a
    series of more than 2,000 samples it holds the minimum, mean and maximum of 1,000 stretches.
    """
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(html(recording, findings, diagnosis), encoding="utf-8")
    return file


def html(recording: Recording, findings: Iterable[Finding], diagnosis: Diagnosis) -> str:
    """The report as text: see `write`."""
    findings = list(findings)
    stddev = sections.stddev(findings)
    panels = charts.timelines(recording, stddev)
    shown = charts.payload(recording, panels, stddev)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            **context(recording, findings, diagnosis),
            panels=panels,
            histogram=shown["histogram"],
            shades=sorted({each["name"] for each in shown["shades"]}),
            data=_packed(json.dumps(shown, separators=(",", ":"), allow_nan=False)),
            plotly=_plotly(),
            notice=_notice(),
            bars=BARS,
        )
    )


def context(recording: Recording, findings: list[Finding], diagnosis: Diagnosis) -> dict:
    """What the template says in words and tables."""
    train = shares.phase_steps(recording, "train")
    evaluating = recording.steps[recording.steps["phase"].isin(shares.EVALUATING)]
    return {
        "title": sections.title(recording),
        "verdict": sections.verdict(recording, diagnosis),
        "job": recording.job,
        "failed": sections.failed(recording.job),
        "missing": sections.missing(recording),
        "figures": sections.figures(recording),
        "facts": sections.facts(recording),
        "phases": sections.phases(recording.job, recording.end),
        "activity": shares.activity(recording),
        "train": shares.parts(train) if shares.measured(train) else [],
        "evaluating": shares.parts(evaluating) if shares.measured(evaluating) else [],
        "counts": {"train": len(train), "evaluating": len(evaluating)},
        "epochs": [(name, shares.parts(own)) for name, own in shares.epochs(recording)],
        "usage": sections.usage(recording),
        "operators": sections.operators(recording),
        "operator_count": len(recording.operators),
        "rules": sections.rules(recording, findings),
        "source": text.place(recording.source),
        "start": recording.start,
    }


@cache
def environment() -> jinja2.Environment:
    """The templates with their filters; everything is escaped but our own style and script."""
    loader = jinja2.PackageLoader("open_debugger.profiler.report")
    made = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    for each in (text.seconds, text.percent, text.number, text.moment, text.slug):
        made.filters[each.__name__] = each
    made.globals["inline"] = lambda name: Markup(loader.get_source(made, name)[0])
    return made


@cache
def _plotly() -> str:
    return _packed(get_plotlyjs())


def _notice() -> str:
    """plotly.js's name, copyright and licence, from its first comment."""
    comment = get_plotlyjs()[:400].partition("*/")[0]
    return " ".join(comment.replace("/*", "").replace("*", "").split())


def _packed(content: str) -> str:
    """Compressed, and in letters that end no script element: a third of the size."""
    return base64.b64encode(gzip.compress(content.encode(), mtime=0)).decode()
