"""The lines that a run prints: once, however many processes it has."""

from typing import Any

from records.hookconfig import is_first_process

DIGITS = {"epoch": 0, "images": 0, "seconds": 2, "images_per_second": 1}  # else four


def say(*words: Any) -> None:
    """Print a line."""
    if is_first_process():
        print(*words, flush=True)


def report(metrics: dict[str, float]) -> None:
    """Print one line of metrics, in the form which `train.py` fixes for metric regexes."""
    say(*(f"{name}={value:.{DIGITS.get(name, 4)}f}" for name, value in metrics.items()))
