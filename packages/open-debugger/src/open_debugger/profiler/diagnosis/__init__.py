"""The verdict on a run: what limited it, by which evidence, and what to change."""

from open_debugger.profiler.diagnosis.decision import diagnose
from open_debugger.profiler.diagnosis.sentences import is_full, less_decoding, more_workers

__all__ = ["diagnose", "is_full", "less_decoding", "more_workers"]
