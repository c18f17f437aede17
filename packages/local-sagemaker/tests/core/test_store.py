"""The store: what was written is there again, whole or not at all."""

import errno
import signal
import sqlite3
import subprocess
import sys

import pytest

from local_sagemaker.core.state_lock import StateError, StateInUse, is_held
from local_sagemaker.core.store import Store, is_disk_full


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def test_resources_keep_order_and_changes(store):
    for number, name in enumerate(["b", "a", "c"]):
        store.put("job", name, {"CreationTime": number, "n": number})
    store.update("job", "a", n=7, more=[1])
    store.remove("job", "c")
    assert [item["n"] for item in store.all("job")] == [0, 7]
    assert store.get("job", "a") == {"CreationTime": 1, "n": 7, "more": [1]}
    assert store.get("job", "c") is None
    assert store.all("other") == []


def test_updating_what_is_not_there_makes_nothing(store):
    with pytest.raises(KeyError, match="job nobody"):
        store.update("job", "nobody", n=1)
    assert store.all("job") == []


def test_several_writes_are_kept_together_or_not_at_all(store):
    insert = "INSERT INTO objects VALUES (?, ?, ?, ?, ?)"
    store.write(insert, [("b", "k", "1", "file", "{}")])
    with pytest.raises(Exception, match="no such table"):
        store.write_all([("DELETE FROM objects", [()]), ("INSERT INTO nowhere VALUES (1)", [()])])
    assert store.query("SELECT file FROM objects") == [("file",)]


def test_a_transaction_that_raises_leaves_nothing_of_what_lies_in_it(store):
    insert = "INSERT INTO objects VALUES ('b', 'k', '1', 'file', '{}')"
    with pytest.raises(ValueError, match="late"), store.transaction():
        store.write(insert, [()])
        raise ValueError("late")
    assert store.query("SELECT file FROM objects") == []
    with store.transaction():
        store.write(insert, [()])
        with store.transaction():
            store.put("job", "a", {"CreationTime": 1})
    assert (len(store.query("SELECT file FROM objects")), len(store.all("job"))) == (1, 1)


def _tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _refused(folder, words):
    """Opening is refused with these words, and nothing is changed but the empty lock."""
    before = _tree(folder) | {folder / "engine.lock": b""}
    with pytest.raises(StateError, match=words):
        Store(folder)
    assert _tree(folder) == before


@pytest.mark.parametrize("version", [0, 99])
def test_another_versions_state_is_refused_and_left_as_it_is(tmp_path, version):
    with sqlite3.connect(tmp_path / "state.db") as database:
        database.execute("CREATE TABLE objects (bucket TEXT)")
        database.execute(f"PRAGMA user_version = {version}")
    database.close()
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "body").write_text("kept")
    _refused(tmp_path, f"another version.*schema is {version}.*clean --all")


@pytest.mark.parametrize("content", [None, b"", b"no database at all" * 100])
def test_bodies_without_their_database_are_not_removed(tmp_path, content):
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects" / "body").write_text("kept")
    if content is not None:
        (tmp_path / "state.db").write_bytes(content)
    with pytest.raises(StateError, match="Nothing was changed"):
        Store(tmp_path)
    assert (tmp_path / "objects" / "body").read_text() == "kept"


def test_a_damaged_database_is_refused_and_left_as_it_is(tmp_path):
    store = Store(tmp_path)
    body = store.new_object_file()
    body.write_text("kept")
    rows = [("b", f"k{n}", "1", body.name, "x" * 500) for n in range(100)]
    store.write("INSERT INTO objects VALUES (?, ?, ?, ?, ?)", rows)
    store.close()
    content = bytearray((tmp_path / "state.db").read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    (tmp_path / "state.db").write_bytes(content)
    _refused(tmp_path, "cannot open the database.*Nothing was changed")


def test_a_folder_that_cannot_be_one_is_told(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StateError, match=r"cannot write to the state folder.*--state"):
        Store(tmp_path / "file")
    with pytest.raises(StateError, match=r"cannot write to the state folder.*too long"):
        Store(tmp_path / ("x" * 300))
    with pytest.raises(StateError, match=r"cannot open the database|cannot write to the state"):
        Store(tmp_path.joinpath(*["y" * 200] * 4))  # more than SQLite takes


def test_who_holds_a_folder_can_be_asked(store, tmp_path):
    assert is_held(tmp_path)
    store.close()
    assert not is_held(tmp_path)
    assert not is_held(tmp_path / "absent")


def test_a_full_disk_is_told_from_other_errors(tmp_path):
    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("CREATE TABLE t (x)")
        database.execute("PRAGMA max_page_count = 3")
        with pytest.raises(sqlite3.OperationalError) as full:
            database.execute("INSERT INTO t VALUES (zeroblob(100000))")
        with pytest.raises(sqlite3.OperationalError) as other:
            database.execute("SELECT * FROM nowhere")
    database.close()
    assert is_disk_full(full.value) and is_disk_full(OSError(errno.ENOSPC, "full"))
    assert not is_disk_full(other.value) and not is_disk_full(OSError(errno.ENOENT, "none"))
    assert not is_disk_full(ValueError())


def test_a_folder_has_one_store_at_a_time(store, tmp_path):
    with pytest.raises(StateInUse, match="in use by a running engine"):
        Store(tmp_path)
    store.close()
    Store(tmp_path).close()


def test_bodies_that_no_object_names_are_removed_at_the_next_start(store, tmp_path):
    kept, lost = store.new_object_file(), store.new_object_file()
    kept.write_text("kept")
    lost.write_text("an upload that was never acknowledged")
    store.write("INSERT INTO objects VALUES ('b', 'k', '1', ?, '{}')", [(kept.name,)])
    store.close()
    again = Store(tmp_path)
    assert [file.name for file in again.object_folder.iterdir()] == [kept.name]
    again.close()


WRITE_AND_DIE = """
import os, pathlib, signal, sys
from local_sagemaker.core.store import Store
Store(pathlib.Path(sys.argv[1])).put("job", "acknowledged", {"CreationTime": 1.0})
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_written_survives_sigkill(tmp_path):
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    store = Store(tmp_path)
    assert store.get("job", "acknowledged") == {"CreationTime": 1.0}
    store.close()
