"""Progress: a bar over anything that can be iterated over, and a timeline of a job's states."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from ipywidgets import IntProgress

from course.jobs import BAD, UNDER_WAY, State, as_state
from course.widgets import strips
from course.widgets.live import Live

Item = TypeVar("Item")


class Unsuccessful(RuntimeError):
    """What was watched has ended, and not well; the text says what, how, why and where to look."""


# -------------------------------------------------------------------------------------------- track


def track(iterable: Iterable[Item], total: int, label: str) -> Iterator[Item]:
    """Yield the items while a bar counts them; at the end, or at an error, a picture is left.

    Args:
        iterable: what to go through; it is asked for an item only when one is needed.
        total: how many items there are.
        label: what they are, in the plural: "photos".
    """
    begun, done, shown, complete = time.monotonic(), 0, 0.0, False
    live = Live(IntProgress(max=max(total, 1)), f"0 of {total:,} {label}")
    try:
        for item in iterable:
            yield item
            done += 1
            if (now := time.monotonic()) - shown > 0.1:  # each update is a message
                live.say(_counted(done, total, label, now - begun), done)
                shown = now
        complete = True
    finally:
        words = _counted(done, total, label, time.monotonic() - begun)
        words += "" if complete else " · stopped"
        live.leave(strips.bar(words, done / max(total, 1), complete), words)


def _counted(done: int, total: int, label: str, seconds: float) -> str:
    rate = f" · {_significant(done / seconds)} a second" if done and seconds else ""
    return f"{done:,} of {total:,} {label} · {strips.spoken_time(seconds)}{rate}"


def _significant(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


# -------------------------------------------------------------------------------------------- watch


def watch(
    ask: Callable[[], str | tuple],
    label: str,
    total: int | None = None,
    every_s: float = 3,
    begun: float | None = None,
) -> State:
    """Ask until the status is a final one and return the last answer; a timeline is left.

    Args:
        ask: gives SageMaker's status, or a `State`: `(status, done, reason)`, the last two if any.
        label: what is watched: "endpoint", or with `total` what is counted: "jobs".
        total: how many will be done in the end.
        every_s: seconds between two questions.
        begun: the value of `time.monotonic` from which the seconds count; by default, now. A client
            may have waited already when it returns an endpoint or a job.

    Raises:
        Unsuccessful: it has failed or was stopped.
        ValueError: `ask` gave something that is no status.
        Exception: whatever `ask` raises.
    """
    begun, moments, state = time.monotonic() if begun is None else begun, [], None
    bar = IntProgress(max=total) if total else None
    live = Live(bar, f"{label}: asking")
    try:
        while state is None or not state.ended:
            state = as_state(ask())
            if not moments or moments[-1].state[:2] != state[:2]:
                moments.append(strips.Moment(time.monotonic() - begun, state))
            if not state.ended:
                _wait(every_s, lambda: live.say(*_now(label, moments[-1].state, total, begun)))
    finally:
        _leave_timeline(live, label, total, moments, time.monotonic() - begun)
    if state.status in BAD:
        raise Unsuccessful(_complaint(label, state, time.monotonic() - begun))
    return state


def _wait(seconds: float, show: Callable[[], None]) -> None:
    """Sleep, and let the seconds be seen passing."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        show()
        time.sleep(min(left, 0.5))


def _now(label: str, state: State, total: int | None, begun: float) -> tuple[str, int]:
    return _told(label, state, total, time.monotonic() - begun), state.done or 0


def _told(label: str, state: State, total: int | None, seconds: float) -> str:
    count = [] if state.done is None else [f"{state.done}{f' of {total}' if total else ''} done"]
    return f"{label}: " + " · ".join([state.status, *count, strips.spoken_time(seconds)])


def _leave_timeline(
    live: Live, label: str, total: int | None, moments: Sequence[strips.Moment], seconds: float
) -> None:
    state = moments[-1].state if moments else State("no answer")
    words = _told(label, state, total, seconds)
    if state.status in UNDER_WAY:  # the kernel was interrupted, or asking failed
        words += " · no longer watched"
    live.leave(strips.timeline(words, moments, seconds), words)


def _complaint(label: str, state: State, seconds: float) -> str:
    reason = f": {state.reason.rstrip('.')}" if state.reason else ""
    return (
        f"{label} {state.status} after {strips.spoken_time(seconds)}{reason}. Its log says more: "
        "in CloudWatch under /aws/sagemaker/TrainingJobs (jobs) or "
        "/aws/sagemaker/Endpoints/<name>; on this machine `local-sagemaker logs <name>` prints it."
    )
