"""What a notebook shows while it runs, and what is left of it afterwards.

    track(photos, len(photos), "photos")   a bar over anything that can be iterated over
    watch(ask, "endpoint")                 asks a job or an endpoint for its status until it ends
    picker(choices, fetch, ask)            choose or upload a photo, see its five most likely breeds
    write_up(ws, tuning, job)              the project as a Markdown document
    all_costs(ws, tuning, seconds)         what its jobs and its endpoint cost

The first three are live in Jupyter. Each also leaves a picture and a sentence in the notebook, for
GitHub, nbconvert and everyone else who reads it without a kernel.
"""

from course.jobs import State
from course.widgets.live import VIEW
from course.widgets.photo_picker import Picker, picker
from course.widgets.progress import Unsuccessful, track, watch
from course.widgets.writeup import WriteUp, all_costs, write_up

__all__ = [
    "VIEW", "Picker", "State", "Unsuccessful", "WriteUp", "all_costs", "picker", "track", "watch",
    "write_up",
]  # fmt: skip
