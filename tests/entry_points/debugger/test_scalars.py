"""`entry_points/debugger/scalars.py`: metrics as TensorBoard reads them."""

import json
import math

import pytest

from debugger import scalars

METRICS = {"epoch": 1, "train_loss": 2.5, "valid_accuracy": 0.25, "seconds": 3.0}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where a job's TensorBoardOutputConfig wants its files."""
    config = {"S3OutputPath": "s3://bucket/board", "LocalPath": str(tmp_path / "board")}
    (tmp_path / "tensorboardoutputconfig.json").write_text(json.dumps(config))
    monkeypatch.setenv("SM_INPUT_CONFIG_DIR", str(tmp_path))
    return tmp_path / "board"


def read(folder):
    """The (tag, step, value) of all event files, in TensorBoard's order; checksums are checked."""
    from smdebug.core.tfevent.proto.event_pb2 import Event
    from smdebug.core.tfrecord.record_reader import RecordReader

    found = []
    for file in sorted(folder.rglob("*tfevents*")):
        records = RecordReader(str(file))
        while records.has_data():
            event = Event.FromString(records.read_record(check="full"))
            found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
    return found


def test_metrics_are_written_epoch_by_epoch(folder, capsys):
    board = scalars.Scalars()
    assert str(folder) in capsys.readouterr().out
    board.write(METRICS, 1)
    first = [("train_loss", 1, 2.5), ("valid_accuracy", 1, 0.25), ("seconds", 1, 3.0)]
    assert read(folder) == first
    board.write({"epoch": 2, "train_loss": 2.0}, 2)
    board.write({"test_loss": 1.5}, 2, "test")
    assert read(folder) == [*first, ("train_loss", 2, 2.0), ("test_loss", 2, 1.5)]
    assert not list(folder.rglob("*.tmp"))


def test_a_loss_that_is_no_number_is_written_as_such(folder):
    scalars.Scalars().write({"train_loss": math.nan}, 1)
    ((tag, step, value),) = read(folder)
    assert (tag, step) == ("train_loss", 1)
    assert math.isnan(value)


def test_without_the_configuration_nothing_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SM_INPUT_CONFIG_DIR", str(tmp_path))
    monkeypatch.setattr(scalars, "DEFAULT_FOLDER", str(tmp_path / "board"))
    scalars.Scalars().write(METRICS, 1)
    assert not list(tmp_path.iterdir())
    assert not capsys.readouterr().out


def test_the_apis_folder_is_the_default(folder, monkeypatch):
    (folder.parent / "tensorboardoutputconfig.json").write_text('{"S3OutputPath": "s3://b/c"}')
    assert str(scalars.Scalars().folder) == "/opt/ml/output/tensorboard"


def test_only_the_first_process_of_torchruns_writes(folder, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    scalars.Scalars().write(METRICS, 1)
    assert not folder.exists()
