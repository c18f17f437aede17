"""`entry_points/debugger/tracing.py`: which steps are traced, and what is written of them."""

import gzip
import json

import pytest
import torch

from debugger.steps import Steps
from debugger.tracing import Trace

DEVICE = torch.device("cpu")
NETWORK = torch.nn.Linear(4, 2)


def train(folder, wanted, epochs=1, length=6):
    """Train, and validate with another operator, while the steps are recorded."""
    trace = Trace(folder / "framework/trace/algo-1-0", wanted, epochs)
    steps, data = Steps(folder, trace=trace), [(torch.ones(3, 4), torch.zeros(3))] * length
    for epoch in range(1, epochs + 1):
        steps.begin("train", epoch)
        for photos, _ in steps.over(data, DEVICE):
            NETWORK(photos).sum().backward()
        steps.begin("valid", epoch)
        for photos, _ in steps.over(data, DEVICE):
            torch.erfinv(photos)
    steps.close()


def events(folder):
    (file,) = folder.glob("framework/trace/*.trace.json.gz")
    assert file.name == "algo-1-0.trace.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]


def traced(found):
    names = [event["name"] for event in found if event.get("cat") == "user_annotation"]
    return sorted(name for name in names if name.startswith("ProfilerStep#"))


def operators(folder):
    return json.loads((folder / "framework/trace/algo-1-0.operators.json").read_text())


def flagged(folder):
    lines = [line for f in folder.glob("framework/steps/*/*") for line in f.read_text().split("\n")]
    rows = [json.loads(line) for line in lines if line]
    return [row["Step"] for row in rows if row.get("Traced")], [
        row["Name"] for row in rows if row["Type"] == "span"
    ]


@pytest.mark.parametrize(
    ("wanted", "epochs", "length", "expected"),
    [
        (2, 1, 6, [3, 4]),  # after three
        (2, 3, 4, [3, 4]),  # over the end of an epoch
        (3, 1, 5, [2, 3, 4]),  # as late as it can be
        (4, 1, 2, [0, 1]),  # as many as there are
        (1, 2, 1, [1]),
    ],
)
def test_it_traces_so_many_steps(tmp_path, wanted, epochs, length, expected):
    train(tmp_path, wanted, epochs, length)
    assert traced(events(tmp_path)) == [f"ProfilerStep#{n}" for n in expected]
    steps, spans = flagged(tmp_path)
    assert steps == expected
    assert ("trace" in spans) == (max(expected) - min(expected) + 1 == wanted)


def test_the_operators_are_those_of_training(tmp_path):
    train(tmp_path, 3, epochs=3, length=4)
    found = [event["name"] for event in events(tmp_path)]
    assert found.count("aten::addmm") == 3
    assert "aten::erfinv" not in found  # the validation between two epochs
    table = {row["Name"]: row for row in operators(tmp_path)}
    assert table["aten::addmm"]["Calls"] == 3
    assert not any("ProfilerStep" in name for name in table)
    assert "aten::erfinv" not in table
    seconds = [row["CpuSeconds"] for row in operators(tmp_path)]
    assert seconds == sorted(seconds, reverse=True) and 0 < seconds[0] < 60
    # Self times: an operator is without those that it calls, which are here too.
    addmm = [event for event in events(tmp_path) if event["name"] == "aten::linear"]
    assert table["aten::linear"]["CpuSeconds"] < sum(event["dur"] for event in addmm) / 1e6
    keys = ["Name", "Calls", "CpuSeconds", "DeviceSeconds"]
    assert all(list(row) == keys for row in operators(tmp_path))
    if not torch.cuda.is_available():  # nothing has run on one
        assert {row["DeviceSeconds"] for row in operators(tmp_path)} == {0}


def test_a_trace_that_is_closed_early_holds_what_there_is(tmp_path):
    steps = Steps(tmp_path, trace=Trace(tmp_path / "framework/trace/algo-1-0", 5, 1))
    for number, (photos, _) in enumerate(
        steps.over([(torch.ones(3, 4), torch.zeros(3))] * 9, DEVICE)
    ):
        NETWORK(photos).sum().backward()
        if number == 5:
            break
    steps.close()
    assert traced(events(tmp_path))[:2] == ["ProfilerStep#3", "ProfilerStep#4"]


def test_a_profiler_that_cannot_start_is_one_line(tmp_path, capsys, monkeypatch):
    def refuse(self):
        raise RuntimeError("another one runs")

    monkeypatch.setattr(torch.profiler.profile, "start", refuse)
    train(tmp_path, 2)
    assert capsys.readouterr().out == "trace=off: another one runs\n"
    assert not list(tmp_path.glob("framework/trace/*"))
    assert flagged(tmp_path)[0] == []


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "framework").mkdir()
    (tmp_path / "framework/trace").write_text("")
    train(tmp_path, 2)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("trace=off: ")
