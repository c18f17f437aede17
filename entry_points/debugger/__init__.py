"""What watches a training run: Debugger's hook, step times, system metrics, traces, TensorBoard.

This folder is optional. `train.py` trains without it, and then saves no tensors or profiles.
"""

from debugger.extras import JobExtras

__all__ = ["JobExtras"]
