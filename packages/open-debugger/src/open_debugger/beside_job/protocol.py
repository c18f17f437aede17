"""What an evaluator and the engine that started it say to each other.

The evaluator tells of each change of a rule's status by a line of JSON on standard output; with
``"Results": true`` a rule that is still in progress says that what it has written is to be kept.
Closing the evaluator's standard input says that there will be no more to read.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """Where the lines go; what rules print is no status and goes to standard error."""
    with os.fdopen(os.dup(1), "w") as output:
        os.dup2(2, 1)
        yield output


def tell(
    output: TextIO, name: str, status: str, details: str | None, results: bool = False
) -> None:
    """Tell a rule's status (a RuleEvaluationStatus) and its StatusDetails."""
    line = {
        "RuleConfigurationName": name,
        "RuleEvaluationStatus": status,
        "StatusDetails": details,
        **({"Results": True} if results else {}),
    }
    print(json.dumps(line), file=output, flush=True)


def told_to_end(seconds: float) -> bool:
    """Sleep, at most so long; True when standard input is closed."""
    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and not os.read(sys.stdin.fileno(), 4096)


def results(folder: Path, name: str) -> Path:
    """The folder in `folder` for what the rule of that RuleConfigurationName writes."""
    place = folder / name
    if folder.resolve() not in place.resolve().parents:  # the API allows any name
        place = folder / re.sub(r"[/.]", "_", name)
    place.mkdir(parents=True, exist_ok=True)
    return place
