"""What AWS keeps closed of SageMaker Debugger: its tensor rules, open, on smdebug's Rule and Trial.

`evaluate` runs rules on the tensors that a hook saved, in a folder or in S3, with one call.
`python -m open_debugger.beside_job.tensors` runs them beside a job, as AWS's service does.
"""

import os

os.environ.setdefault("SMDEBUG_LOG_LEVEL", "error")  # read when smdebug is first imported

import open_debugger.tensors.without_torch  # noqa: F401

# isort: split
from open_debugger.results import RuleResult, Verdict
from open_debugger.tensors import actions, catalogue, evaluation
from open_debugger.tensors.catalogue import RULES, RuleError, defaults
from open_debugger.tensors.evaluation import evaluate
from open_debugger.tensors.trials import TrialError, open_trial

__all__ = [
    "RULES",
    "RuleError",
    "RuleResult",
    "TrialError",
    "Verdict",
    "actions",
    "catalogue",
    "defaults",
    "evaluate",
    "evaluation",
    "open_trial",
]
