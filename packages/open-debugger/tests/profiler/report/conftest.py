"""The browser that opens the report."""

from debugger_support.browser import browser  # noqa: F401
