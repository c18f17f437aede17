"""SageMaker's Python SDK 2, which AWS's training images hold and the engine does not.

Scripts import it beside their own needs (``from sagemaker.debugger import Rule``) and do not use
it. Here such an import gives a stand-in, which says what it is as soon as it is used. A job whose
requirements name ``sagemaker<3`` has the SDK itself.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from importlib import metadata
from types import ModuleType

PACKAGE = "sagemaker"


class AbsentSDK(Exception):
    """A script uses the SDK that is not there."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} is SageMaker's Python SDK 2, which AWS's image has and this container has "
            "not; add 'sagemaker<3' to the job's requirements.txt"
        )


class AbsentType(type):
    """The type of classes that are not there."""

    def __call__(cls, *_, **__):
        raise AbsentSDK(f"{cls.__module__}.{cls.__name__}")

    def __getattr__(cls, name: str):
        if name.startswith("__"):
            raise AttributeError(name)
        raise AbsentSDK(f"{cls.__module__}.{cls.__name__}.{name}")


class AbsentModule(ModuleType):
    """A module or function that is not there; so is all that is looked up in it."""

    def __getattr__(self, name: str):
        return _absent(self.__name__, name)

    def __call__(self, *_, **__):
        raise AbsentSDK(self.__name__)


def _absent(parent: str, name: str):
    if name.startswith("_"):
        raise AttributeError(f"module {parent!r} has no attribute {name!r}")
    if name[0].isupper():
        return AbsentType(name, (), {"__module__": parent})
    return importlib.import_module(f"{parent}.{name}")


class Loader:
    """Makes modules that are not there."""

    def create_module(self, spec) -> AbsentModule:
        return AbsentModule(spec.name)

    def exec_module(self, module: AbsentModule) -> None:
        pass


def find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """A stand-in for a module that no finder has found, if SDK 2 has it."""
    parent, _, _ = name.rpartition(".")
    is_of_sdk = PACKAGE in (name, parent) or isinstance(sys.modules.get(parent), AbsentModule)
    if not is_of_sdk or has_sdk_2():
        return None
    return importlib.machinery.ModuleSpec(name, Loader(), is_package=True)


def has_sdk_2() -> bool:
    """Whether the job has installed the SDK itself."""
    try:
        return int(metadata.version(PACKAGE).partition(".")[0]) < 3
    except metadata.PackageNotFoundError:
        return False


def complete(package: ModuleType) -> None:
    """Let SDK 3's package, just imported, have stand-ins for what only SDK 2 has in it."""
    if not isinstance(package, AbsentModule) and not has_sdk_2():
        package.__getattr__ = lambda name: _absent(PACKAGE, name)
