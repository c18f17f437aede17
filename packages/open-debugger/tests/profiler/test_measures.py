"""`profiler/measures.py`: the figures that a diagnosis is made from."""

import numpy as np
import pandas as pd
import pytest

from debugger_support import minimal
from open_debugger.profiler.measures import measure
from open_debugger.profiler.recording import SPAN_COLUMNS, Metric, Recording

N = 200


def spans(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(SPAN_COLUMNS))


def test_of_nothing_nothing_is_measured():
    m = measure(Recording(""))
    assert (m.seconds, m.steps, m.samples, m.cores) == (0, 0, 0, 0)
    assert m.stepping is m.outliers is m.cpu is m.gpu is m.io is m.memory is m.workers is None
    assert m.parts == m.overheads == m.gpus == {} and m.rise == m.distance == m.compute == 0


def test_the_parts_of_the_training_steps_and_their_share_of_the_run():
    train = minimal.steps([0.5] * 60, data=0.2, forward=0.25, backward=0.3, optimizer=0.05)
    valid = minimal.steps([1.0] * 10, phase="valid", start=minimal.START + 40, data=0.9)
    m = measure(Recording("", steps=pd.concat([train, valid], ignore_index=True)))
    assert (m.seconds, m.steps, m.processes) == (50, 60, 1)
    parts = {"data": 0.2, "forward": 0.25, "backward": 0.3, "optimizer": 0.05, "rest": 0.2}
    assert m.parts == pytest.approx(parts)
    assert m.stepping == pytest.approx(0.6) and m.compute == pytest.approx(0.6)


def test_processes_train_at_the_same_time():
    frames = [minimal.steps([0.5] * 60, rank=rank, data=0.2) for rank in range(4)]
    frames += [frame.assign(node="algo-2", rank=frame["rank"] + 4) for frame in frames]
    m = measure(Recording("", steps=pd.concat(frames, ignore_index=True)))
    assert (m.steps, m.processes) == (60, 4)
    assert m.stepping == pytest.approx(1) and m.parts["data"] == pytest.approx(0.2)


def test_steps_without_parts_have_none():
    m = measure(Recording("", steps=minimal.steps([0.5] * 60)))
    assert m.steps == 60 and m.parts == {}


def test_spans_are_shares_of_the_run_of_the_process_that_spends_most():
    start = minimal.START
    rows = [("algo-1", 0, "evaluation", start, 10.0), ("algo-1", 0, "evaluation", start + 20, 10.0)]
    rows += [("algo-1", 1, "evaluation", start, 15.0), ("algo-1", 0, "checkpoint", start + 90, 10)]
    m = measure(Recording("", spans=spans(*rows)))
    assert m.overheads == pytest.approx({"evaluation": 0.2, "checkpoint": 0.1})


def outliers(slow: int, by: float = 11.0, **parts) -> float:
    seconds = np.ones(100)
    seconds[10 : 10 + slow] = by
    return measure(Recording("", steps=minimal.steps(seconds, **parts))).outliers


@pytest.mark.parametrize(
    ("slow", "by", "share"),
    [(0, 11, 0), (2, 11, 0), (3, 11, 30 / 130), (10, 11, 0.5), (5, 2, 0), (5, 2.1, 5.5 / 105.5)],
)
def test_outliers_take_more_than_twice_the_median(slow, by, share):
    assert outliers(slow, by) == pytest.approx(share)


def test_the_first_step_is_no_outlier_nor_is_the_wait_for_data():
    seconds = np.ones(100)
    seconds[:1] = 50
    assert measure(Recording("", steps=minimal.steps(seconds))).outliers == 0
    frames = [minimal.steps(np.r_[50.0, np.ones(50)], rank=rank) for rank in range(3)]
    made = Recording("", steps=pd.concat(frames[::-1], ignore_index=True))
    assert measure(made).outliers == 0
    steps = minimal.steps(np.ones(100), data=0.1)
    steps.loc[10:20, "seconds"] += 9
    steps.loc[10:20, "data"] += 9
    assert measure(Recording("", steps=steps)).outliers == 0


def trained(**members) -> Recording:
    """100 s of samples, whose middle half are training."""
    steps = minimal.steps([0.5] * 100, start=minimal.START + 25, data=0.1)
    return minimal.recording(steps=steps, **members)


HALF = [0.0] * 50 + [80.0] * 100 + [0.0] * 50


def test_the_system_is_measured_while_the_run_trains():
    made = trained(gpus=[HALF], cores=[HALF, [20] * N], io=[HALF], memory=[HALF])
    m = measure(made)
    assert m.gpu == pytest.approx(0.8, abs=0.01) and m.gpus == {"gpu0": m.gpu}
    assert m.cpu == pytest.approx(0.5, abs=0.01) and m.busiest == pytest.approx(0.8, abs=0.01)
    assert (m.cores, m.one_full) == (2, 0) and m.io == pytest.approx(1, abs=0.01)
    assert m.samples == pytest.approx(100, abs=1) and m.memory == 0.8


def test_without_steps_all_but_the_first_tenth_is_measured():
    m = measure(minimal.recording(cores=[[100] * 20 + [50] * 180]))
    assert m.cpu == 0.5 and m.samples == 180


def test_shares_of_samples_with_a_core_that_is_full_or_waits():
    cores = [[95, 10, 10, 10] * 50, [10, 91, 90, 10] * 50]
    io = [[51, 0, 50, 0] * 50, [0, 0, 0, 0] * 50]
    m = measure(trained(cores=cores, io=io))
    assert m.one_full == pytest.approx(0.5, abs=0.01) and m.io == pytest.approx(0.25, abs=0.01)


def test_the_rise_of_the_memory_is_that_of_the_training():
    ramp = [0.0] * 50 + np.linspace(20, 90, 100).tolist() + [0.0] * 50
    m = measure(trained(gpus=[HALF, HALF], memory=[[50] * N, ramp]))
    assert m.rise == pytest.approx(0.6, abs=0.03) and m.memory == pytest.approx(0.9)
    steps = [0.0] * 50 + [20.0] * 3 + [70.0] * 97 + [0.0] * 50
    assert measure(trained(gpus=[HALF], memory=[steps])).rise == 0


def test_gpus_of_all_nodes_are_compared():
    made = trained(gpus=[HALF, [40] * N])
    made.system[Metric("algo-2", "gpu", "gpu0", "GPUUtilization")] = minimal.series([0] * N)
    m = measure(made)
    assert set(m.gpus) == {"algo-1/gpu0", "algo-1/gpu1", "algo-2/gpu0"}
    assert m.gpu == pytest.approx(0.4, abs=0.01) and m.distance == pytest.approx(0.8, abs=0.02)


def test_nodes_have_their_mean_and_their_greatest_number_of_cores():
    made = trained(cores=[[90] * N] * 4)
    made.system[Metric("algo-2", "cpu", "cpu0", "CPUUtilization")] = minimal.series([10] * N)
    m = measure(made)
    assert m.cpu == pytest.approx(0.5) and m.cores == 4


@pytest.mark.parametrize(("name", "cores"), [("total", 8), ("cpu0", 1)])
def test_the_loader_knows_how_many_cores_cloudwatchs_one_series_stands_for(name, cores):
    made = minimal.recording(loaders=[minimal.loader(3, 8)])
    made.system[Metric("algo-1", "cpu", name, "CPUUtilization")] = minimal.series([50] * N)
    m = measure(made)
    assert (m.cores, m.workers) == (cores, 3)
    made.loaders = []
    assert measure(made).cores == (1 if name == "cpu0" else 0)


@pytest.mark.parametrize(
    ("loaders", "managed", "workers"),
    [
        ([minimal.loader(1, 2, Name="valid"), minimal.loader(2, 2)], {}, 2),
        ([], {"Dataloader": {"Details": {"num_workers": 0}}}, 0),
        ([], {"Dataloader": {"Details": {}}}, None),
        ([], {"Dataloader": {"Details": []}}, None),
        ([{"Workers": "2"}], {}, None),
    ],
)
def test_the_workers_are_the_scripts_or_those_that_awss_rule_saw(loaders, managed, workers):
    assert measure(Recording("", loaders=loaders, managed=managed)).workers == workers
