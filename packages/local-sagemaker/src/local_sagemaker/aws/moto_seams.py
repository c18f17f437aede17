"""Where the engine takes hold of moto: its clock, its random numbers, what it never forgets."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from contextlib import contextmanager

import moto.cloudwatch.models
import moto.iam.models
import moto.logs.models
import moto.s3.models
from moto.core.common_models import BaseModel
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

# moto keeps every instance of every model for its reset(): log lines, metrics, deleted objects.
BaseModel.__new__ = lambda cls, *_, **__: object.__new__(cls)


class Services(DomainDispatcherApplication):
    """moto's services as one WSGI application, without its own pages.

    It has some below ``/moto-api``, one of which makes it forget everything; they would take the
    place of buckets whose names begin so.
    """

    def __init__(self) -> None:
        super().__init__(create_backend_app)

    def get_application(self, environ: dict):
        path = environ["PATH_INFO"]
        environ["PATH_INFO"] = "/"  # the service is known from the signature
        try:
            return super().get_application(environ)
        finally:
            environ["PATH_INFO"] = path


_moment: float | None = None  # seconds since the epoch; None is now
_replaying = False


def _utcnow() -> datetime.datetime:
    """moto's clock, which stands at a request's own moment while that is performed."""
    now = datetime.datetime.now(datetime.UTC)
    if _moment is not None:
        now = datetime.datetime.fromtimestamp(_moment, datetime.UTC)
    return now.replace(tzinfo=None)


for _models in (moto.s3.models, moto.iam.models, moto.logs.models, moto.cloudwatch.models):
    _models.utcnow = _utcnow


class DatedBucket(moto.s3.models.FakeBucket):
    """moto's bucket, created when its request came."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.creation_date = _utcnow().replace(tzinfo=datetime.UTC)


moto.s3.models.FakeBucket = DatedBucket


@contextmanager
def as_of(moment: float, seed: int) -> Iterator[None]:
    """Let moto see `moment` (seconds since the epoch) and draw from `seed` inside the block."""
    global _moment
    _moment = moment
    mock_random.seed(seed)
    try:
        yield
    finally:
        _moment = None
        mock_random.seed()  # else what comes next would be drawn again after a restart


@contextmanager
def replay() -> Iterator[None]:
    """Inside the block moto is told again what the store has outlived."""
    global _replaying
    _replaying = True
    try:
        yield
    finally:
        _replaying = False


def is_replaying() -> bool:
    return _replaying
