"""`entry_points/debugging.py`: when tensors are asked for; what a debugged job saves."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_photos import write_channels

import debugging

TRAIN = Path(debugging.__file__).with_name("train.py")
COLLECTIONS = [
    {"CollectionName": "losses", "CollectionParameters": {"save_interval": "1"}},
    {"CollectionName": "gradients", "CollectionParameters": {"save_interval": "2"}},
    {
        "CollectionName": "relu_input",
        "CollectionParameters": {"include_regex": "layer4.*relu_input", "save_interval": "2"},
    },
]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, False),
        ("", False),
        ("{}", False),
        ('{"LocalPath": "x", "CollectionConfigurations": []}', False),
        ('{"CollectionConfigurations": [{"CollectionName": "losses"}]}', True),
        ('{"HookParameters": {"save_interval": "5"}}', True),
    ],
)
def test_only_a_configuration_that_asks_for_something_counts(
    tmp_path, monkeypatch, content, wanted
):
    path = tmp_path / "debughookconfig.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(path))
    assert debugging.config_file() == (path if wanted else None)


def test_a_damaged_configuration_is_named(tmp_path, monkeypatch):
    path = tmp_path / "debughookconfig.json"
    path.write_text("{")
    monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(path))
    with pytest.raises(ValueError, match=r"debughookconfig\.json"):
        debugging.config_file()


def train(root, config, *options):
    """Run train.py in a process of its own; return its standard output."""
    (root / "config.json").write_text(json.dumps(config))
    # A fast way to have the modules which the process imported listed at its end.
    code = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print('smdebug imported:', 'smdebug' in sys.modules))\n"
        f"sys.argv[0] = {str(TRAIN)!r}\n"
        f"sys.path.insert(0, {str(TRAIN.parent)!r})\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code, "--model", "resnet18", "--weights", "random"]
    command += ["--image-size", "32", "--batch-size", "4", "--epochs", "1", *options]
    command += ["--train-dir", root / "train", "--valid-dir", root / "valid"]
    command += ["--model-dir", root / "model"]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "SMDEBUG_CONFIG_FILE_PATH": str(root / "config.json"),
    }
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_without_a_configuration_smdebug_is_not_imported(tmp_path):
    write_channels(tmp_path, photos=4, channels=["train", "valid"])
    output = train(tmp_path, {"LocalPath": str(tmp_path / "tensors")})
    assert "smdebug imported: False" in output
    assert not (tmp_path / "tensors").exists()


def test_a_debugged_job_saves_losses_gradients_and_bf16_activations(tmp_path):
    # 4 steps of training, 2 of evaluation; those of the test must not count as evaluation.
    write_channels(tmp_path, channels=["train", "valid", "test"])
    config = {
        "LocalPath": str(tmp_path / "tensors"),
        "CollectionConfigurations": COLLECTIONS,
    }
    output = train(tmp_path, config, "--precision", "bf16", "--test-dir", str(tmp_path / "test"))
    assert "test_accuracy=" in output
    assert "smdebug imported: True" in output
    assert output.count("epoch=") == 1

    from smdebug.core.modes import ModeKeys
    from smdebug.trials import create_trial

    trial = create_trial(str(tmp_path / "tensors"))
    loss = trial.tensor("CrossEntropyLoss_output_0")
    assert loss.steps(mode=ModeKeys.TRAIN) == [0, 1, 2, 3]
    assert loss.steps(mode=ModeKeys.EVAL) == [0, 1]
    assert all(loss.value(s, mode=ModeKeys.TRAIN) > 0 for s in range(4))
    gradient = trial.tensor("gradient/ResNet_fc.weight")
    assert gradient.value(2, mode=ModeKeys.TRAIN).shape == (2, 512)
    activation = next(n for n in trial.tensor_names() if "layer4.1.relu_input" in n)
    assert trial.tensor(activation).value(0, mode=ModeKeys.TRAIN).shape[:2] == (4, 512)


class WithoutToString(np.ndarray):
    """An array as NumPy 2.3 and later make them."""

    @property
    def tostring(self):
        raise AttributeError("'numpy.ndarray' object has no attribute 'tostring'")


def test_arrays_of_newer_numpy_are_written(monkeypatch):
    from smdebug.core import writer

    monkeypatch.setattr(writer, "make_tensor_proto", writer.make_tensor_proto)  # to be restored
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    with pytest.raises(AttributeError, match="tostring"):
        writer.make_tensor_proto(values.view(WithoutToString), "x")
    debugging._allow_newer_numpy()
    written = writer.make_tensor_proto(values.view(WithoutToString), "x")
    assert written.tensor_content == values.tobytes()


def fake_protobuf(monkeypatch, installed, imported=None):
    """Have `installed` be protobuf's version, and `imported` its implementation in use, if any."""
    monkeypatch.setattr(debugging, "version", lambda name: installed)
    monkeypatch.delenv("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", raising=False)
    module = imported and SimpleNamespace(Type=lambda: imported)
    monkeypatch.setitem(sys.modules, "google.protobuf.internal.api_implementation", module)


@pytest.mark.parametrize(("installed", "chosen"), [("3.20.3", None), ("6.33.6", "python")])
def test_newer_protobuf_is_told_to_run_in_python(monkeypatch, installed, chosen):
    fake_protobuf(monkeypatch, installed)
    debugging._allow_newer_protobuf()
    assert os.environ.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION") == chosen


def test_newer_protobuf_that_was_imported_before_stops_the_job_with_the_way_out(monkeypatch):
    fake_protobuf(monkeypatch, "6.33.6", imported="upb")
    with pytest.raises(RuntimeError, match="PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python"):
        debugging._allow_newer_protobuf()
