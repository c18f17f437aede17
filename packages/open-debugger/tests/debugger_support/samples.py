"""What a sampler has written so far."""

from __future__ import annotations

import json

from debugger_support.processes import wait_until


def files(folder):
    return sorted(folder.glob("system/incremental/*/*.json"))


def rows(folder):
    return [json.loads(line) for file in files(folder) for line in file.read_text().splitlines()]


def moments(folder):
    return sorted({row["Timestamp"] for row in rows(folder)})


def at_least(folder, samples):
    return wait_until(lambda: len(moments(folder)) >= samples)


def values(found, dimension, kind):
    return [r["Value"] for r in found if (r["Dimension"], r["Type"]) == (dimension, kind)]
