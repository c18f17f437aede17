"""`course/profiling.py`: the photos that are enlarged, and two runs beside each other."""

import io
import re
from html import unescape
from types import SimpleNamespace

import boto3
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from course import figures, profiling
from course.jobs import MissingStep
from debugger_support import recordings
from engine_support.clients import BUCKET
from open_debugger.profiler import Profile, diagnose, evaluate
from open_debugger.profiler.recording import STEP_COLUMNS, Metric, Recording, Series
from open_debugger.profiler.report import html


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
    ("data", "cpu", "bound", "reason"),
    [
        (0.06, 0.5, "50%", "60% of its time for data, but this work moves to the cores, which"),
        (0.03, 0.5, "30%", "30% of its time for data, and the cores, idle 50% of the time, have"),
        (0.06, None, "60%", "60% of its time for data."),
    ],
)
def test_idle_cores_and_the_wait_bound_what_can_be_saved(data, cpu, bound, reason):
    said = profiling.outcome(run(cpu=cpu, data=data), run(cpu=cpu, data=0.01)).splitlines()[0]
    assert said.startswith(f"Expected: More loader processes can save at most {bound} of a ")
    assert reason in said


@pytest.mark.parametrize(
    ("seconds", "measured", "judged"),
    [
        (
            0.08,
            "100 ms before and 80 ms after the change, 20% less.",
            "helped, and by no more than expected.",
        ),
        (0.04, "100 ms before and 40 ms after the change, 60% less.", "more than the expected 50%"),
        (0.101, "100 ms before and 101 ms after the change, 1.0% more.", "made no difference"),
        (0.099, "100 ms before and 99 ms after the change, 1.0% less.", "made no difference"),
        (0.15, "100 ms before and 150 ms after the change, 50% more.", "made the run slower"),
    ],
)
def test_what_was_brought_is_judged_by_what_was_expected(seconds, measured, judged):
    after = run(cpu=0.9, seconds=seconds, data=0.02 * seconds)
    said = profiling.outcome(run(cpu=0.5, data=0.06), after).splitlines()
    assert said[1].startswith(f"Measured: A training step took {measured} The change ")
    assert judged in said[1]
    wait = "After the change, a step waits 2.0% of its time for data"
    assert said[2] == f"{wait}, and the cores are busy 90% of the time."


def test_a_part_that_grows_much_is_named_with_both_times():
    before, after = run(data=0.06, backward=0.02), run(data=0.01, backward=0.05, forward=0.01)
    last = profiling.outcome(before, after).splitlines()[2]
    assert last.endswith(" But 'backward' takes 50 ms instead of 20 ms.")
    assert "But" not in profiling.outcome(before, run(data=0.01, backward=0.021))


def test_the_difference_is_split_into_the_wait_and_all_other_parts():
    runs = {"slow": run(data=0.06), "fast": run(seconds=0.05, data=0.02)}
    table = profiling.parts(runs)
    assert profiling.difference(table, "fast") == (
        "fast: a training step takes 50 ms less than with slow. Of this, waiting for data takes "
        "40 ms less, and all other parts 10 ms less."
    )
    said = profiling.difference(table.iloc[::-1], "slow")
    assert "takes 50 ms more" in said and said.endswith(
        "40 ms more, and all other parts 10 ms more."
    )


def test_without_samples_nothing_is_said_of_cores():
    said = profiling.outcome(run(data=0.06), run(data=0.05))
    assert "cores" not in said and said.endswith("a step waits 50% of its time for data.")


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"data": 0.06, "forward": 0.03}, "is waiting for data: 60% of its 100 ms. Next comes"),
        ({"backward": 0.06, "data": 0.03}, "is 'backward': 60% of its 100 ms. Next comes waiting"),
    ],
)
def test_the_longest_part_is_named_first(parts, said):
    assert said in profiling.longest(profiling.parts({"one": run(**parts)}))


def test_report_figure_and_outcome_tell_the_same_numbers():
    """The step's time, its wait, the cores, the bound: each one computed and rounded once."""
    shares = {"data": 0.75, "forward": 0.07, "backward": 0.1}
    machine = {"cores": 2, "cpu": (70.0, 60.0)}
    recording = recordings.make("cpu_data", seconds=40, shares=shares, seed=3, **machine)
    findings = evaluate(recording)
    before = Profile(recording, findings, diagnose(recording, findings))
    outcome = profiling.outcome(before, before).splitlines()
    figure = figures.parts(profiling.parts({"before": before})).axes[0]
    page, summary = html(recording, findings, before.diagnosis), before._repr_html_()
    text = unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))

    training = recording.steps[recording.steps["phase"] == "train"]
    step, wait, bound = f"{1000 * training['seconds'].mean():.0f} ms", "75%", "35%"
    assert figure.texts[0].get_text() == step and figure.get_title("left").endswith(wait)
    assert f"took {step} before" in outcome[1]
    assert profiling.longest(profiling.parts({"before": before})).count(f"{wait} of its {step}")
    assert f"{step} mean of" in text and f"mean {step} ," in text

    expected = outcome[0].removeprefix("Expected: ")
    assert f"at most {bound} of a training step: it waits {wait} of its time" in expected
    assert expected in before.diagnosis.change and expected in unescape(summary)
    assert set(re.findall(r"at most ([0-9.]+%)", text)) == {bound}
    assert f"waited {wait} of its time for data" in before.findings["Dataloader"].summary
    assert "the 2 cores were busy 65% of the time" in before.diagnosis.evidence
    assert "the cores, which are idle 35% of the time" in expected
    assert "CPU utilization 65% mean while training" in text
