"""From which figures on something limits a run; shares of the time, if nothing else is said."""

from __future__ import annotations

FEWEST = 5  # steps, or samples
SHORTEST = 5.0  # seconds: in less even a GPU's first step is a good part
DATA = 0.25
BUSY_GPU = 0.7  # LowGPUUtilization's threshold_p95
HIDDEN = 0.8
FULL_CORES = 0.85
ONE_CORE = 0.9
IO = 0.5  # IOBottleneck's threshold
UNBALANCED = 0.2  # LoadBalancing's threshold
LEAK = 0.05  # GPUMemoryIncrease's increase
FULL_MEMORY = 0.95
OUTLIERS = 0.1
REST = 0.25
MOSTLY = 0.5  # of the run's time
