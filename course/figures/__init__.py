"""The course's figures, in one style. Each function returns a closed matplotlib Figure."""

from course.figures.comparison import accuracies, comparison, confusion, parts, side_by_side
from course.figures.photos import counts, gallery
from course.figures.serving import answers, latency, none_of_these
from course.figures.training import gradients, losses, weights
from course.figures.tuning import tuning

__all__ = [
    "accuracies", "answers", "comparison", "confusion", "counts", "gallery", "gradients", "latency",
    "losses", "none_of_these", "parts", "side_by_side", "tuning", "weights",
]  # fmt: skip
