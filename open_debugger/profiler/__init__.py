"""SageMaker Debugger's profiler, open: system metrics and step times, rules on them, a report."""
