"""What the numbers of a plot say, in two sentences computed from them."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

Curve = tuple[Sequence[float], Sequence[float]]
FLAT = 0.02  # a change smaller than this share is no change


def losses(curves: Mapping[str, Curve]) -> str:
    """Two sentences on a run's losses: how far they fell, and whether validation follows.

    Args:
        curves: ``{"train": (steps, values), "valid": (steps, values)}``; losses in nats, of
            validation one for each evaluation (see `per_evaluation`).

    Raises:
        ValueError: if one of the two has no values.
    """
    for name in ("train", "valid"):
        if name not in curves or len(curves[name][1]) == 0:
            raise ValueError(f"there are no '{name}' losses: has the job saved any?")
    begin, end = _ends(curves["train"][1])
    fall = (begin - end) / begin
    direction = "fell" if fall > FLAT else "rose" if fall < -FLAT else "stayed flat"
    first = f"The training loss {direction} from {begin:.2f} to {end:.2f} ({-fall:+.0%})."
    return f"{first} {_validation(curves['valid'][1], end)}"


def per_evaluation(curve: Curve) -> Curve:
    """The last step and the mean loss of each evaluation, a run of consecutive steps.

    Single batches of an evaluation say little: photos come in the order of their classes.
    """
    steps, values = np.asarray(curve[0]), np.asarray(curve[1], dtype=float)
    breaks = np.flatnonzero(np.diff(steps) > 1) + 1
    parts = zip(np.split(steps, breaks), np.split(values, breaks), strict=True)
    pairs = [(int(s[-1]), float(v.mean())) for s, v in parts if len(s)]
    return [step for step, _ in pairs], [mean for _, mean in pairs]


def gradients(norms: pd.DataFrame) -> str:
    """Two sentences on gradient norms: how even they are over the layers, and how they change.

    Args:
        norms: a row a layer from input to head, a column a saved step.

    Raises:
        ValueError: if no norm is above zero at the last step.
    """
    last = norms[norms.columns[-1]]
    alive = last[np.isfinite(last) & (last > 0)]
    if alive.empty:
        raise ValueError("no gradient is above zero at the last step: the network learns nothing")
    small, large = alive.idxmin(), alive.idxmax()
    silent = len(last) - len(alive)
    dead = f"; {silent} layers have none" if silent else ""
    spread = (
        f"At step {last.name} the norms of {len(alive)} layers lie between {alive.min():.2g} "
        f"({small}) and {alive.max():.2g} ({large}), a factor of {alive.max() / alive.min():.0f}"
        f"{dead}."
    )
    begin, end = (float(np.nanmedian(norms[step])) for step in (norms.columns[0], last.name))
    direction = "shrank" if end < begin else "grew"
    return f"{spread} The median {direction} from {begin:.2g} to {end:.2g} over the run."


def weights(shares: Mapping[int, pd.DataFrame]) -> str:
    """Two sentences on weights: what training changed most, and which layer is the widest.

    Args:
        shares: by step a row a layer, columns the percentiles (5, 25, 50, 75, 95).

    Raises:
        ValueError: if no step was saved.
    """
    if not shares:
        raise ValueError("there are no weights: has the job saved any?")
    first, last = min(shares), max(shares)
    before, after = shares[first], shares[last]
    old, new = before[95] - before[5], after[95] - after[5]
    widest = (
        f"The widest weights are those of {new.idxmax()} ({new.max():.2f} from the 5th to the 95th "
        f"percentile), the narrowest those of {new.idxmin()} ({new.min():.3f})."
    )
    change = (new / old - 1).replace([np.inf, -np.inf], np.nan)
    if first == last or change.isna().all():
        return f"Weights of one step only show no change: step {last}. {widest}"
    most = change.abs().idxmax()
    return (
        f"From step {first} to {last} the range of the weights changed most in {most} "
        f"({change[most]:+.0%}), in the middle layer by {change.median():+.1%}. {widest}"
    )


def parts(table: pd.DataFrame) -> str:
    """Two sentences on two profiled runs: how long each waits for data, and what that makes.

    Args:
        table: as `course.step_times.parts` gives it, the slower run first.

    Raises:
        ValueError: it has not two rows.
    """
    if len(table) != 2:
        raise ValueError(f"two runs are compared, and there are {len(table)}")
    totals, waits = table.sum(axis=1), table["waiting for data"]
    (slow, quick), shares = table.index, waits / totals
    return (
        f"The {slow} run waits {shares[slow]:.0%} of each step for data ({waits[slow]:.0f} of "
        f"{totals[slow]:.0f} ms), the {quick} one {shares[quick]:.0%} ({waits[quick]:.0f} of "
        f"{totals[quick]:.0f} ms). Its steps take {totals[slow] / totals[quick]:.1f} times as long."
    )


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Means of the first and of the last tenth: single steps are noisy."""
    count = max(1, len(values) // 10)
    return float(np.mean(values[:count])), float(np.mean(values[-count:]))


def _validation(means: Sequence[float], train_end: float) -> str:
    lowest, last = int(np.argmin(means)), means[-1]
    gap = f"{abs(last - train_end) / train_end:.0%} {'above' if last > train_end else 'below'}"
    if lowest == len(means) - 1:
        said = "was lowest at the end, so more epochs may still help"
    else:
        said = f"was lowest after evaluation {lowest + 1} of {len(means)}, so the rest overfitted"
    return f"The validation loss {said}; it ended at {last:.2f}, {gap} the training loss."
