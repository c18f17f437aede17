"""The course's figures, in one style. All but `searched` return a closed matplotlib Figure."""

from course.figures.comparison import accuracies, comparison, confusion, parts, side_by_side
from course.figures.overview import workflow
from course.figures.photos import counts, gallery, sizes, variety
from course.figures.serving import answers, latency, none_of_these, refusals_say
from course.figures.training import (
    falling,
    gradients,
    losses,
    order_of_gradients,
    order_of_losses,
    overfitting,
    runs,
    vanishing,
    weights,
)
from course.figures.tuning import search, searched

__all__ = [
    "accuracies",
    "answers",
    "comparison",
    "confusion",
    "counts",
    "falling",
    "gallery",
    "gradients",
    "latency",
    "losses",
    "none_of_these",
    "order_of_gradients",
    "order_of_losses",
    "overfitting",
    "parts",
    "refusals_say",
    "runs",
    "search",
    "searched",
    "side_by_side",
    "sizes",
    "vanishing",
    "variety",
    "weights",
    "workflow",
]
