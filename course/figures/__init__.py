"""The course's figures, in one style. Each function returns a closed matplotlib Figure."""

from course.figures.comparison import comparison, parts
from course.figures.photos import counts, gallery
from course.figures.serving import answers
from course.figures.training import gradients, losses, weights
from course.figures.tuning import tuning

__all__ = [
    "answers", "comparison", "counts", "gallery", "gradients", "losses", "parts", "tuning",
    "weights",
]  # fmt: skip
