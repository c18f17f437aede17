"""The Debugger and profiler rules of training jobs."""
