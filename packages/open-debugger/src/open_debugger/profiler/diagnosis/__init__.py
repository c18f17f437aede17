"""The verdict on a run: what limited it, by which evidence, and what to change."""

from open_debugger.profiler.diagnosis.decision import diagnose
from open_debugger.profiler.diagnosis.sentences import more_workers

__all__ = ["diagnose", "more_workers"]
