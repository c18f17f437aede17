"""SageMaker Debugger's profiler rules, by AWS's names and with AWS's parameters."""
