"""smdebug 1.0.34, the last there is, among newer packages than it knows: protobuf and NumPy."""

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any


class SmdebugMissing(RuntimeError):
    """smdebug is not installed; the text names the way out."""


def load_smdebug(wish: str) -> None:
    """Import smdebug so that it works here; `wish` says what the job asks for that needs it.

    Raises SmdebugMissing if it is not installed, RuntimeError if it cannot be used.
    """
    # It logs one line for each parameter at its default level.
    os.environ.setdefault("SMDEBUG_LOG_LEVEL", "warning")
    _allow_newer_protobuf(wish)
    try:
        import smdebug.core.writer  # noqa: F401
    except ImportError as error:
        raise SmdebugMissing(
            f"the job asks for {wish}, and smdebug cannot be imported ({error}): "
            "name requirements-debugger.txt as the job's requirements"
        ) from error
    _allow_newer_numpy()


def _allow_newer_protobuf(wish: str) -> None:
    """Have protobuf 4 and later, as the containers hold it, take smdebug's older descriptors.

    Only its implementation in Python does, which is chosen when protobuf is first imported.
    Raises RuntimeError if another one has been by then.
    """
    try:
        if int(version("protobuf").partition(".")[0]) < 4:
            return
    except PackageNotFoundError:
        return  # the import of smdebug will say so
    chosen = sys.modules.get("google.protobuf.internal.api_implementation")
    if chosen is not None and chosen.Type() != "python":
        raise RuntimeError(
            f"the job asks for {wish}, but protobuf has been imported in the form that "
            "smdebug cannot use: set PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python in the job's "
            "environment"
        )
    os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"


def _allow_newer_numpy() -> None:
    """Give smdebug's writer arrays as it knows them, whatever NumPy is installed.

    NumPy 2.3 dropped `tostring`, and 2.4 makes no number of an array with one element and a
    dimension, as smdebug makes of each scalar.
    """
    import numpy as np
    from smdebug.core import writer
    from smdebug.core.tfevent import summary, util

    class Array(np.ndarray):
        def tostring(self) -> bytes:
            return self.tobytes()

    def make_tensor_proto(nparray_data: Any, tag: str) -> Any:
        return util.make_tensor_proto(np.asarray(nparray_data).view(Array), tag)

    def scalar_summary(tag: str, scalar: Any) -> Any:
        return summary.scalar_summary(tag, np.asarray(scalar).reshape(()))

    writer.make_tensor_proto, writer.scalar_summary = make_tensor_proto, scalar_summary
