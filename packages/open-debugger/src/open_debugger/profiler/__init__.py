"""SageMaker Debugger's profiler, open: system metrics and step times, rules on them, a report.

`analyse` does all of it with one call; `read`, `evaluate` and `diagnose` are its parts.
"""

from open_debugger.profiler.analysis import Profile, analyse
from open_debugger.profiler.diagnosis import diagnose
from open_debugger.profiler.evaluation import evaluate
from open_debugger.profiler.reading.reader import read
from open_debugger.profiler.recording import Recording, RecordingError

__all__ = ["Profile", "Recording", "RecordingError", "analyse", "diagnose", "evaluate", "read"]
