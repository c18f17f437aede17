"""The profiler's report: one HTML file that needs nothing else, and a small form for notebooks."""

from open_debugger.profiler.report.notebook import Frame, Summary, as_iframe, summary
from open_debugger.profiler.report.page import html, write

__all__ = ["Frame", "Summary", "as_iframe", "html", "summary", "write"]
