"""Findings as files in the form of AWS's rule reports."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from open_debugger.profiler.catalogue import REPORT
from open_debugger.profiler.findings import Finding


def write(findings: Iterable[Finding], folder: Path) -> list[Path]:
    """Write each finding but ProfilerReport's as ``<folder>/<Rule>.json``; return the files.

    Of two findings of one rule the second is called by its RuleConfigurationName.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for finding in findings:
        if finding.rule == REPORT:
            continue
        path = folder / f"{_safe(finding.rule)}.json"
        if path in paths:
            path = folder / f"{_safe(finding.name)}.json"
        path.write_text(json.dumps(report(finding), allow_nan=False) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def report(finding: Finding) -> dict:
    """A finding in the form of AWS's rule reports, and besides its status and sentences."""
    return {
        "RuleTriggered": finding.triggered,
        "Violations": finding.violations,
        "Details": plain(finding.details),
        "Datapoints": finding.datapoints,
        "RuleParameters": "\n".join(f"{k}:{_text(v)}" for k, v in finding.parameters.items()),
        "RuleStatus": finding.status,
        "Summary": finding.summary,
        "Advice": finding.advice,
        "ScaledParameters": plain(finding.scaled),
    }


def plain(value: object) -> object:
    """A value for JSON, which has neither NaN nor infinity: they are None."""
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _safe(name: str) -> str:
    """The API allows any name."""
    return re.sub(r"[^A-Za-z0-9-]", "_", name)
