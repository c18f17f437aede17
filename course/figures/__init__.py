"""The course's figures, in one style, and sentences on what they show.

Figures are closed matplotlib ones. `balance`, `first_request`, `refusals_say`,
`request_costs` and `searched` return text.
"""

from course.figures.comparison import accuracies, comparison, parts, side_by_side
from course.figures.overview import workflow
from course.figures.photos import balance, counts, gallery, sizes, variety
from course.figures.serving import (
    answers,
    doubts,
    first_request,
    latency,
    none_of_these,
    refusals_say,
    request_costs,
)
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
    "balance",
    "comparison",
    "counts",
    "doubts",
    "falling",
    "first_request",
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
    "request_costs",
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
