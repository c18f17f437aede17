"""Where the engine takes hold of moto: its clock, its random numbers, what it never forgets."""

from __future__ import annotations

import datetime
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import moto.backends
import moto.cloudwatch.models
import moto.iam.models
import moto.logs.models
import moto.s3.models
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.common_models import BaseModel
from moto.iam.models import iam_backends
from moto.logs.models import logs_backends
from moto.moto_api._internal import mock_random
from moto.moto_api._internal.moto_random import MotoRandom
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from moto.s3.models import s3_backends

# moto keeps every instance of every model for its reset(): log lines, metrics, deleted objects.
BaseModel.__new__ = lambda cls, *_, **__: object.__new__(cls)

# For each request moto looks through its folders on disk: more than a tenth of a PutObject.
_MODULES = frozenset(moto.backends.list_of_moto_modules())
moto.backends.list_of_moto_modules = lambda: _MODULES


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


class _Thread(threading.local):
    """What a thread that performs a request has for itself: S3 and the rest do so at a time."""

    moment: float | None = None  # seconds since the epoch; None is now
    replaying = False

    def __init__(self) -> None:
        self.random = random.Random()


_thread = _Thread()


class ThreadRandom(MotoRandom):
    """moto's random numbers; each thread draws its own."""

    def random(self) -> float:
        return _thread.random.random()

    def getrandbits(self, count: int) -> int:
        return _thread.random.getrandbits(count)

    def seed(self, *seed) -> None:
        _thread.random.seed(*seed)


mock_random.__class__ = ThreadRandom  # the one object that all of moto's modules hold


def _utcnow() -> datetime.datetime:
    """moto's clock, which stands at a request's own moment while that is performed."""
    now = datetime.datetime.now(datetime.UTC)
    if _thread.moment is not None:
        now = datetime.datetime.fromtimestamp(_thread.moment, datetime.UTC)
    return now.replace(tzinfo=None)


for _models in (moto.s3.models, moto.iam.models, moto.logs.models, moto.cloudwatch.models):
    _models.utcnow = _utcnow


class DatedBucket(moto.s3.models.FakeBucket):
    """moto's bucket, created when its request came."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.creation_date = _utcnow().replace(tzinfo=datetime.UTC)


moto.s3.models.FakeBucket = DatedBucket


def reset(s3: bool) -> None:
    """Let moto forget S3, or all else but the sessions of roles, which are in no journal."""
    for backends in [s3_backends] if s3 else [logs_backends, cloudwatch_backends]:
        for account in list(backends.values()):
            account.reset()
    for account in [] if s3 else list(iam_backends.values()):
        for backend in account.values():
            _reset_iam(backend)


def _reset_iam(backend: moto.iam.models.IAMBackend) -> None:
    """As `reset` does it, but all at once, for requests are admitted meanwhile by the keys in it.

    The keys of sessions are kept, as the sessions are.
    """
    new = type(backend)(backend.region_name, backend.account_id)
    kept = {name: key for name, key in backend.access_keys.items() if key.user_name is None}
    new.access_keys.update(kept)
    backend.__dict__ = new.__dict__


@contextmanager
def as_of(moment: float, seed: int) -> Iterator[None]:
    """Let moto see `moment` (seconds since the epoch) and draw from `seed` inside the block."""
    _thread.moment = moment
    mock_random.seed(seed)
    try:
        yield
    finally:
        _thread.moment = None
        mock_random.seed()  # else what comes next would be drawn again after a restart


@contextmanager
def replay() -> Iterator[None]:
    """Inside the block moto is told again what the store has outlived."""
    _thread.replaying = True
    try:
        yield
    finally:
        _thread.replaying = False


def is_replaying() -> bool:
    return _thread.replaying
