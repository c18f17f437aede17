"""The old place of what `course.jobs` holds now."""

from course.jobs import BAD, GOOD, UNDER_WAY, State
from course.jobs import as_state as read

__all__ = ["BAD", "GOOD", "UNDER_WAY", "State", "read"]
