"""What a state takes on the disk, and what cleaning leaves."""

import pytest

from engine_support.clients import BUCKET
from local_sagemaker.core import state_folder
from local_sagemaker.core.state_lock import StateError, StateInUse
from local_sagemaker.core.store import Store


@pytest.fixture
def state(tmp_path):
    """A state with one object of 1000 bytes, and the leftovers of a killed engine."""
    folder = tmp_path / "state"
    store = Store(folder)
    body = store.new_object_file()
    body.write_bytes(bytes(1000))
    store.write("INSERT INTO objects VALUES ('b', 'k', 'null', ?, '{}')", [(body.name,)])
    store.close()
    (folder / "objects" / "unfinished").write_bytes(bytes(500))
    for name, size in {"jobs": 300, "endpoints": 200, "environments": 100}.items():
        (folder / name / "deep").mkdir(parents=True)
        (folder / name / "deep" / "file").write_bytes(bytes(size))
    (folder / "engine.log").write_bytes(bytes(50))
    return folder


def test_usage_is_told_by_part(state):
    used = state_folder.usage(state)
    assert {part: used[part] for part in ("objects", "jobs", "endpoints", "environments")} == {
        "objects": 1500,
        "jobs": 300,
        "endpoints": 200,
        "environments": 100,
    }
    assert used["engine's log"] == 50
    assert used["database"] > 1000


def test_copies_of_an_object_share_their_room(state):
    (state / "objects" / "unfinished").unlink()
    (body,) = (state / "objects").iterdir()
    (state / "objects" / "copy").hardlink_to(body)
    assert state_folder.usage(state)["objects"] == 1000


def test_cleaning_leaves_what_was_acknowledged(state):
    freed = state_folder.clean(state)
    assert {part: size for part, size in freed.items() if size and part != "database"} == {
        "objects": 500,
        "jobs": 300,
        "endpoints": 200,
        "environments": 100,
        "engine's log": 50,
    }
    (body,) = (state / "objects").iterdir()
    assert body.read_bytes() == bytes(1000)
    store = Store(state)
    assert store.query("SELECT file FROM objects") == [(body.name,)]
    store.close()


def test_deleted_rows_give_their_room_back(state):
    store = Store(state)
    rows = [(n, 0, "x" * 1000) for n in range(2000)]
    store.write("INSERT INTO log_events (stream, timestamp, message) VALUES (?, ?, ?)", rows)
    store.write("DELETE FROM log_events", [()])
    store.close()
    assert state_folder.clean(state)["database"] > 1_000_000


def test_everything_goes_only_when_asked_by_name_and_what_is_not_ours_stays(state):
    (state / "mine.txt").write_text("a person's own")
    freed, foreign = state_folder.remove(state)
    assert (freed["objects"], foreign) == (1500, ["mine.txt"])
    assert [path.name for path in state.iterdir()] == ["mine.txt"]


def test_an_empty_state_folder_goes_with_its_state(state):
    assert state_folder.remove(state)[1] == []
    assert not state.exists()


def test_the_link_that_a_killed_engine_left_goes_as_well(tmp_path):
    folder = tmp_path / "with a space"
    store = Store(folder)
    link = store.folder
    store.close()
    link.parent.mkdir(mode=0o700, exist_ok=True)
    link.symlink_to(folder)
    state_folder.remove(folder)
    assert not folder.exists() and not link.is_symlink()


@pytest.mark.parametrize("call", [state_folder.clean, state_folder.remove])
def test_a_folder_that_holds_no_state_is_left_alone(tmp_path, call):
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "photo").write_text("dear to somebody")
    with pytest.raises(StateError, match="holds no state"):
        call(tmp_path)
    assert [path.name for path in (tmp_path / "objects").iterdir()] == ["photo"]


def test_with_an_engine_only_its_old_log_goes_and_nothing_else(aws):
    aws.s3.put_object(Bucket=BUCKET, Key="disk", Body=b"kept")
    (aws.state / "engine.log.old").write_bytes(bytes(70))
    assert state_folder.clean(aws.state) == {
        part: 70 * (part == "engine's log") for part in state_folder.PARTS
    }
    with pytest.raises(StateInUse, match="local-sagemaker stop"):
        state_folder.remove(aws.state)
    assert aws.s3.get_object(Bucket=BUCKET, Key="disk")["Body"].read() == b"kept"
