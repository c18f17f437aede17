"""The report in a notebook: a small static summary, and the whole in a frame beside it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from open_debugger.profiler.findings import Diagnosis, Finding
from open_debugger.profiler.recording import Recording
from open_debugger.profiler.report import page


@dataclass(frozen=True)
class Summary:
    """Verdict, figures and rules; shown as HTML without a script (< 30 kB), printed as text."""

    markup: str
    text: str

    def _repr_html_(self) -> str:
        return self.markup

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Frame:
    """A report in a frame, with a link to it; `address` is relative to the notebook."""

    address: str
    height: int

    def _repr_html_(self) -> str:
        address = escape(self.address, quote=True)
        return (
            f'<p><a href="{address}" target="_blank" rel="noopener">Open the report</a></p>'
            f'<iframe src="{address}" title="Profiler report" width="100%" '
            f'height="{self.height}" style="border:1px solid #8888;border-radius:6px"></iframe>'
        )

    def __str__(self) -> str:
        return f"the report: {self.address}"


def summary(
    recording: Recording, findings: Iterable[Finding], diagnosis: Diagnosis, limit: int = 20
) -> Summary:
    """The report's verdict, key figures, parts of a step and at most `limit` rules.

    Rules that found nothing are named only; the whole report has what they saw.
    """
    known = page.context(recording, list(findings), diagnosis)
    known["rules_shown"] = known["rules"].loud[:limit]
    known["parts"] = [part for part in known["train"] if part.seconds is not None]
    template = page.environment().get_template("summary.html.j2")
    return Summary(template.render(**known), _text(known))


def as_iframe(file: str | Path, height: int = 800) -> Frame:
    """Show a report that `write` made in a notebook's cell.

    The frame points to the file by its path relative to the working folder, which in Jupyter is the
    notebook's: it shows there, and in the notebook's HTML export where the two stay side by side.

    Raises:
        FileNotFoundError: there is no such report.
    """
    if not Path(file).is_file():
        raise FileNotFoundError(f"no report at '{file}': write it with report.write first")
    return Frame(quote(Path(os.path.relpath(file)).as_posix()), height)


def _text(known: dict) -> str:
    verdict = known["verdict"]
    lines = [f"{name}: {sentence}" for name, sentence in verdict.sentences.items()]
    lines += [f"{name}: {value} ({remark})" for name, value, remark in known["figures"]]
    rules = known["rules"]
    lines += [f"{rule.finding.name}: {rule.status}" for rule in rules.loud]
    lines += [f"No issues: {', '.join(rules.quiet)}"] if rules.quiet else []
    lines += [f"{why}: {', '.join(names)}" for why, names in rules.skipped.items()]
    return "\n".join([f"Profiler report of {known['title']}", *lines])
