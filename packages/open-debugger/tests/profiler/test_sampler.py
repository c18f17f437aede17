"""`profiler/sampler.py`: what it samples, in AWS's files, and that it always ends."""

import json
import os
import shlex
import subprocess
import sys
import time
from collections import namedtuple
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from debugger_support.processes import wait_until
from debugger_support.samples import at_least, files, moments, rows, values
from open_debugger.profiler import sampler

PROGRAM = Path(sampler.__file__)
LINUX = sys.platform == "linux"
BUSY = "while True: pass"
# A process with a child, both busy.
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {BUSY!r}])\n{BUSY}"
RATES = {
    "CPUUtilization",
    "I/OWaitPercentage",
    "ProcessorTimePercent",
    "IOPS",
    "ReadThroughputInBytesPerSecond",
    "WriteThroughputInBytesPerSecond",
    "ReceiveBytesPerSecond",
    "TransmitBytesPerSecond",
}


@contextmanager
def start(folder, *options, python=(), **streams):
    """The program, sampling into a folder; its standard input is a pipe."""
    command = [sys.executable, *python, PROGRAM, folder, "--interval-ms", "100"]
    command += map(str, options)
    program = subprocess.Popen(command, **{"stdin": subprocess.PIPE, **streams})
    try:
        yield program
    finally:
        program.kill()
        program.wait()


@contextmanager
def busy():
    """A busy process with a busy child."""
    with subprocess.Popen([sys.executable, "-c", PARENT]) as parent:
        process = psutil.Process(parent.pid)
        try:
            wait_until(lambda: len(process.children()) == 1)
            yield process
        finally:
            for each in (*process.children(), process):
                each.kill()


def names(found):
    of_one = ("cpu", "gpu", "process")  # of others, the name is the metric's
    return {row["Dimension" if row["Type"] in of_one else "Name"] for row in found}


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """The folder of a tree of two busy processes, and the rows sampled of it and the machine."""
    folder = tmp_path_factory.mktemp("sampled")
    with busy() as process, start(folder, "--pid", process.pid, "--node", "algo-2") as program:
        at_least(folder, 8)
        program.stdin.close()
        assert program.wait(timeout=30) == 0
    return folder, rows(folder)


def test_the_files_are_laid_out_as_aws_lays_them(sampled):
    folder, found = sampled
    for file in files(folder):
        minute, node, _ = file.name.split(".")
        assert node == "algo-2"
        assert file.parent.name == time.strftime("%Y%m%d%H", time.gmtime(int(minute)))
        for line in file.read_text().splitlines():
            assert 0 <= json.loads(line)["Timestamp"] - int(minute) < 60
    for row in found:
        assert list(row) == ["Type", "Name", "Dimension", "Value", "NodeId", "Timestamp"]
        assert row["NodeId"] == "algo-2"
        assert abs(row["Timestamp"] - time.time()) < 300


def test_smdebugs_own_reader_reads_them(sampled):
    from smdebug.profiler.system_metrics_reader import LocalSystemMetricsReader
    from smdebug.profiler.utils import TimeUnits

    folder, found = sampled
    reader = LocalSystemMetricsReader(str(folder))
    events = reader.get_events(0, time.time() + 60, unit=TimeUnits.SECONDS)
    read = [(e.type, e.name, e.dimension, e.value, e.node_id, e.timestamp) for e in events]
    assert sorted(read) == sorted(tuple(row.values()) for row in found)


def test_smdebug_reads_up_to_the_last_files_name_and_misses_nothing(sampled):
    from smdebug.profiler.system_metrics_reader import LocalSystemMetricsReader

    folder, found = sampled
    *_, before, last = files(folder)
    assert last.read_bytes() == b""
    assert int(last.name.split(".")[0]) == int(before.name.split(".")[0]) + 60
    reader = LocalSystemMetricsReader(str(folder))
    # As TimelineCharts does.
    events = reader.get_events(0, reader.get_timestamp_of_latest_available_file())
    assert len(events) == len(found) > 0


def test_every_metric_has_awss_type_and_names(sampled):
    _, found = sampled
    kinds = {}
    for row in found:
        kinds.setdefault(row["Type"], set()).add((row["Name"], row["Dimension"]))
    cores = {f"cpu{n}" for n in range(psutil.cpu_count())}
    assert kinds.pop("memory") == {("MemoryUsedPercent", "")}
    parts = {"CPUUtilization", "I/OWaitPercentage"} if LINUX else {"CPUUtilization"}
    assert kinds.pop("cpu") == {(core, part) for core in cores for part in parts}
    own = {"ProcessorTimePercent", "MemoryUsedBytes", "Processes"}
    assert kinds.pop("process") == {("tree", part) for part in own}
    # Where the machine counts them.
    assert {d for _, d in kinds.pop("network", set())} <= {"Algorithm"}
    assert {d for _, d in kinds.pop("i/o", set())} <= {""}
    assert not kinds  # there is no GPU, or it is no GPU's fault: see the fake one below


def test_cpu_utilization_is_that_of_cores_only(sampled):
    _, found = sampled
    rows = [row for row in found if row["Dimension"] == "CPUUtilization"]
    assert {row["Name"] for row in rows} == {f"cpu{n}" for n in range(psutil.cpu_count())}


def test_rates_are_left_out_of_the_first_sample_only(sampled):
    folder, found = sampled
    times = moments(folder)
    first, last = (names(r for r in found if r["Timestamp"] == times[n]) for n in (0, -1))
    assert first == {"MemoryUsedPercent", "MemoryUsedBytes", "Processes"}
    assert {"CPUUtilization", "ProcessorTimePercent"} <= last - first <= RATES
    second = [r for r in found if r["Timestamp"] == times[1]]
    assert "ProcessorTimePercent" in {r["Dimension"] for r in second if r["Type"] == "process"}


def test_percentages_are_percentages(sampled):
    _, found = sampled
    for kind, dimension in (("cpu", "CPUUtilization"), ("cpu", "I/OWaitPercentage")):
        assert all(0 <= value <= 100 for value in values(found, dimension, kind))
    assert max(values(found, "CPUUtilization", "cpu")) > 20  # two processes do all they can
    used = [row["Value"] for row in found if row["Name"] == "MemoryUsedPercent"]
    assert all(0 < value < 100 for value in used)


def test_a_tree_is_the_process_with_its_children_and_without_the_sampler(sampled):
    _, found = sampled
    assert set(values(found, "Processes", "process")) == {2}
    memory = values(found, "MemoryUsedBytes", "process")
    assert all(2 * 2**20 < value < 2**30 for value in memory)
    assert sum(values(found, "ProcessorTimePercent", "process")) > 0


@pytest.mark.serial  # compares two measurements of processor time
def test_a_trees_utilisation_is_its_processor_time_by_the_clock():
    with busy() as process:
        both = [process, *process.children()]
        tree = sampler.Tree(process)

        def used():
            return sum(sum(each.cpu_times()[:2]) for each in both)

        begin, before = time.monotonic(), used()
        tree()
        wait_until(lambda: used() - before > 1)
        found = {dimension: value for _, _, dimension, value in tree()}
        passed, after = time.monotonic() - begin, used()
    assert found["ProcessorTimePercent"] * passed / 100 == pytest.approx(after - before, rel=0.2)


def test_a_child_that_has_ended_still_counts_with_its_time():
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}]); input()"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as parent:
        process = psutil.Process(parent.pid)
        (child,) = wait_until(process.children)
        tree = sampler.Tree(process)
        tree()
        wait_until(lambda: sum(child.cpu_times()[:2]) > 0.3)
        tree()
        child.kill()
        wait_until(lambda: not process.children())
        found = {dimension: value for _, _, dimension, value in tree()}
        process.kill()
    assert found["ProcessorTimePercent"] >= 0  # what it has used is not taken back
    assert found["Processes"] == 1


# A sampler within the tree that it samples, with a child of a child, and a child that has ended
# and after which nobody has asked.
FAMILY = f"""
import subprocess, sys, time
sys.path.insert(0, {str(PROGRAM.parent)!r})
import psutil, sampler
family = subprocess.Popen(["/bin/sh", "-c", "sleep 600 & wait"])
ended = subprocess.Popen(["true"])
while not psutil.Process(family.pid).children():
    time.sleep(0.01)
while psutil.Process(ended.pid).status() != psutil.STATUS_ZOMBIE:
    time.sleep(0.01)
print(*[value for _, _, name, value in sampler.Tree(psutil.Process())() if name == "Processes"])
for process in (*psutil.Process(family.pid).children(), family):
    process.kill()
"""


def test_a_tree_is_all_that_runs_below_it_without_the_sampler():
    done = subprocess.run([sys.executable, "-c", FAMILY], stdout=subprocess.PIPE, text=True)
    assert done.stdout == "2\n"


def test_it_samples_on_a_grid(sampled):
    folder, _ = sampled
    times = moments(folder)
    first = times[0]
    for moment in times:  # late on a busy machine, but never early
        assert (moment - first) / 0.1 >= round((moment - first) / 0.1) - 0.5
    assert len(times) <= (times[-1] - first) / 0.1 + 1.5


@pytest.mark.parametrize("early", [0, 0.0001])
def test_a_missed_tick_is_left_out_and_the_grid_stays(monkeypatch, early):
    clock = [50.0]
    monkeypatch.setattr(sampler.time, "monotonic", lambda: clock[0])
    works = iter([0.01, 0, 1.2, 0.01, 0])  # seconds that each sample takes

    def ended(moment):
        clock[0] = max(clock[0], moment - early)  # a clock may wake a little early
        return clock[0] > 53

    seen = []
    for _ in sampler.ticks(0.5, ended):
        seen.append(clock[0] - 50)
        clock[0] += next(works)
    assert seen == pytest.approx([0, 0.5, 1.0, 2.5, 3.0], abs=2 * early or 1e-9)


@pytest.mark.parametrize("way", ["its input closes", "SIGTERM", "the process has ended"])
def test_it_ends_cleanly(tmp_path, way):
    with (
        subprocess.Popen(["sleep", "600"]) as process,
        start(tmp_path, "--pid", process.pid, stderr=subprocess.PIPE) as program,
    ):
        at_least(tmp_path, 2)
        if way == "its input closes":
            program.stdin.close()
        elif way == "SIGTERM":
            program.terminate()
        else:
            process.kill()  # and is a zombie, since nobody asks after it
        assert program.wait(timeout=30) == 0
        assert program.stderr.read() == b""
        process.kill()


def test_of_a_process_that_is_gone_it_samples_nothing(tmp_path):
    process = subprocess.Popen(["true"])
    process.wait()
    with start(tmp_path, "--pid", process.pid) as program:
        assert program.wait(timeout=30) == 0
    assert files(tmp_path) == []


def test_only_a_pipe_that_closes_ends_it(tmp_path):
    with start(tmp_path, stdin=subprocess.DEVNULL) as program:
        at_least(tmp_path, 3)
        assert program.poll() is None
        program.terminate()
    words = [sys.executable, str(PROGRAM), str(tmp_path / "none"), "--interval-ms", "100"]
    closed = f"exec {shlex.join(words)} <&-"
    with subprocess.Popen(["/bin/sh", "-c", closed]) as program:
        try:
            at_least(tmp_path / "none", 3)
        finally:
            program.terminate()
        assert program.wait(timeout=30) == 0


def test_what_is_written_to_it_does_not_end_it(tmp_path):
    with start(tmp_path) as program:
        program.stdin.write(b"hello\n")
        program.stdin.flush()
        seen = len(moments(tmp_path))
        at_least(tmp_path, seen + 3)
        program.stdin.close()
        assert program.wait(timeout=30) == 0


def test_killed_it_leaves_whole_lines(tmp_path):
    with start(tmp_path) as program:
        at_least(tmp_path, 3)
        program.kill()
    assert len(moments(tmp_path)) >= 3


@pytest.mark.parametrize("interval", ["99", "60001", "0", "-500", "often"])
def test_an_interval_that_the_api_does_not_know_is_refused(tmp_path, interval):
    with start(tmp_path, "--interval-ms", interval, stderr=subprocess.PIPE) as program:
        assert program.wait(timeout=30) == 2
        assert "100 to 60000 milliseconds" in program.stderr.read().decode()


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "system").write_text("")
    with start(tmp_path, stderr=subprocess.PIPE) as program:
        assert program.wait(timeout=30) == 1
        (line,) = program.stderr.read().decode().splitlines()
    assert line.startswith("monitor: ") and str(tmp_path) in line


def test_it_imports_nothing_heavy(tmp_path):
    with start(tmp_path, python=("-X", "importtime"), stderr=subprocess.PIPE) as program:
        at_least(tmp_path, 2)
        program.terminate()
        _, said = program.communicate()
    imported = {line.rpartition("|")[2].strip() for line in said.decode().splitlines()}
    assert "psutil" in imported
    assert not imported & {"torch", "numpy", "pandas", "boto3", "smdebug"}


# --- its parts ---------------------------------------------------------------------------------


def row(moment, value=1):
    return {"Value": value, "Timestamp": moment}


def test_rows_go_into_the_files_of_their_minutes(tmp_path):
    written = sampler.MinuteFiles(tmp_path, ".algo-1.json")
    hour = 1_700_002_800 // 3600 * 3600
    written.write([row(hour - 0.001, 1), row(hour, 2), row(hour + 59.9, 3)])
    written.write([row(hour + 60, 4), row(hour + 1, 5)])  # the clock was set back
    read = {
        f"{file.parent.name}/{file.name}": [
            json.loads(line)["Value"] for line in file.read_text().splitlines()
        ]
        for file in tmp_path.glob("*/*")
    }
    before, after = (time.strftime("%Y%m%d%H", time.gmtime(hour + s)) for s in (-1, 0))
    assert read == {
        f"{before}/{hour - 60}.algo-1.json": [1],
        f"{after}/{hour}.algo-1.json": [2, 3, 5],
        f"{after}/{hour + 60}.algo-1.json": [4],
    }


def test_the_last_file_is_that_of_the_next_minute_in_the_next_hour_if_need_be(tmp_path):
    written = sampler.MinuteFiles(tmp_path, ".algo-1.json")
    written.close()
    assert list(tmp_path.iterdir()) == []  # nothing was written, so nothing ends
    written.write([row(3590)])
    written.close()
    (last,) = tmp_path.glob("1970010101/*")
    assert (last.name, last.read_bytes()) == ("3600.algo-1.json", b"")


def test_half_a_line_of_an_earlier_writer_is_cut_off(tmp_path):
    written = sampler.MinuteFiles(tmp_path, ".json")
    written.write([row(60, 1)])
    (file,) = tmp_path.glob("*/*")
    with file.open("a") as lines:
        lines.write('{"Value": 2, "Timest')
    sampler.MinuteFiles(tmp_path, ".json").write([row(61, 3)])
    assert [json.loads(line)["Value"] for line in file.read_text().splitlines()] == [1, 3]


def test_only_files_of_the_same_name_are_cleared(tmp_path):
    for node in ("algo-1", "algo-2"):
        sampler.MinuteFiles(tmp_path, f".{node}.json").write([row(0), row(60)])
    sampler.MinuteFiles(tmp_path, ".algo-1.json").clear()
    assert sorted(file.name for file in tmp_path.glob("*/*")) == ["0.algo-2.json", "60.algo-2.json"]


def test_a_full_disk_is_an_error(tmp_path):
    written = sampler.MinuteFiles(tmp_path, ".json")
    folder = tmp_path / time.strftime("%Y%m%d%H", time.gmtime(0))
    folder.mkdir()
    (folder / "0.json").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        written.file = folder / "0.json"  # opened before
        written.write([row(0)])


def test_rates_are_by_the_second(monkeypatch):
    clock = iter([10.0, 12.0, 13.0])
    monkeypatch.setattr(sampler.time, "monotonic", lambda: next(clock))
    rates = sampler.Rates()
    assert rates({"a": 100, "b": 7}) == {}
    assert rates({"a": 150, "b": 5, "c": 3}) == {"a": 25}  # b was set back, c is new
    assert rates({"a": 150, "b": 6, "c": 3}) == {"a": 0, "b": 1, "c": 0}


Times = namedtuple("Times", "user idle iowait guest")
NoWait = namedtuple("NoWait", "user idle")


def read_cores(monkeypatch, *cores):
    """What is read of cores whose counters have grown by so many seconds."""
    zero = [type(core)(*[10.0] * len(core)) for core in cores]
    grown = [type(c)(*[10.0 + more for more in c]) for c in cores]
    answers = iter([zero, grown])
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: next(answers))
    read = sampler.Cores()
    assert read() == []
    return [(*row[:3], pytest.approx(row[3])) for row in read()]


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1, 60])
def test_a_core_that_waits_for_a_disk_is_not_busy(monkeypatch, seconds):
    part = seconds / 10
    cores = [Times(2 * part, 5 * part, 3 * part, part), Times(seconds, 0, 0, 0)]
    assert read_cores(monkeypatch, *cores) == [
        ("cpu", "cpu0", "CPUUtilization", 20),
        ("cpu", "cpu0", "I/OWaitPercentage", 30),
        ("cpu", "cpu1", "CPUUtilization", 100),
        ("cpu", "cpu1", "I/OWaitPercentage", 0),
    ]


def test_counters_are_compared_with_those_of_the_last_call(monkeypatch):
    answers = iter([[NoWait(0, 0)], [NoWait(1, 0)], [NoWait(1, 1)], [NoWait(0, 2)]])
    monkeypatch.setattr(psutil, "cpu_times", lambda percpu: next(answers))
    read = sampler.Cores()
    assert [[row[3] for row in read()] for _ in range(4)] == [[], [100], [0], [0]]


def test_without_iowait_there_is_none(monkeypatch):
    found = read_cores(monkeypatch, NoWait(0.25, 0.75))
    assert found == [("cpu", "cpu0", "CPUUtilization", 25)]


def test_a_core_of_which_the_kernel_has_counted_nothing_is_left_out(monkeypatch):
    found = read_cores(monkeypatch, Times(0, 0, 0, 0), Times(0, 1, 0, 0))
    assert [name for _, name, _, _ in found] == ["cpu1", "cpu1"]
    assert found[0][3] == 0


Disk = namedtuple("Disk", "read_count write_count read_bytes write_bytes")
Nic = namedtuple("Nic", "bytes_sent bytes_recv")


def test_disks_and_networks_rates(monkeypatch):
    clock = iter([1.0, 3.0] * 2)
    monkeypatch.setattr(sampler.time, "monotonic", lambda: next(clock))
    disks = iter([Disk(1, 2, 1000, 50), Disk(5, 4, 3000, 150)])
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: next(disks))
    read = sampler.Disks()
    assert read() == []
    assert read() == [
        ("i/o", "IOPS", "", 3),
        ("i/o", "ReadThroughputInBytesPerSecond", "", 1000),
        ("i/o", "WriteThroughputInBytesPerSecond", "", 50),
    ]
    loopback = {"lo": Nic(9, 9)}
    nics = iter([{**loopback, "eth0": Nic(0, 10), "eth1": Nic(4, 0)}, {"eth0": Nic(14, 50)}])
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: next(nics))
    read = sampler.Network()
    assert read() == []
    assert read() == [
        ("network", "ReceiveBytesPerSecond", "Algorithm", 20),
        ("network", "TransmitBytesPerSecond", "Algorithm", 5),
    ]


def test_what_a_system_does_not_count_is_absent(monkeypatch):
    monkeypatch.setattr(psutil, "disk_io_counters", lambda: None)
    monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: {"lo": Nic(1, 1)})
    for read in (sampler.Disks(), sampler.Network()):
        assert read() == read() == []


def test_a_source_that_fails_leaves_the_others():
    def broken():
        raise RuntimeError("not on this system")

    found = sampler.sample([broken, lambda: [("memory", "MemoryUsedPercent", "", 1 / 3)]], "algo-7")
    assert [(r["Name"], r["Value"], r["NodeId"]) for r in found] == [
        ("MemoryUsedPercent", 0.33, "algo-7")
    ]


# The only stand-in here: no machine of the tests has a GPU.
FAKE_NVML = """
from types import SimpleNamespace
class NVMLError(Exception): pass
def nvmlInit(): pass
def nvmlDeviceGetCount(): return 2
def nvmlDeviceGetHandleByIndex(n): return n
def nvmlDeviceGetUtilizationRates(n):
    if n == 1: raise NVMLError("not on MIG devices")
    return SimpleNamespace(gpu=37, memory=5)
def nvmlDeviceGetMemoryInfo(n): return SimpleNamespace(used=(n + 1) * 2**30, total=8 * 2**30)
def nvmlDeviceGetPowerUsage(n): return 70500
"""


def test_gpus_by_nvml(tmp_path):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "pynvml.py").write_text(FAKE_NVML)
    variables = {**os.environ, "PYTHONPATH": str(tmp_path / "modules")}
    with start(tmp_path / "out", env=variables) as program:
        at_least(tmp_path / "out", 2)
        program.stdin.close()
    found = [r for r in rows(tmp_path / "out") if r["Type"] == "gpu"]
    first = {(r["Name"], r["Dimension"]): r["Value"] for r in found}
    assert first == {
        ("gpu0", "GPUUtilization"): 37,
        ("gpu0", "GPUMemoryUtilization"): 12.5,
        ("gpu0", "GPUMemoryUsedBytes"): 2**30,
        ("gpu0", "GPUPowerInWatts"): 70.5,
        ("gpu1", "GPUMemoryUtilization"): 25,
        ("gpu1", "GPUMemoryUsedBytes"): 2**31,
        ("gpu1", "GPUPowerInWatts"): 70.5,
    }


@pytest.mark.parametrize("library", ["raise ImportError", "NVMLError"])
def test_without_a_gpu_or_its_library_there_are_none(tmp_path, monkeypatch, library):
    if library == "NVMLError":  # as nvidia-ml-py does without a driver
        library = FAKE_NVML + "def nvmlInit(): raise NVMLError('no driver')\n"
    (tmp_path / "pynvml.py").write_text(library)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pynvml", raising=False)
    assert sampler.Gpus()() == []
    sys.modules.pop("pynvml", None)
