"""The store: what was written is there again, whole or not at all."""

import multiprocessing
import os
import signal

import pytest

from local_sagemaker.store import StateInUse, Store


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


def _write_and_die(folder):
    store = Store(folder)
    store.put("job", "acknowledged", {"CreationTime": 1.0})
    os.kill(os.getpid(), signal.SIGKILL)


def test_what_was_written_survives_sigkill(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die, args=(tmp_path,))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    store = Store(tmp_path)
    assert store.get("job", "acknowledged") == {"CreationTime": 1.0}
    store.close()
