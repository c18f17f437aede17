"""Several rules' findings together."""

from open_debugger.named import Named
from open_debugger.profiler.finding import Finding


class Findings(Named[Finding]):
    """The findings of an evaluation in the order of their rules; printed, they are a table."""

    told = "summary"
    members = ("name", "status", "summary", "advice")
