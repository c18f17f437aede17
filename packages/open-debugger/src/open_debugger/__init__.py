"""What AWS keeps closed of SageMaker Debugger: its tensor rules, open, on smdebug's Rule and Trial.

`evaluate` runs rules on the tensors that a hook saved, in a folder or in S3, with one call.
`python -m open_debugger.evaluator` runs them beside a job, as AWS's service does.
"""

import os

os.environ.setdefault("SMDEBUG_LOG_LEVEL", "error")  # read when smdebug is first imported

import open_debugger.without_torch  # noqa: F401

# isort: split
from open_debugger.catalogue import RULES, RuleError, defaults
from open_debugger.evaluation import evaluate
from open_debugger.trials import TrialError, open_trial
from open_debugger.verdict import RuleResult, Verdict

__all__ = [
    "RULES",
    "RuleError",
    "RuleResult",
    "TrialError",
    "Verdict",
    "defaults",
    "evaluate",
    "open_trial",
]
