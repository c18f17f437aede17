"""`profiler/reading/timelines.py`: the step times of old containers, by smdebug's writer."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smdebug.core.tfevent.timeline_file_writer import TimelineFileWriter
from smdebug.profiler.profiler_config import ProfilerConfig

from debugger_support.recordings import START, make, write
from open_debugger.profiler.reading.lines import LeftOut
from open_debugger.profiler.reading.reader import read
from open_debugger.profiler.reading.timelines import collect


def record(root, steps, worker="51-algo-1", kind="pythontimeline", closed=True):
    """Write steps (mode, number, start, seconds) as a container did; return the file."""
    config = ProfilerConfig(str(root), 10**7, 10**6, 50, {}, {}, {}, {})
    suffix = f"{kind}.json"
    writer = TimelineFileWriter(SimpleNamespace(profiling_enabled=True, config=config), 100, suffix)
    for mode, number, start, seconds in steps:
        phase = f"Step:ModeKeys.{mode}"
        write_event = writer.write_trace_events
        write_event(start, phase, phase, duration=seconds, pid=51, step_num=str(number))
        write_event(start, "Forward", "Net", duration=seconds / 2, pid=51, step_num=str(number))
    writer.flush()
    open_file = next((root / "framework").glob("*.tmp"))
    text = open_file.read_text()
    writer.close()
    (file,) = (root / "framework/pevents").rglob(f"*-{file_host(root)}_{suffix}")
    if not closed:
        file.write_text(text)
    return file.rename(file.with_name(f"{file.name.split('_')[0]}_{worker}_{suffix}"))


def file_host(root):
    """What smdebug made of this machine's name."""
    from smdebug.core.utils import get_node_id

    return get_node_id().partition("-")[2]


def test_steps_are_read_with_their_seconds_and_nothing_of_their_parts(tmp_path):
    record(tmp_path, [("TRAIN", 0, START, 0.5), ("TRAIN", 1, START + 1, 0.25),
                      ("EVAL", 0, START + 2, 0.125)])  # fmt: skip
    found = read(tmp_path)
    assert found.notes == []
    steps = found.steps
    assert steps["phase"].tolist() == ["train", "train", "valid"]
    assert steps["step"].tolist() == [0, 1, 0]
    assert steps["start"].tolist() == pytest.approx([START, START + 1, START + 2], abs=2e-6)
    assert steps["seconds"].tolist() == [0.5, 0.25, 0.125]
    assert steps["node"].tolist() == ["algo-1"] * 3
    nothing = ["data", "host_to_device", "forward", "backward", "optimizer", "epoch", "images"]
    assert steps[nothing].isna().all().all()


def test_each_process_has_a_rank(tmp_path):
    workers = ["1-algo-1", "0-algo-2", "10-algo-2"]
    for number, worker in enumerate(workers):
        record(tmp_path, [("TRAIN", 7, START + number, 0.5)], worker, "model_timeline")
    steps = read(tmp_path).steps
    assert list(zip(steps["node"], steps["rank"], strict=True)) == [
        ("algo-1", 1),
        ("algo-2", 0),
        ("algo-2", 2),
    ]


@pytest.mark.parametrize("worker", ["51-my-host-7", "my-host-7-51", "my-host"])
def test_hosts_of_other_names_are_kept(tmp_path, worker):
    record(tmp_path, [("PREDICT", 0, START, 0.5), ("GLOBAL", 1, START + 1, 0.5)], worker)
    steps = read(tmp_path).steps
    assert set(steps["node"]) == ({"my-host"} if worker == "my-host" else {"my-host-7"})
    assert steps["phase"].tolist() == ["test", "global"]


def test_a_killed_job_s_open_timeline_is_read(tmp_path):
    record(tmp_path, [("TRAIN", n, START + n, 0.5) for n in range(3)], closed=False)
    found = read(tmp_path)
    assert (found.steps["step"].tolist(), found.notes) == ([0, 1, 2], [])


def test_a_damaged_timeline_is_said_and_the_others_are_read(tmp_path):
    file = record(tmp_path, [("TRAIN", 0, START, 0.5)])
    broken = file.with_name("17_8-algo-1_pythontimeline.json")
    broken.write_bytes(b"\xff\x00")
    found = read(tmp_path)
    name = broken.relative_to(tmp_path)
    assert found.notes == [f"{name}: nothing was read (not a timeline: UnicodeDecodeError)."]
    assert len(found.steps) == 1


def test_the_script_s_own_steps_are_taken_before_smdebug_s(tmp_path):
    made = make("three_seconds")
    record(write(made, tmp_path), [("TRAIN", 999, START, 0.5)])
    steps = read(tmp_path).steps
    assert len(steps) == len(made.steps)
    assert np.isfinite(steps["data"]).all()


@settings(max_examples=50, deadline=None)
@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(lambda x: str(x).encode()))
def test_no_bytes_raise(data):
    collect(
        [("framework/pevents/x/1_1-algo-1_pythontimeline.json", data), ("odd", data)], LeftOut()
    )
