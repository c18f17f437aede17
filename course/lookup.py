"""The old place of what `course.jobs` holds now."""

from course.jobs import MissingStep, require, until

__all__ = ["MissingStep", "require", "until"]
