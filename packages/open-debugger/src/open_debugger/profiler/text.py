"""Numbers, times and names as the report prints them; what is not known is a dash."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import PurePath

import numpy as np

MISSING = "\N{EN DASH}"
ENTRIES = 12  # of a list or dict in them
LONGEST = 1500  # characters of a rule's details


def known(value: object) -> bool:
    """Whether there is a finite number."""
    return isinstance(value, (int, float, np.number)) and math.isfinite(value)


def number(value: object) -> str:
    """Three digits, in full: 0.0123, 4.50, 78.9, 12,345; whole numbers as they are."""
    if not known(value):
        return MISSING
    if float(value).is_integer():
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.2e}" if digits > 6 else f"{value:,.{digits}f}"


def seconds(value: object) -> str:
    """A duration: 850 µs, 412 ms, 3.21 s, 12 min 3 s, 1 h 2 min."""
    if not known(value):
        return MISSING
    if abs(value) < 1e-3:
        return f"{1e6 * value:.0f} µs" if value else "0 s"
    if abs(value) < 0.9995:
        return f"{number(1e3 * value)} ms"
    if abs(value) < 59.95:
        return f"{number(value)} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def percent(share: object) -> str:
    """A share of 1 in percent: 0.4%, 35%."""
    if not known(share):
        return MISSING
    return f"{100 * share:.0f}%" if share == 0 or abs(share) >= 0.0995 else f"{100 * share:.1f}%"


def moment(time: object) -> str:
    """Seconds since the epoch as a date and a time of day, UTC."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC" if known(time) else MISSING


def place(source: str) -> str:
    """Where a recording came from, without this machine's folders: an address or a last name."""
    return source if "://" in source else PurePath(source).name


def slug(name: str) -> str:
    """A name as a style's class."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def short(value: object) -> object:
    """The same with a few entries of long lists and dicts, and numbers of four digits."""
    if isinstance(value, dict):
        kept = {str(k): short(v) for k, v in list(value.items())[:ENTRIES]}
        left = len(value) - len(kept)
        return {**kept, "…": f"{left:,} more"} if left else kept
    if isinstance(value, (list, tuple)):
        kept, left = [short(v) for v in value[:ENTRIES]], len(value) - ENTRIES
        return [*kept, f"… {left:,} more"] if left > 0 else kept
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.4g}") if known(value) else str(value)
    return value


def plain(value: object) -> str:
    """Any value of a rule's parameters or details, short."""
    if value is None:
        return "not set"
    if known(value):
        return f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
    made = value if isinstance(value, str) else short(value)
    text = made if isinstance(made, str) else json.dumps(made, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} … ({len(text):,} characters)"
