"""`core/shell_path.py`: a state folder whose path has a space, and jobs that run in it."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from engine_support.clients import BUCKET, running_engine, toolkit_request
from engine_support.sources import source_archive
from local_sagemaker.core import shell_path


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of its own, with a short path."""
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_a_plain_path_is_taken_as_it_is(tmp_path, temporary):
    assert shell_path.path(tmp_path) == tmp_path
    assert not any(temporary.iterdir())


@pytest.mark.parametrize(
    "name", ["My Documents", "it's", "a$b", "tab\there", "a;b", "ü", "x" * 200]
)
def test_another_is_reached_by_a_link_that_can_be_forgotten(tmp_path, temporary, name):
    (folder := tmp_path / name).mkdir()
    link = shell_path.path(folder)
    assert link.resolve() == folder and name not in str(link)
    assert shell_path.path(folder) == link  # again, after an engine that was killed
    assert stat.S_IMODE(link.parent.stat().st_mode) == 0o700
    shell_path.forget(link)
    assert folder.is_dir() and not any(temporary.iterdir())


def test_a_temporary_folder_without_room_for_a_socket_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/var/tmp")
    assert shell_path.temporary() == Path("/var/tmp")
    for name in ("a b", "x" * 100):
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
        assert shell_path.temporary() == Path("/tmp")


def test_a_links_folder_that_someone_else_prepared_is_refused(tmp_path, temporary):
    (folder := tmp_path / "a b").mkdir()
    (temporary / f"local-sagemaker-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="set TMPDIR to another place"):
        shell_path.path(folder)


def test_the_toolkit_runs_a_script_below_such_a_folder(tmp_path):
    script = "import os, sys\nprint(open(os.environ['SM_CHANNEL_TRAIN'] + '/1.txt').read())\n"
    with running_engine(tmp_path / "My Documents" / "state") as engine:
        engine.s3.create_bucket(Bucket=BUCKET)
        engine.s3.put_object(Bucket=BUCKET, Key="in/1.txt", Body=b"read by the script")
        source = source_archive(engine, train=script)
        channels = {"train": f"s3://{BUCKET}/in/"}
        request = toolkit_request(source, channels=channels)
        engine.sagemaker.create_training_job(**request)
        job = engine.job(request["TrainingJobName"])
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        assert "read by the script" in engine.log(request["TrainingJobName"])
