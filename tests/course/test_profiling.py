"""`course/profiling.py`: the photos that are enlarged, and two runs beside each other."""

import io
from types import SimpleNamespace

import boto3
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from course import profiling
from course.jobs import MissingStep
from debugger_support import recordings
from engine_support.clients import BUCKET
from open_debugger.profiler import Profile
from open_debugger.profiler.recording import STEP_COLUMNS, Metric, Recording, Series


def profile(recording):
    return Profile(recording, None, None)


def run(cpu=None, cores=2, **parts):
    """Two training steps of 32 photos, and one of validation that must not count.

    A step takes 100 ms unless `seconds` says otherwise; all `cores` work `cpu` of the time.
    """
    row = dict.fromkeys(STEP_COLUMNS, np.nan) | {"phase": "train", "seconds": 0.1, "images": 32}
    row |= {"start": 10.0, "node": "algo-1", "rank": 0} | parts
    valid = row | {"phase": "valid", "seconds": 9.0, "data": 9.0, "start": 11.0}
    steps = pd.DataFrame([row, row | {"start": 10.0 + row["seconds"]}, valid])
    return profile(Recording("made", steps=steps, system=system(cpu, cores)))


def system(cpu, cores):
    if cpu is None:
        return {}
    times = np.linspace(10, 10.2, 5)
    return {
        Metric("algo-1", "cpu", f"cpu{core}", "CPUUtilization"): Series(
            times, np.full(5, 100 * cpu)
        )
        for core in range(cores)
    }


# ------------------------------------------------------------------------------------- the photos


@pytest.fixture
def ws(reached, request):
    prefix = request.node.name
    uri = lambda *parts: "/".join([f"s3://{BUCKET}", prefix, *parts])  # noqa: E731
    return SimpleNamespace(bucket=BUCKET, prefix=prefix, uri=uri)


def put(ws, name, size=(32, 24), colour="navy", kind="JPEG"):
    body = io.BytesIO()
    Image.new("RGB", size, colour).save(body, kind)
    key = f"{ws.prefix}/data/{name}"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body.getvalue())


def test_some_photos_of_some_classes_are_enlarged(aws, ws, monkeypatch):
    monkeypatch.setattr(profiling, "SIZE", (160, 120))
    monkeypatch.setattr(profiling, "CLASSES", 2)
    monkeypatch.setattr(profiling, "PER_CLASS", {"train": 2, "valid": 1})
    for breed in ("001.A", "002.B", "003.C"):
        for number in range(3):
            put(ws, f"train/{breed}/{number}.jpg", colour=("navy", "red", "lime")[number])
            put(ws, f"valid/{breed}/{number}.png", (24, 32), kind="PNG")
    for odd in ("0.txt", "0/0.jpg"):
        put(ws, f"train/001.A/{odd}", colour="lime")
    damaged = f"{ws.prefix}/data/train/002.B/1.jpg"
    boto3.client("s3").put_object(Bucket=BUCKET, Key=damaged, Body=b"no photo")
    channels = profiling.large_photos(ws)
    large = f"{ws.prefix}/data-large"
    assert channels == {s: f"s3://{BUCKET}/{large}/{s}" for s in ("train", "valid")}
    assert aws.keys(f"{large}/") == [
        f"{large}/train/001.A/0.jpg",
        f"{large}/train/001.A/1.jpg",
        f"{large}/train/002.B/0.jpg",
        *(f"{large}/valid/{b}/0.jpg" for b in ("001.A", "002.B")),
    ]
    for name, dominant in (("train/001.A/1.jpg", 0), ("train/002.B/0.jpg", 2)):
        found = boto3.client("s3").get_object(Bucket=BUCKET, Key=f"{large}/{name}")
        photo = Image.open(found["Body"])
        assert (photo.size, photo.format) == ((160, 120), "JPEG")
        pixel = photo.getpixel((80, 60))
        assert pixel.index(max(pixel)) == dominant


def test_without_photos_it_says_what_makes_them(ws):
    with pytest.raises(MissingStep, match="run notebook 01-data-to-s3 first"):
        profiling.large_photos(ws)


# ---------------------------------------------------------------------------------- the step times


def test_parts_are_milliseconds_of_a_training_step_and_add_up():
    one = run(data=0.06, forward=0.01, backward=0.02)
    table = profiling.parts({"one": one, "two": run(data=0.0, optimizer=0.1)})
    assert list(table.index) == ["one", "two"]
    expected = {"waiting for data": 60, "forward": 10, "backward": 20, "other": 10}
    for name, value in table.loc["one"].items():
        assert value == pytest.approx(expected.get(name, 0), abs=1e-9), name
    assert table.loc["two", "other"] == 0


def test_more_parts_than_time_leave_nothing_over():
    assert profiling.parts({"x": run(data=0.2)}).loc["x", "other"] == 0


def test_made_up_runs_come_out_as_they_were_made():
    table = profiling.parts(
        {n: profile(recordings.make(n, seconds=60)) for n in ("starved", "healthy")}
    )
    shares = table["waiting for data"] / table.sum(axis=1)
    assert shares["starved"] == pytest.approx(0.78, abs=0.03)
    assert shares["healthy"] == pytest.approx(0.02, abs=0.01)


def test_a_run_without_training_steps_is_named():
    with pytest.raises(ValueError, match="'empty' has no training steps"):
        profiling.parts({"empty": profile(Recording("nowhere"))})
    with pytest.raises(ValueError, match="'after' has no training steps"):
        profiling.outcome(run(data=0.05), profile(Recording("nowhere")))


# ------------------------------------------------------------------------- expected and measured


def test_one_process_for_each_core_is_advised_as_the_report_does():
    assert profiling.workers_advised(run(cpu=0.5, cores=4, data=0.05)) == 4
    assert profiling.workers_advised(run(data=0.05)) == 1


@pytest.mark.parametrize(
    ("data", "cpu", "bound"), [(0.06, 0.5, "50%"), (0.03, 0.5, "30%"), (0.06, None, "60%")]
)
def test_idle_cores_and_the_wait_bound_what_can_be_saved(data, cpu, bound):
    said = profiling.outcome(run(cpu=cpu, data=data), run(cpu=cpu, data=0.01))
    assert f"save at most {bound} of a step, or 1% of the whole run" in said.splitlines()[0]


@pytest.mark.parametrize(
    ("seconds", "measured", "judged"),
    [
        (0.08, "100 ms before and 80 ms after the change, 20% less.", "has helped, within"),
        (0.04, "100 ms before and 40 ms after the change, 60% less.", "more than expected"),
        (0.101, "100 ms before and 101 ms after the change, 1% more.", "by less than 2%"),
        (0.099, "100 ms before and 99 ms after the change, 1% less.", "by less than 2%"),
        (0.15, "100 ms before and 150 ms after the change, 50% more.", "made the run slower"),
    ],
)
def test_what_was_brought_is_judged_by_the_bound(seconds, measured, judged):
    after = run(cpu=0.9, seconds=seconds, data=0.02 * seconds)
    said = profiling.outcome(run(cpu=0.5, data=0.06), after).splitlines()
    assert measured in said[1] and judged in said[2]
    assert said[3] == "A step still waits 2% of its time for data, and the cores work 90%."


def test_without_samples_nothing_is_said_of_cores():
    said = profiling.outcome(run(data=0.06), run(data=0.05))
    assert "idle" not in said and said.endswith("A step still waits 50% of its time for data.")
