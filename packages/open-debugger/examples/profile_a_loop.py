"""Profile a training loop that waits for its data, without PyTorch.

python profile_a_loop.py
"""

import os
import tempfile
import time
from pathlib import Path

from open_debugger.profiler import analyse, sampler, sampling

place = Path(tempfile.mkdtemp())
lines = sampler.MinuteFiles(place / "framework" / "steps", ".algo-1-0.json")
common = {"NodeId": "algo-1", "Rank": 0, "Timestamp": time.time()}
loader = {"Name": "train", "Workers": 0, "Cores": os.cpu_count(), "BatchSize": 32}
lines.write([common | loader | {"Type": "loader"}])
with sampling.running(place, interval_ms=100):  # samples the machine, in a process of its own
    for number in range(40):
        began = time.time()
        time.sleep(0.08)  # wait for a batch
        loaded = time.time()
        sum(n * n for n in range(200_000))  # train on it
        ended = time.time()
        step = {"Type": "step", "Phase": "train", "Step": number, "Timestamp": began, "Images": 32}
        parts = {"Seconds": ended - began, "Data": loaded - began, "Forward": ended - loaded}
        lines.write([common | step | parts])

profile = analyse(place)
print(profile.diagnosis.what, profile.diagnosis.evidence, profile.diagnosis.change, sep="\n")
profile.save("report.html")
