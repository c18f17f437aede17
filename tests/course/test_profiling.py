"""`course/profiling.py`: the photos that are enlarged, and two runs beside each other."""

import dataclasses
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
        profiling.outcome("x", run(data=0.05), profile(Recording("nowhere")))


# ------------------------------------------------------------------------- expected and measured


def test_a_change_of_the_networks_own_parts_without_loader_processes_is_called_chance():
    before, after = run(data=0.05, forward=0.02), run(data=0.0, forward=0.02)
    assert profiling.BY_CHANCE not in profiling.outcome("x", run(data=0.05), run(data=0.05))
    assert profiling.BY_CHANCE in profiling.outcome("x", before, after)  # the step is as long
    assert profiling.BY_CHANCE not in two_workers(before, after)


def test_one_process_for_each_core_is_advised_as_the_report_does():
    assert profiling.workers_advised(run(cpu=0.5, cores=4, data=0.05)) == 4
    assert profiling.workers_advised(run(data=0.05)) == 1


def two_workers(before, after):
    """What is said of two loader processes in place of none."""
    return profiling.outcome("2 workers", with_workers(before, 0), with_workers(after, 2))


def with_workers(run, count):
    run.recording.loaders.append({"Name": "train", "Workers": count})
    return run


@pytest.mark.parametrize(
    ("data", "cpu", "expected"),
    [
        (0.06, 0.5, "can save at most 50% of a training step: it waits 60% of its time for data, "
         "but the cores that would do this work are idle only 50% of the time."),
        (0.03, 0.5, "can save at most 30% of a training step: it waits 30% of its time for data, "
         "and the cores that would do this work are idle 50% of the time."),
        (0.06, None, "can save at most 60% of a training step: it waits 60% of its time for data."),
        (0.06, 0.9, "help cannot be predicted: a training step waits 60% of its time for data, but "
         "the cores that would do this work are busy 90% of the time."),
    ],
)  # fmt: skip
def test_idle_cores_and_the_wait_bound_what_more_workers_can_save(data, cpu, expected):
    name, said = two_workers(run(cpu=cpu, data=data), run(cpu=cpu, data=0.01)).splitlines()[:2]
    assert name == "2 workers" and said.startswith("  Expected: ") and said.endswith(expected)


def test_less_decoding_can_save_the_wait_and_more_where_loader_processes_share_the_cores():
    runs = run(cpu=0.9, data=0.06), run(cpu=0.9, data=0.01)
    alone = profiling.outcome("decode reduced", *runs).splitlines()[1]
    assert alone.endswith("at most 60% of a training step, all of its wait for data.")
    runs = [with_workers(each, 2) for each in runs]
    expected = profiling.outcome("decode reduced", *runs).splitlines()[1]
    assert expected.startswith("  Expected: Give the loader less to decode")
    assert "at most 60% of a training step, all of its wait for data." in expected
    assert expected.endswith("so its own parts can become shorter, too.")


@pytest.mark.parametrize(
    ("seconds", "cpu", "measured", "judged"),
    [
        (0.08, 0.5, "80 ms instead of 100 ms: 20 ms less.",
         "That is 20% less: the change helped. Less waiting saved 58% of the step, more than the "
         "expected limit of 50%; the other parts took back 38%."),
        (0.04, 0.7, "40 ms instead of 100 ms: 60 ms less.",
         "That is 60% less: the change helped. Less waiting saved 59% of the step, more than the "
         "expected limit of 30%; the other parts saved 1%."),
        (0.04, None, "40 ms instead of 100 ms: 60 ms less.",
         "That is 60% less: the change helped. Less waiting saved 59% of the step, no more than "
         "the expected limit of 60%; the other parts saved 1%."),
        (0.04, 0.9, "40 ms instead of 100 ms: 60 ms less.",
         "That is 60% less: the change helped. Less waiting saved 59% of the step; the other parts "
         "saved 1%."),
        (0.101, 0.5, "101 ms instead of 100 ms: 1 ms more.",
         "That is 1.0% more: the change made no difference (less than 2% does not count)."),
        (0.099, 0.5, "99 ms instead of 100 ms: 1 ms less.",
         "That is 1.0% less: the change made no difference (less than 2% does not count)."),
        (0.15, 0.5, "150 ms instead of 100 ms: 50 ms more.",
         "That is 50% more: the change made the run slower."),
    ],
)  # fmt: skip
def test_what_was_brought_is_judged_by_what_was_expected(seconds, cpu, measured, judged):
    after = run(cpu=0.9, seconds=seconds, data=0.02 * seconds)
    said = two_workers(run(cpu=cpu, data=0.06), after).splitlines()
    assert said[2].startswith(f"  Measured: A training step takes {measured} Waiting for data")
    assert said[3] == f"  {judged} A step now waits 2.0% of its time for data."


@pytest.mark.parametrize(
    ("fast", "slow", "said"),
    [
        (0.05, 0.08, "fast saved the most: 50% of a training step. slow saved 20%."),
        (0.05, 0.12, "fast saved the most: 50% of a training step. slow made it 20% longer."),
        (0.1, 0.099, "No change made a training step shorter by 2% or more."),
    ],
)
def test_the_change_that_saved_most_is_named(fast, slow, said):
    runs = {"first": run(), "slow": run(seconds=slow), "fast": run(seconds=fast)}
    assert profiling.best_change(runs) == said


def test_the_difference_is_split_into_the_wait_and_all_other_parts():
    slow, fast = run(data=0.06), run(seconds=0.05, data=0.02)
    assert profiling.outcome("decode reduced", slow, fast).splitlines()[2] == (
        "  Measured: A training step takes 50 ms instead of 100 ms: 50 ms less. Waiting for data "
        "takes 40 ms less, and all other parts take 10 ms less."
    )
    assert (
        profiling.outcome("x", fast, slow)
        .splitlines()[2]
        .endswith(
            "50 ms more. Waiting for data takes 40 ms more, and all other parts take 10 ms more."
        )
    )


def test_the_numbers_of_a_difference_agree_with_each_other():
    slow, fast = run(seconds=0.3966, data=0.2216), run(seconds=0.2792, data=0.0412)
    assert profiling.outcome("x", slow, fast).splitlines()[2] == (
        "  Measured: A training step takes 279 ms instead of 397 ms: 118 ms less. Waiting for data "
        "takes 180 ms less, and all other parts take 62 ms more."
    )
    short = run(seconds=0.00396, data=0.002)
    assert "takes 4.0 ms instead of 396.6 ms: 392.6 ms less." in profiling.outcome("x", slow, short)


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
    more = dataclasses.replace(recording, loaders=[{"Name": "train", "Workers": 9}])
    outcome = profiling.outcome("9 workers", before, profile(more)).splitlines()
    figure = figures.parts(profiling.parts({"before": before})).axes[0]
    page, summary = html(recording, findings, before.diagnosis), before._repr_html_()
    text = unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))

    training = recording.steps[recording.steps["phase"] == "train"]
    step, wait, bound = f"{1000 * training['seconds'].mean():.0f} ms", "75%", "35%"
    assert figure.texts[0].get_text() == step and figure.get_title("left").endswith(wait)
    assert f"instead of {step}:" in outcome[2]
    assert profiling.longest(profiling.parts({"before": before})).count(f"{wait} of its {step}")
    assert f"{step} mean of" in text and f"mean {step} ," in text

    expected = outcome[1].removeprefix("  Expected: ")
    assert f"at most {bound} of a training step: it waits {wait} of its time" in expected
    assert expected in before.diagnosis.change and expected in unescape(summary)
    assert set(re.findall(r"at most ([0-9.]+%)", text)) == {bound}
    assert f"waited {wait} of its time for data" in before.findings["Dataloader"].summary
    assert "the 2 cores were busy 65% of the time" in before.diagnosis.evidence
    assert "would do this work are idle only 35% of the time" in expected
    assert "CPU utilization 65% mean while training" in text
