"""A script that trains as `train.py` does, slowly enough to be reclaimed."""

# Half a second more for each step.
PACED = """
import time
import checkpoint, train
update = checkpoint.Progress.update
def paced(self, *values):
    time.sleep(0.5)
    update(self, *values)
checkpoint.Progress.update = paced
train.main()
"""
