"""A run's profile with one call: what was recorded, what the rules find in it, the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from open_debugger.profiler import report
from open_debugger.profiler.diagnosis import diagnose
from open_debugger.profiler.evaluation import Rules, evaluate
from open_debugger.profiler.findings import Diagnosis, Findings
from open_debugger.profiler.reading.job import from_description
from open_debugger.profiler.reading.reader import read
from open_debugger.profiler.recording import Recording


@dataclass(frozen=True, repr=False)
class Profile:
    """A recording with its findings and its diagnosis; a notebook shows the report's summary."""

    recording: Recording
    findings: Findings
    diagnosis: Diagnosis

    def save(self, file: str | Path) -> Path:
        """Write the whole report, one HTML file, with its folders; return its path."""
        return report.write(self.recording, self.findings, self.diagnosis, file)

    def _summary(self) -> report.Summary:
        return report.summary(self.recording, self.findings, self.diagnosis)

    def __repr__(self) -> str:
        return str(self._summary())

    def _repr_html_(self) -> str:
        return self._summary()._repr_html_()


def analyse(place: str | Path, job: object = None, rules: Rules | None = None) -> Profile:
    """Read a recording, evaluate rules on it, and say what limited the run.

    Args:
        place: a profiler-output folder, its ``s3://`` address, or an ``output.tar.gz`` (`read`).
        job: what DescribeTrainingJob answered, as boto3 or SDK v3 gives it; the report then has the
            job's phases, instance and times.
        rules: as `evaluate` takes them; by default all that ProfilerReport runs.

    Raises:
        RecordingError: there is nothing to read.
        RuleError: two rules have the same name.
    """
    recording = read(place, None if job is None else from_description(job))
    findings = evaluate(recording, rules)
    return Profile(recording, findings, diagnose(recording, findings))
