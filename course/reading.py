"""What the numbers of a plot say, in two sentences computed from them."""

from collections.abc import Mapping, Sequence

import numpy as np

Curve = tuple[Sequence[float], Sequence[float]]
FLAT = 0.02  # a change smaller than this share is no change


def losses(curves: Mapping[str, Curve]) -> str:
    """Two sentences on a run's losses: how far they fell, and whether validation follows.

    Args:
        curves: ``{"train": (steps, values), "valid": (steps, values)}``; losses in nats.

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
    return f"{first} {_validation(*curves['valid'], end)}"


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Means of the first and of the last tenth: single steps are noisy."""
    count = max(1, len(values) // 10)
    return float(np.mean(values[:count])), float(np.mean(values[-count:]))


def _validation(steps: Sequence[float], values: Sequence[float], train_end: float) -> str:
    means = _means_by_evaluation(steps, values)
    lowest, last = int(np.argmin(means)), means[-1]
    gap = f"{abs(last - train_end) / train_end:.0%} {'above' if last > train_end else 'below'}"
    if lowest == len(means) - 1:
        said = "was lowest at the end, so more epochs may still help"
    else:
        said = f"was lowest after evaluation {lowest + 1} of {len(means)}, so the rest overfitted"
    return f"The validation loss {said}; it ended at {last:.2f}, {gap} the training loss."


def _means_by_evaluation(steps: Sequence[float], values: Sequence[float]) -> list[float]:
    """Mean loss of each evaluation: a run of consecutive steps."""
    breaks = np.flatnonzero(np.diff(steps) > 1) + 1
    return [float(np.mean(part)) for part in np.split(np.asarray(values, dtype=float), breaks)]
