"""The fixtures of this package's tests."""

from debugger_support.fixtures import aws, nothing_is_handed_on, reached  # noqa: F401
