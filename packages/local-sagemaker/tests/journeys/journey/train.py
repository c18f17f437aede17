"""A stranger's training script: fits y = w x by gradient descent and saves w."""

import argparse
import json
import os
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--steps", type=int, default=20)
options, _ = parser.parse_known_args()

pairs = [
    tuple(map(float, line.split(",")))
    for line in (Path(os.environ["SM_CHANNEL_TRAIN"]) / "points.csv").read_text().split()
]
w = 0.0
for _step in range(options.steps):
    w -= options.lr * sum((w * x - y) * x for x, y in pairs) / len(pairs)
loss = sum((w * x - y) ** 2 for x, y in pairs) / len(pairs)
print(f"lr={options.lr} steps={options.steps} w={w:.6f} loss={loss:.6f}", flush=True)
(Path(os.environ["SM_MODEL_DIR"]) / "w.json").write_text(json.dumps(w))
