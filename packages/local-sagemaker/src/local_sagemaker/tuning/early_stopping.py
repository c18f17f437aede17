"""When a training job of a tuning job is stopped before its end.

A job prints its objective once an epoch; the values so far are the job's series.
"""

from __future__ import annotations

import statistics


def is_worse_than_median(series: list[float], earlier: list[list[float]], goal: str) -> bool:
    """AWS's rule for `TrainingJobEarlyStoppingType` Auto.

    The last value of `series` is worse than the median, over the earlier jobs that came as far,
    of the average of their values up to the same epoch (AWS's developer guide, "Stop Training
    Jobs Early"). In the epoch that was the last of all earlier jobs nothing is worse: the job is
    about to end by itself, and stopping it would save nothing and lose its model.
    """
    epoch = len(series)
    if epoch >= max(map(len, earlier), default=0):
        return False
    median = statistics.median(
        statistics.fmean(other[:epoch]) for other in earlier if len(other) >= epoch
    )
    return series[-1] < median if goal == "Maximize" else series[-1] > median
