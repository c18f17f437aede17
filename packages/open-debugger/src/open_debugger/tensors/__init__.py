"""SageMaker Debugger's tensor rules, on smdebug's Rule and Trial."""
