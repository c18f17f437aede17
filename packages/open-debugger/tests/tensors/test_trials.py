"""`tensors/trials.py`: what was saved is read as far as it goes, without waiting."""

import gc
import shutil
import time

import numpy as np
import pytest
from smdebug.core.modes import ModeKeys

from debugger_support.saved_tensors import LOSS, SavedTensors
from debugger_support.services import BUCKET, unique
from open_debugger import TrialError, evaluate
from open_debugger.tensors.trials import open_trial

WEIGHT = "Net_fc.weight"


@pytest.fixture(autouse=True)
def nobody_waits(monkeypatch):
    """smdebug's trials sleep for what is missing; ours must not."""

    def sleep(seconds):
        raise AssertionError(f"slept for {seconds} s")

    monkeypatch.setattr(time, "sleep", sleep)


@pytest.fixture
def saved(tmp_path):
    return SavedTensors(tmp_path / "trial")


def test_what_was_saved_is_read(saved):
    saved.save({WEIGHT: np.arange(6.0).reshape(2, 3)}, step=10)
    saved.save({LOSS: 0.5}, "EVAL", step=3)
    trial = open_trial(saved.folder)
    assert trial.look() == [0, 1]
    assert trial.mode_modestep(1) == (ModeKeys.EVAL, 3)
    assert trial.tensor(WEIGHT).value(10, mode=ModeKeys.TRAIN).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert trial.tensor_names(collection="weights") == [WEIGHT]


@pytest.mark.parametrize(
    "value",
    [
        np.float16([1.5]),
        np.float64([1e-300]),
        np.int64([[2**60]]),
        np.int32(3),
        np.array([True, False]),
        np.zeros((0, 3)),
        np.zeros((2, 0), np.int64),
    ],
)
def test_any_kind_of_number_is_read_even_if_there_is_none(saved, value):
    saved.save({"x": value})
    trial = open_trial(saved.folder)
    trial.look()
    read = trial.tensor("x").value(0, mode=ModeKeys.TRAIN)
    assert read.shape == value.shape
    assert value.size == 0 or (read.dtype == value.dtype and (read == value).all())


def test_a_trial_shows_what_is_added(saved):
    saved.losses(1)
    trial = open_trial(saved.folder)
    assert trial.look() == [0]
    saved.losses(2, 3)
    assert trial.steps() == [0]  # only looking is looking
    assert trial.look() == [0, 1, 2]
    assert trial.look(ended=True) == [0, 1, 2]


@pytest.mark.parametrize("there", ["nothing", "a folder", "a file"])
def test_where_nothing_was_saved_there_is_no_trial(tmp_path, there):
    place = tmp_path / "place"
    if there == "a folder":
        place.mkdir()
    elif there == "a file":
        place.write_text("x")
    with pytest.raises(TrialError, match=f"^{place}: no tensors here: the script saved none"):
        open_trial(place)


def test_collections_without_a_step_are_a_trial_without_steps(saved):
    assert open_trial(saved.folder).look(ended=True) == []
    result = saved.judged("VanishingGradient")
    assert result.status == "Error" and "there are: none at all" in result.details


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"collections": {}}', b'{"x": 1}', b"\xff\xfe"]
)
def test_a_damaged_file_of_collections_is_named(saved, content):
    saved.losses(1)
    saved.collections_file().write_bytes(content)
    with pytest.raises(TrialError, match=r"worker_0_collections.json is damaged"):
        open_trial(saved.folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: b"[]",
        lambda content: b"null",
        lambda content: content.replace(b"TRAIN", b"LUNCH"),
        lambda content: content.replace(b'"start_idx"', b'"stop_idx"'),
        lambda content: content.replace(b'"mode_step": 2', b'"mode_step": null'),
        lambda content: content.replace(b"event_file_name", b"file"),
    ],
)
def test_a_damaged_index_is_named(saved, damage):
    saved.losses(1, 2)
    trial = open_trial(saved.folder)
    file = saved.losses(3).index_file(2)
    content = file.read_bytes()
    file.write_bytes(damage(content))
    assert file.read_bytes() != content
    with pytest.raises(TrialError, match=rf"{saved.folder}: the index of step 2 \(worker_0\)"):
        trial.look()
    with pytest.raises(TrialError, match=r"the index of step 2 \(worker_0\) is damaged"):
        evaluate(saved.folder, ["Overfit"])


@pytest.mark.parametrize(
    ("name", "content"), [("000000000001_worker_0.json", b"\xff"), ("strange.json", b"{}")]
)
def test_an_index_that_is_none_is_told(saved, name, content):
    saved.losses(1).index_file().with_name(name).write_bytes(content)
    with pytest.raises(TrialError, match=f"^{saved.folder}: the index cannot be read"):
        open_trial(saved.folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.unlink(),
        lambda file: shutil.rmtree(file.parent),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[:60]),
        lambda file: file.write_bytes(b"\0" * file.stat().st_size),
        lambda file: file.write_bytes(b"\xff" * file.stat().st_size),
    ],
)
def test_a_damaged_file_of_events_is_an_error_of_the_rules_that_read_it(saved, damage):
    saved.losses(1, 2)
    saved.save({WEIGHT: [np.nan]})
    damage(saved.event_file(1))
    losses, weights = evaluate(
        saved.folder, ["LossNotDecreasing", ("ExplodingTensor", {"collection_names": "weights"})]
    )
    assert losses.status == "Error"
    assert f"'{LOSS}' cannot be read from 000000000001_worker_0.tfevents" in losses.details
    assert weights.status == "IssuesFound"


def test_a_file_cut_anywhere_is_damaged(saved):
    saved.losses(1)
    events, index = saved.event_file().read_bytes(), saved.index_file().read_bytes()
    for length in range(len(events)):
        saved.event_file().write_bytes(events[:length])
        assert saved.judged("LossNotDecreasing").status == "Error", length
    saved.event_file().write_bytes(events)
    for length in range(len(index)):
        saved.index_file().write_bytes(index[:length])
        with pytest.raises(TrialError, match="is damaged"):
            open_trial(saved.folder)


# Several workers


def test_a_step_counts_when_all_workers_have_written_it(tmp_path):
    saved = SavedTensors(tmp_path / "trial", workers=2)
    saved.save({LOSS: 1}, workers=(0, 1)).save({LOSS: 2})
    trial = open_trial(saved.folder)
    assert trial.look() == [0]
    assert trial.look(ended=True) == [0, 1]  # the second worker will never write it


def test_a_worker_that_wrote_nothing_is_missing_in_the_end_and_not_before(tmp_path):
    saved = SavedTensors(tmp_path / "trial", workers=2).save({LOSS: 1})
    saved.collections_file(1).unlink()
    trial = open_trial(saved.folder)
    assert trial.look() == []
    with pytest.raises(TrialError, match=r"2 workers were to save.* only worker_0_collections"):
        trial.look(ended=True)


# S3


@pytest.fixture
def prefix(reached):
    """A key prefix of its own."""
    return f"tensors/{unique()}/debug-output"


def upload(aws, folder, prefix, parts=("collections", "index", "events")):
    for part in parts:
        for file in sorted((folder / part).rglob("*.*")):
            key = f"{prefix}/{file.relative_to(folder)}"
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())


def test_rules_say_the_same_of_tensors_in_s3(aws, prefix, saved):
    saved.losses(1, 1).save({WEIGHT: [np.nan]}).losses(2, mode="EVAL")
    upload(aws, saved.folder, prefix)
    rules = ["ExplodingTensor", "Overfit", "VanishingGradient"]
    there, here = (evaluate(path, rules) for path in (f"s3://{BUCKET}/{prefix}/", saved.folder))
    assert [result.status for result in there] == ["IssuesFound", "IssuesFound", "Error"]
    assert list(there) == list(here)


def test_a_trial_in_s3_brings_a_steps_events_when_they_are_read_and_lets_go_of_them(
    aws, prefix, saved
):
    upload(aws, saved.losses(1, 2, 3).folder, prefix)
    trial = open_trial(f"s3://{BUCKET}/{prefix}", passing=True)
    copy, loss = trial.copy, trial.tensor(LOSS)
    trial.look(ended=True)
    assert not list(copy.glob("events/*"))
    assert [loss.value(step, mode=ModeKeys.TRAIN) for step in (0, 2)] == [1, 3]
    assert sorted(file.name for file in copy.glob("events/*")) == ["000000000000", "000000000002"]
    trial.forget(0)
    assert [file.name for file in copy.glob("events/*")] == ["000000000002"]
    del trial, loss
    gc.collect()
    assert not copy.exists()


def test_an_index_in_s3_waits_for_its_events(aws, prefix, saved):
    upload(aws, saved.losses(1).folder, prefix)
    trial = open_trial(f"s3://{BUCKET}/{prefix}")
    upload(aws, saved.losses(2).folder, prefix, ["index"])
    assert trial.look() == [0]
    upload(aws, saved.folder, prefix, ["events"])
    assert trial.look() == [0, 1]
    assert trial.tensor(LOSS).value(1, mode=ModeKeys.TRAIN) == 2


def test_an_index_without_its_events_is_read_in_the_end(aws, prefix, saved):
    upload(aws, saved.losses(1).folder, prefix, ["collections", "index"])
    [result] = evaluate(f"s3://{BUCKET}/{prefix}", ["LossNotDecreasing"])
    assert result.status == "Error" and "cannot be read" in result.details


def test_a_prefix_is_a_folder(aws, prefix, saved):
    upload(aws, saved.losses(1).folder, f"{prefix}-of-another-job")
    with pytest.raises(TrialError, match=f"^s3://{BUCKET}/{prefix}: no tensors here"):
        open_trial(f"s3://{BUCKET}/{prefix}")


def test_what_s3_refuses_is_told(prefix):
    with pytest.raises(TrialError, match=r"s3://no-such-bucket/x cannot be read.*NoSuchBucket"):
        open_trial("s3://no-such-bucket/x")
    with pytest.raises(TrialError, match="s3:// cannot be read"):
        open_trial("s3://")


def test_nothing_lands_outside_the_copy(aws, prefix, saved):
    events = f"events/{0:012d}/{0:012d}_worker_0.tfevents"
    file = saved.losses(1).index_file()
    file.write_text(file.read_text().replace(events, "events/../../../evil.tfevents"))
    upload(aws, saved.folder, prefix)
    [result] = evaluate(f"s3://{BUCKET}/{prefix}", ["LossNotDecreasing"])
    assert result.status == "Error" and "points outside" in result.details
    key = f"{prefix}/collections/../../../evil.json"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"{}")
    with pytest.raises(TrialError, match="points outside"):
        open_trial(f"s3://{BUCKET}/{prefix}")
