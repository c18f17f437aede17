"""`entry_points/debugger/compatibility.py`: smdebug among newer packages."""

import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from debugger import compatibility


class WithoutToString(np.ndarray):
    """An array as NumPy 2.3 and later make them."""

    @property
    def tostring(self):
        raise AttributeError("'numpy.ndarray' object has no attribute 'tostring'")


def test_arrays_of_newer_numpy_are_written(monkeypatch):
    from smdebug.core import writer
    from smdebug.core.tfevent import util

    monkeypatch.setattr(writer, "make_tensor_proto", util.make_tensor_proto)  # as smdebug has it
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    with pytest.raises(AttributeError, match="tostring"):
        writer.make_tensor_proto(values.view(WithoutToString), "x")
    compatibility._allow_newer_numpy()
    written = writer.make_tensor_proto(values.view(WithoutToString), "x")
    assert written.tensor_content == values.tobytes()


@pytest.mark.filterwarnings("error:Conversion of an array:DeprecationWarning")
def test_scalars_with_a_dimension_are_written(monkeypatch):
    from smdebug.core import writer
    from smdebug.core.tfevent import summary

    monkeypatch.setattr(writer, "scalar_summary", summary.scalar_summary)  # as smdebug has it
    # NumPy 2.4 raises what the one here warns of.
    with pytest.raises((DeprecationWarning, TypeError)):
        writer.scalar_summary("x", np.array([2.5]))
    compatibility._allow_newer_numpy()
    for value in (2.5, np.float32(2.5), np.array(2.5), np.array([[2.5]])):
        assert writer.scalar_summary("x", value).value[0].simple_value == 2.5


def fake_protobuf(monkeypatch, installed, imported=None):
    """Have `installed` be protobuf's version, and `imported` its implementation in use, if any."""
    monkeypatch.setattr(compatibility, "version", lambda name: installed)
    monkeypatch.delenv("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", raising=False)
    module = imported and SimpleNamespace(Type=lambda: imported)
    monkeypatch.setitem(sys.modules, "google.protobuf.internal.api_implementation", module)


@pytest.mark.parametrize(("installed", "chosen"), [("3.20.3", None), ("6.33.6", "python")])
def test_newer_protobuf_is_told_to_run_in_python(monkeypatch, installed, chosen):
    fake_protobuf(monkeypatch, installed)
    compatibility._allow_newer_protobuf("tensors")
    assert os.environ.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION") == chosen


def test_newer_protobuf_that_was_imported_before_stops_the_job_with_the_way_out(monkeypatch):
    fake_protobuf(monkeypatch, "6.33.6", imported="upb")
    with pytest.raises(RuntimeError, match="PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python"):
        compatibility._allow_newer_protobuf("tensors")
