"""One engine for each worker, and nothing that one test hands on to the next."""

from engine_support.fixtures import aws, nothing_is_handed_on, reached  # noqa: F401

collect_ignore = ["v2"]  # clients of SDK v2 have an environment of their own: make check-v2
