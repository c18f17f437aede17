"""`profiler/diagnosis/`: what limited runs whose truth is known."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest

from debugger_support import minimal
from debugger_support.recordings import LIMITS, make
from open_debugger.profiler.diagnosis import decision, diagnose, less_decoding, more_workers
from open_debugger.profiler.evaluation import evaluate
from open_debugger.profiler.measures import Measures, measure
from open_debugger.profiler.recording import Recording
from open_debugger.profiler.text import percent

CPU_ONLY = {"cpu_compute", "cpu_data"}
RUNS = [
    pytest.param(name, seconds, gpus, cores, seed, id=f"{name}-{seconds}-{gpus}-{cores}-{seed}")
    for name in LIMITS
    for seconds, gpus, cores, seed in [
        (30, 1, 2, 0),
        (30, 2, 4, 2),
        (60, 8, 64, 3),
        (120, 1, 4, 4),
        (120, 2, 64, 5),
        (600, 4, 16, 6),
        (3600, 1, 8, 7),
    ]
]


def run(name, seconds, gpus, cores, seed) -> Recording:
    gpus = 0 if name in CPU_ONLY else max(2, gpus) if name == "unbalanced" else gpus
    return make(name, seconds=float(seconds), gpus=gpus, cores=cores, seed=seed)


@pytest.mark.parametrize(("name", "seconds", "gpus", "cores", "seed"), RUNS)
def test_what_limited_a_run_is_found(name, seconds, gpus, cores, seed):
    made = run(name, seconds, gpus, cores, seed)
    found = diagnose(made)
    allowed = {LIMITS[name]}
    if name == "outliers" and seconds == 30:  # few steps, and it is by chance that any is slow
        allowed.add("compute")
    assert found.limit in allowed, found
    said(found)


def said(found) -> None:
    for sentence in (found.what, found.evidence, found.change):
        assert re.fullmatch(r"[A-Za-z0-9].*\.", sentence) and ".." not in sentence, sentence
        assert "None" not in sentence and "nan" not in sentence
    if found.gain is not None:
        assert 0 <= found.gain <= 1
        bound = f"at most {percent(found.gain)} of"
        assert f"{bound} {found.gain_of}" in found.change or f"{bound} a step" in found.change
        for number in re.findall(r"at most ([0-9.]+%)", found.change):
            assert number == percent(found.gain)  # one bound, not several


@pytest.mark.parametrize(
    ("name", "limit", "gain"),
    [
        ("starved", "data", 1 - 0.3),
        ("io_bound", "io", None),
        ("cpu_bottleneck", "cpu", 0.93),
        ("one_slow_core", "cpu", 1 - 0.26),
        ("unbalanced", "balance", 1 - 46 / 95),
        ("memory_leak", "memory", None),
        ("healthy", "compute", None),
        ("cpu_compute", "cpu", None),
        ("cpu_data", "unknown", None),
    ],
)
def test_without_step_times_the_system_says_it(name, limit, gain):
    made = make(name)
    made.steps = made.steps[:0]
    found = diagnose(made)
    assert found.limit == limit
    assert found.gain_of == "the run"
    said(found)
    if gain:
        assert found.gain == pytest.approx(gain, abs=0.03)


def test_an_idle_run_without_step_times_is_not_explained():
    found = diagnose(minimal.recording(gpus=[[3] * 100], cores=[[4] * 100, [5] * 100]))
    assert (
        found.limit == "unknown"
        and "the GPU was busy 3.0% of the time, the 2 cores 4.5%" in found.evidence
    )
    assert "Let the script write step times" in found.change


@pytest.mark.parametrize(
    ("steps", "samples", "is_known"),
    [(0, 0, 0), (0, 4, 0), (4, 4, 0), (5, 0, 1), (5, 4, 1), (0, 6, 1)],
)
def test_too_little_says_nothing(steps, samples, is_known):
    times = {"data": 0.6, "forward": 0.4}
    made = minimal.recording(cores=[[99] * samples], interval=60)
    made.steps = minimal.steps([60.0] * steps, **times) if steps else made.steps
    if not samples:
        made.system = {}
    found = diagnose(made)
    said(found)
    assert (found.limit != "unknown") == is_known
    if not is_known:
        assert f"There are {steps} training steps" in found.evidence


def test_three_seconds_say_nothing():
    found = diagnose(make("three_seconds"))
    assert (found.limit, found.gain) == ("unknown", None)
    assert "There are 13 training steps with times" in found.evidence


# Each threshold by itself

WELL = Measures(
    seconds=600,
    steps=1000,
    processes=1,
    stepping=0.8,
    parts={"data": 0.02, "host_to_device": 0.01, "forward": 0.3, "backward": 0.6, "rest": 0.02},
    outliers=0.0,
    samples=1200,
    cores=4,
    cpu=0.4,
    busiest=0.45,
    one_full=0.0,
    io=0.0,
    gpus={"gpu0": 0.93, "gpu1": 0.95},
    memory=0.7,
    workers=4,
)


def limit(monkeypatch, **changes) -> str:
    return found(monkeypatch, **changes).limit


def found(monkeypatch, **changes):
    parts = {part: changes.pop(part) for part in list(changes) if part in WELL.parts}
    m = dataclasses.replace(WELL, **{"parts": {**WELL.parts, **parts}, **changes})
    monkeypatch.setattr(decision, "measure", lambda recording: m)
    result = diagnose(Recording(""))
    said(result)
    return result


IDLE = {"gpus": {"gpu0": 0.3}}
CPU = {"gpus": {}, "memory": None}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "compute"),
        ({**IDLE, "data": 0.24}, "cpu"),
        ({**IDLE, "data": 0.25}, "data"),
        ({"gpus": {"gpu0": 0.79}, "data": 0.25}, "data"),
        ({"gpus": {"gpu0": 0.8}, "data": 0.6}, "compute"),
        ({**IDLE, "data": 0.6, "io": 0.49}, "data"),
        ({**IDLE, "data": 0.6, "io": 0.5}, "io"),
        ({**IDLE, "data": 0.6, "cpu": 0.84, "busiest": 0.9}, "data"),
        ({**IDLE, "data": 0.6, "cpu": 0.85, "busiest": 0.9}, "cpu"),
        ({**IDLE, "data": 0.6, "cpu": 0.99, "busiest": 1.0, "workers": 0}, "data"),
        ({**IDLE, "data": 0.6, "cpu": 0.99, "busiest": 1.0, "workers": None}, "data"),
        ({**IDLE, "data": 0.6, "cpu": None, "busiest": None, "io": None}, "data"),
        ({"distance": 0.2}, "compute"),
        ({"distance": 0.21}, "balance"),
        ({**IDLE, "distance": 0.5, "data": 0.6}, "data"),
        ({"rise": 0.05}, "compute"),
        ({"rise": 0.06}, "memory"),
        ({**IDLE, "rise": 0.06, "data": 0.6, "memory": 0.94}, "data"),
        ({**IDLE, "rise": 0.06, "data": 0.6, "memory": 0.95}, "memory"),
        ({**IDLE, "rise": 0.05, "data": 0.6, "memory": 0.95}, "data"),
        ({"outliers": 0.09}, "compute"),
        ({"outliers": 0.1}, "outliers"),
        ({"outliers": 0.1, "rise": 0.06}, "memory"),
        ({"gpus": {"gpu0": 0.69}, "io": 0.5}, "io"),
        ({"gpus": {"gpu0": 0.7}, "io": 0.5}, "compute"),
        ({**CPU, "io": 0.5}, "io"),
        ({**CPU, "rest": 0.24, "forward": 0.1}, "compute"),
        ({**CPU, "rest": 0.25, "forward": 0.1}, "cpu"),
        ({"gpus": {"gpu0": 0.7}, "rest": 0.5}, "compute"),
        ({**IDLE, "host_to_device": 0.24}, "cpu"),
        ({**IDLE, "host_to_device": 0.25}, "data"),
        ({"gpus": {"gpu0": 0.7}}, "compute"),
        ({"gpus": {"gpu0": 0.69}}, "cpu"),
        ({**CPU, "cpu": 0.59, "busiest": 0.9}, "cpu"),
        ({**CPU, "cpu": 0.61, "busiest": 0.9}, "compute"),
        ({**CPU, "cpu": 0.5, "busiest": 0.89}, "compute"),
        ({**CPU, "cpu": 0.5, "busiest": 0.89, "cores": 2}, "cpu"),
        ({**CPU, "cpu": 0.26, "busiest": 0.4}, "cpu"),
        ({**CPU, "cpu": 0.31, "busiest": 0.4}, "cpu"),
        ({**CPU, "cpu": 0.33, "busiest": 0.4}, "compute"),
        ({**CPU, "cpu": 0.2, "busiest": 0.4}, "compute"),
        ({**CPU, "cpu": 1.0, "busiest": 1.0, "cores": 1}, "compute"),
        ({**CPU, "cpu": None, "busiest": None}, "compute"),
    ],
)
def test_each_threshold_decides(monkeypatch, changes, wanted):
    assert limit(monkeypatch, **changes) == wanted


ALONE = {"steps": 0, "stepping": None, "parts": {}, "outliers": None}


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "compute"),
        ({"gpus": {"gpu0": 0.7}}, "compute"),
        ({"distance": 0.2}, "compute"),
        ({"distance": 0.21}, "balance"),
        ({"rise": 0.05}, "compute"),
        ({"rise": 0.06}, "memory"),
        ({**IDLE, "io": 0.5}, "io"),
        ({**IDLE, "io": 0.49}, "unknown"),
        ({**IDLE, "one_full": 0.5}, "cpu"),
        ({**IDLE, "one_full": 0.49}, "unknown"),
        ({**IDLE, "one_full": 0.5, "workers": 0}, "data"),
        ({**IDLE, "cpu": 0.85, "busiest": 0.86}, "cpu"),
        ({**IDLE, "cpu": 0.5, "busiest": 0.95}, "cpu"),
        ({**IDLE, "cpu": None, "busiest": None}, "unknown"),
        ({**CPU, "cpu": 0.85, "busiest": 0.9}, "cpu"),
        ({**CPU, "cpu": 0.84, "busiest": 0.9}, "unknown"),
        ({**CPU, "cpu": 0.84, "busiest": 0.9, "io": 0.5}, "io"),
        ({**CPU, "cpu": None, "busiest": None, "io": None}, "unknown"),
    ],
)
def test_each_threshold_decides_without_step_times(monkeypatch, changes, wanted):
    m = dataclasses.replace(WELL, **{**ALONE, **changes})
    monkeypatch.setattr(decision, "measure", lambda recording: m)
    result = diagnose(Recording(""))
    assert result.limit == wanted
    said(result)


@pytest.mark.parametrize(
    ("changes", "gain", "words"),
    [
        # What waits may be left out; by more processes it is done no faster than by all cores.
        ({**IDLE, "data": 0.6, "workers": 0}, 0.6, "num_workers to 4."),
        ({**IDLE, "data": 0.6, "workers": 0, "cpu": 0.4}, 0.6, "work are idle 60% of the time."),
        (
            {**IDLE, "data": 0.75, "workers": 0, "cpu": 0.4},
            0.6,
            "would do this work are idle only 60% of the time.",
        ),
        ({**IDLE, "data": 0.6, "workers": 0, "cpu": None}, 0.6, "waits 60% of its time for data."),
        ({**IDLE, "data": 0.6, "workers": 0, "processes": 2}, 0.6, "num_workers to 2."),
        ({**IDLE, "data": 0.6, "workers": 4}, 0.6, "prefetch_factor"),
        ({**IDLE, "data": 0.6, "workers": 4, "cores": 0}, 0.6, "num_workers to 5."),
        ({**IDLE, "data": 0.6, "workers": 3}, 0.6, "num_workers to 4."),
        ({**IDLE, "data": 0.6, "workers": 0, "cpu": 0.9}, 0.6, "less to decode"),
        ({**IDLE, "data": 0.6, "cpu": 0.9, "busiest": 0.95}, 0.6, "more vCPU"),
        ({**IDLE, "data": 0.6, "io": 0.9}, 0.6, "FastFile"),
        ({**IDLE, "data": 0.25, "io": 0.9}, 0.25, "FastFile"),
        ({**IDLE, "io": 0.9}, 0.7, "FastFile"),
        ({**IDLE, "io": 0.5}, 0.5, "FastFile"),
        ({"gpus": {"a": 0.8, "b": 0.4}, "distance": 0.4}, 0.25, "DistributedSampler"),
        ({"outliers": 0.3}, 0.3, "timeline"),
        ({**IDLE, "rest": 0.5}, 0.5, "logging"),
        ({**IDLE, "host_to_device": 0.5}, 0.5, "non_blocking=True"),
        ({**IDLE}, 0.7, "the batch size"),
        ({**CPU, "cpu": 0.3, "busiest": 0.95}, 0.7, "torch.set_num_threads"),
        ({"data": 0.05, "outliers": 0.05}, 0.1, "lower precision (bf16)"),
        ({"rise": 0.5}, None, "loss.item()"),
    ],
)
def test_the_gain_is_a_bound_from_what_was_measured(monkeypatch, changes, gain, words):
    result = found(monkeypatch, **changes)
    assert result.gain == (None if gain is None else pytest.approx(gain))
    assert words in result.change and result.gain_of == "a training step"
    shorter = found(monkeypatch, **{**changes, "stepping": 0.5})  # the run's other time is no part
    assert shorter.gain == result.gain


def test_less_to_decode_speeds_up_a_network_on_the_same_cores(monkeypatch):
    shared = "The network runs on the same cores, so its own parts can become shorter, too."
    busy = {"cpu": 0.9, "workers": 2, "parts": {"data": 0.6}}
    assert less_decoding(Measures(**busy)).endswith(shared)
    assert shared not in less_decoding(Measures(**busy | {"workers": 0}))  # it takes turns
    with_gpu = found(monkeypatch, **IDLE | {"data": 0.6, "workers": 0, "cpu": 0.9})
    assert "less to decode" in with_gpu.change and shared not in with_gpu.change


def test_no_bound_is_given_for_more_workers_where_the_cores_are_busy(monkeypatch):
    figures = {"cores": 2, "workers": 0, "parts": {"data": 0.39}}
    full = more_workers(Measures(cpu=0.85, **figures))
    assert full.startswith("Whether more loader processes help cannot be predicted")
    assert "waits 39% of its time" in full and "busy 85% of the time" in full
    assert "at most" not in full
    assert "can save at most 16% of" in more_workers(Measures(cpu=0.84, **figures))


def test_the_evidence_has_the_figures(monkeypatch):
    text = found(monkeypatch, **IDLE, data=0.6, busiest=0.99).evidence
    assert text == (
        "A training step waited 60% of its time for data. During the training, the GPU was busy "
        "30% of the time, the 4 cores 40% (the busiest one 99%)."
    )
    text = found(monkeypatch, distance=0.5, gpus={"gpu0": 0.95, "gpu1": 0.35}).evidence
    assert text == "gpu0 was busy 95% of the time, gpu1 35%, all of them 65% on average."


@pytest.mark.parametrize(
    ("stepping", "overheads", "what", "evidence"),
    [
        (0.5, {"initialization": 0.4}, "The GPUs limited", "."),
        (0.49, {"initialization": 0.4, "checkpoint": 0.04}, "The GPUs", " (initialization 40%)."),
        (0.3, {}, "The GPUs limited", " Training steps took only 30% of the run's time."),
        (0.3, {"evaluation": 0.5}, "Most of this run was evaluation", " (evaluation 50%)."),
        (0.3, {"upload": 0.6}, "Most of this run was upload", " (upload 60%)."),
    ],
)
def test_what_is_not_training_is_told_where_it_is_most(
    monkeypatch, stepping, overheads, what, evidence
):
    result = found(monkeypatch, stepping=stepping, overheads=overheads)
    assert result.what.startswith(what) and result.evidence.endswith(evidence)
    assert ("Training steps took" in result.evidence) == (stepping < 0.5)
    changed = {"evaluation": "Evaluate less often first", "upload": "Look first at what it does"}
    for name, text in changed.items():
        assert result.change.startswith(text) == (overheads.get(name, 0) >= 0.5)


def test_the_rules_that_saw_it_too_are_named():
    made = make("starved")
    evidence = diagnose(made, evaluate(made)).evidence
    assert evidence.endswith(
        " The rules Dataloader, LowGPUUtilization and CPUBottleneck found it, too."
    )
    made = make("cpu_data")
    assert diagnose(made, evaluate(made)).evidence.endswith(" The rule Dataloader found it, too.")
    made = make("healthy")
    assert "found it" not in diagnose(made, evaluate(made)).evidence


@pytest.mark.parametrize("seed", range(3))
def test_a_loader_that_stutters_is_data_and_not_outliers(seed):
    """Four slow workers: every fourth batch is awaited, and the next three are ready."""
    wait = np.tile([1.8, 0.01, 0.01, 0.01], 50)
    steps = minimal.steps(wait + 0.3, forward=0.0)
    steps["data"], steps["forward"], steps["backward"] = wait, 0.1, 0.2
    random = np.random.default_rng(seed)
    made = minimal.recording(
        gpus=[random.normal(40, 20, 300).clip(0, 100)], cores=[[70] * 300] * 4, steps=steps
    )
    assert diagnose(made).limit == "data"


def test_evaluation_does_not_count_as_training():
    train = minimal.steps([0.5] * 100, data=0.02, forward=0.3, backward=0.6)
    valid = minimal.steps([0.5] * 100, phase="valid", data=0.95, start=minimal.START + 50)
    made = minimal.recording(gpus=[[95] * 100 + [5] * 100], cores=[[30] * 200] * 2)
    made.steps = pd.concat([train, valid], ignore_index=True)
    assert diagnose(made).limit == "compute" and measure(made).gpu > 0.9


def test_what_python_takes_while_the_gpu_works_is_not_lost(monkeypatch):
    assert found(monkeypatch, gpus={"gpu0": 0.6}, rest=0.5).gain == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("cores", "text"), [(0, "the cores were"), (1, "the core was"), (2, "the 2 cores were")]
)
def test_the_cores_are_told_as_far_as_they_are_known(monkeypatch, cores, text):
    beside = found(monkeypatch, **IDLE, cores=cores).evidence
    assert beside.endswith(f", {text.rpartition(' ')[0]} 40%.")
    alone = found(monkeypatch, **CPU, data=0.6, cores=cores).evidence
    assert alone.endswith(f" During the training, {text} busy 40% of the time.")


def test_a_gain_without_step_times_is_one_of_the_run(monkeypatch):
    """Even where a few steps were recorded: too few to say what the others waited for."""
    result = found(monkeypatch, **IDLE, steps=4, one_full=0.6, cpu=0.4)
    assert (result.gain_of, result.gain) == ("the run", pytest.approx(0.6))
    assert "this can save at most 60% of the run." in result.change
