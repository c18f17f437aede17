"""A plugin of pytest for the notebooks of the dry run: what one of their cells must have shown.

    COURSE_SPOT=1 python -m pytest -p tools.dry_run.shown --nbval-lax notebooks

On spot instances that is the table of what they have saved. Without it, the run fails.
"""

from __future__ import annotations

import os
import re
from typing import Any

from course import jobs

found: list[str] = []  # the heads of tables of savings


def pytest_runtest_teardown(item: Any) -> None:
    """Note a table of savings among the outputs of a cell that has run."""
    for output in getattr(item, "test_outputs", None) or ():  # nbval's
        header = str(output.get("data", {}).get("text/html", "")).partition("</thead>")[0]
        if re.findall(r"<th>(\w+)</th>", header) == list(jobs.SAVINGS):
            found.append(header)


def pytest_sessionfinish(session: Any) -> None:
    """Fail the run if jobs on spot instances were to be shown, and were not."""
    if os.environ.get("COURSE_SPOT") == "1" and not found and not session.exitstatus:
        print("\nFAILED no cell shows what spot instances have saved (jobs.savings)")
        session.exitstatus = 1
