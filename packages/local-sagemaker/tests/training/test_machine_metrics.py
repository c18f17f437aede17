"""CloudWatch's metrics of the machine: what is counted, and when there is a point."""

import datetime
from collections import namedtuple
from types import SimpleNamespace

import psutil
import pytest

from debugger_support.processes import wait_until
from engine_support.clients import unique
from local_sagemaker.training import machine_metrics
from local_sagemaker.training.machine_metrics import cpu, gpus, watching

Times = namedtuple("Times", "user system idle iowait guest")


def test_cpu_is_the_sum_over_the_cores(monkeypatch):
    monkeypatch.setattr(psutil, "cpu_count", lambda: 4)
    before = Times(10, 20, 30, 40, 5)
    # Of 20 s (a guest's 2 s are among the user's) 6 were spent, 4 waited, 10 idle.
    after = Times(15, 21, 40, 44, 7)
    assert cpu(before, after) == {"CPUUtilization": pytest.approx(4 * 100 * 6 / 20)}


def test_what_was_not_measured_is_no_zero(monkeypatch):
    before = Times(10, 20, 30, 40, 5)
    assert cpu(before, before) == {}
    idle = before._replace(idle=31)
    assert cpu(before, idle) == {"CPUUtilization": 0}


class Nvml:
    """NVML of a machine with these GPUs: (percent used, bytes used, bytes)."""

    NVMLError = RuntimeError

    def __init__(self, *found):
        self.found, self.open = found, 0

    def nvmlInit(self):
        self.open += 1

    def nvmlShutdown(self):
        self.open -= 1

    def nvmlDeviceGetCount(self):
        return len(self.found)

    def nvmlDeviceGetHandleByIndex(self, device):
        return self.found[device]

    def nvmlDeviceGetUtilizationRates(self, handle):
        if handle[0] is None:
            raise RuntimeError("not supported")
        return SimpleNamespace(gpu=handle[0])

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(used=handle[1], total=handle[2])


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], {}),
        ([(30, 1, 4)], {"GPUUtilization": 30, "GPUMemoryUtilization": 25}),
        ([(30, 1, 4), (90, 1, 2)], {"GPUUtilization": 120, "GPUMemoryUtilization": 75}),
        ([(None, 1, 4)], {"GPUMemoryUtilization": 25}),
    ],
)
def test_gpus_are_added_up(monkeypatch, found, expected):
    monkeypatch.setattr(machine_metrics, "pynvml", nvml := Nvml(*found))
    assert gpus() == expected
    assert nvml.open == 0


class Told:
    """Keeps what CloudWatch would get."""

    def __init__(self):
        self.points = []

    def put_metrics(self, namespace, dimensions, values, timestamp):
        if self.points == ["full"]:
            raise OSError("no room")
        assert namespace == "/aws/sagemaker/TrainingJobs"
        assert {unit for _, _, unit in values} == {"Percent"}
        self.points.append((dimensions["Host"], {name: value for name, value, _ in values}))


def test_each_host_has_a_point_a_period_and_one_at_the_end(monkeypatch, tmp_path):
    monkeypatch.setattr(machine_metrics, "PERIOD_S", 0.2)
    told = Told()
    with watching(told, ["job/algo-1", "job/algo-2"], tmp_path):
        wait_until(lambda: len(told.points) >= 4)
        monkeypatch.setattr(machine_metrics, "PERIOD_S", 60)
    wait_until(lambda: len(told.points) % 2 == 0)
    assert [host for host, _ in told.points[:4]] == ["job/algo-1", "job/algo-2"] * 2
    assert len(told.points) >= 6  # the last two at the end
    for _, point in told.points:
        assert 0 < point["MemoryUtilization"] <= 100 and 0 < point["DiskUtilization"] <= 100
        assert 0 <= point.get("CPUUtilization", 0) <= 100 * psutil.cpu_count()


def test_each_point_is_about_its_own_period(monkeypatch, tmp_path):
    # Since the start the cores were busy, and then they idled.
    seen = iter([Times(0, 0, 0, 0, 0), Times(9, 0, 0, 0, 0)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(seen, Times(9, 0, 9, 0, 0)))
    monkeypatch.setattr(machine_metrics, "PERIOD_S", 0.05)
    told = Told()
    with watching(told, ["job/algo-1"], tmp_path):
        wait_until(lambda: len(told.points) >= 3)
    used = [point.get("CPUUtilization") for _, point in told.points]
    assert used[:3] == [100 * psutil.cpu_count(), 0, None]


def test_a_point_that_cannot_be_stored_ends_nothing(tmp_path, caplog):
    told = Told()
    told.points = ["full"]
    with watching(told, ["job/algo-1"], tmp_path):
        pass
    assert told.points == ["full"]
    assert "metrics of ['job/algo-1']" in caplog.text and "no room" in caplog.text


def test_even_a_short_job_has_a_point(aws):
    name = aws.trained("sleep 0.3", TrainingJobName=unique("measured"))["TrainingJobName"]
    now = datetime.datetime.now(datetime.UTC)
    for metric in ("CPUUtilization", "MemoryUtilization", "DiskUtilization"):
        answer = aws.cloudwatch.get_metric_statistics(
            Namespace="/aws/sagemaker/TrainingJobs",
            MetricName=metric,
            Dimensions=[{"Name": "Host", "Value": f"{name}/algo-1"}],
            StartTime=now - datetime.timedelta(minutes=10),
            EndTime=now + datetime.timedelta(minutes=10),
            Period=60,
            Statistics=["Average", "SampleCount"],
        )
        (point,) = answer["Datapoints"]
        assert point["Unit"] == "Percent" and point["SampleCount"] == 1
