"""Helpers that the notebooks import.

`import course; ws = course.connect()` is the first cell of each notebook. Nothing here imports
sagemaker before `connect` has settled where the notebook runs: the SDK reads region and
configuration when it is imported.
"""

from course.account.preflight import Preflight, preflight
from course.jobs import MissingStep
from course.source import show
from course.workspace import Workspace, connect

__all__ = ["MissingStep", "Preflight", "Workspace", "connect", "preflight", "show"]
