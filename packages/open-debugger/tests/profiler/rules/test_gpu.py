"""`profiler/rules/gpu.py`: each rule on both sides of each of its thresholds."""

import numpy as np
import pytest

from debugger_support import minimal
from open_debugger.profiler.recording import Metric
from open_debugger.profiler.rules.gpu import (
    BatchSize,
    GPUMemoryIncrease,
    LoadBalancing,
    LowGPUUtilization,
    distance,
)

WINDOWED = {"patience": 20, "window": 20}
N = 100


def found(rule, made) -> bool:
    finding = rule.judge(made)
    assert finding.status in ("IssuesFound", "NoIssuesFound"), finding.summary
    is_found = finding.status == "IssuesFound"
    assert bool(finding.advice) == bool(finding.violations) == bool(finding.triggered) == is_found
    return is_found


@pytest.mark.parametrize(("level", "is_low"), [(0, 1), (69, 1), (69.9, 1), (70, 0), (100, 0)])
def test_a_gpu_whose_p95_is_below_the_threshold_is_hardly_used(level, is_low):
    assert found(LowGPUUtilization(**WINDOWED), minimal.recording(gpus=[[level] * N])) == is_low
    at_level = LowGPUUtilization(threshold_p95=level, threshold_p5=0, **WINDOWED)
    assert not found(at_level, minimal.recording(gpus=[[level] * N]))


@pytest.mark.parametrize(("low", "fluctuates"), [(0, 1), (9.9, 1), (10, 0), (60, 0)])
def test_a_gpu_whose_p5_is_below_its_threshold_fluctuates(low, fluctuates):
    values = [low, low, low, low, *[95] * 16] * 5  # a fifth of each window
    finding = LowGPUUtilization(**WINDOWED).judge(minimal.recording(gpus=[values]))
    assert finding.violations == 4 * fluctuates
    assert ("In 4 windows it fluctuated: p5 below 10%" in finding.summary) == fluctuates


def test_a_window_counts_once_and_those_before_patience_not_at_all():
    values = [[0] * 20 + [90] * 40 + [5] * 20 + [90] * 20]
    finding = LowGPUUtilization(**WINDOWED).judge(minimal.recording(gpus=values))
    assert (finding.violations, finding.triggered, finding.datapoints) == (1, 1, N)
    assert "In 1 window its p95 was below 70%" in finding.summary
    assert not found(LowGPUUtilization(**WINDOWED), minimal.recording(gpus=[[0] * 20 + [90] * 80]))


def test_each_gpu_of_each_node_is_looked_at():
    values = [[90] * N, [5] * N]
    made = minimal.recording(gpus=values, nodes=("algo-1", "algo-2"))
    finding = LowGPUUtilization(**WINDOWED).judge(made)
    assert finding.violations == 8 and "of 4 GPUs" in finding.summary
    assert finding.details["algo-2"]["gpu1"]["gpu_95"] == 5
    stamp = int((minimal.START + 0.5 * (N - 1)) * 1e6)
    assert finding.details["last_timestamp"] == stamp


def test_the_details_of_low_utilization_have_awss_names():
    finding = LowGPUUtilization(**WINDOWED).judge(minimal.recording(gpus=[[5.0] * N]))
    names = ["gpu_max", "gpu_95", "gpu_5", "p25", "p50", "p75", "p95", "upper", "lower"]
    assert finding.details["algo-1"]["gpu0"] == dict.fromkeys(names, 5.0)


def test_a_gpu_that_was_sampled_too_shortly_is_left_out():
    finding = LowGPUUtilization(**WINDOWED).judge(minimal.recording(gpus=[[90] * N, [5] * 30]))
    assert finding.status == "NoIssuesFound" and set(finding.details["algo-1"]) == {"gpu0"}


def memory(values, gpus: int = 1, **members):
    idle = [[90] * len(values)] * gpus
    return minimal.recording(gpus=idle, memory=[values] * gpus, **members)


@pytest.mark.parametrize(("jump", "is_found"), [(4.9, False), (5, False), (5.1, True), (60, True)])
def test_a_jump_from_one_window_to_the_next_is_an_increase(jump, is_found):
    values = [20] * 60 + [20 + jump] * 40
    rule = GPUMemoryIncrease(patience=20, window=10)
    assert found(rule, memory(values)) == is_found
    assert rule.judge(memory(values)).details["algo-1"]["gpu0"]["increase"] == pytest.approx(jump)
    assert not found(rule, memory(values[::-1]))


def test_the_moving_average_is_over_the_window():
    values = [20] * 60 + [29.0] * 5 + [20] * 35  # 4.5 on average
    assert not found(GPUMemoryIncrease(patience=20, window=10), memory(values))
    assert found(GPUMemoryIncrease(patience=20, window=5), memory(values))


@pytest.mark.parametrize(("rise", "is_found"), [(4, False), (7, True), (60, True)])
def test_a_steady_rise_is_an_increase_however_slow(rise, is_found):
    made = memory(np.linspace(20, 20 + rise, 5000))
    finding = GPUMemoryIncrease().judge(made)
    assert (finding.status == "IssuesFound") == is_found and finding.violations == is_found
    assert "rose steadily" in finding.summary
    steady = 0.9 * rise  # between the medians of the first and the last tenth
    limits = steady - 0.01, steady + 0.01
    rules = [GPUMemoryIncrease(increase=limit, patience=1) for limit in limits]
    assert [found(rule, made) for rule in rules] == [True, False]


def test_memory_that_is_taken_before_patience_is_over_or_the_training_begins_is_none():
    assert not found(GPUMemoryIncrease(patience=20), memory([0] * 20 + [70] * 80))
    assert found(GPUMemoryIncrease(patience=20), memory([0] * 50 + [70] * 50))
    steps = minimal.steps([0.5] * 50, start=minimal.START + 25)
    late = memory([0] * 52 + [70] * 48, steps=steps)
    finding = GPUMemoryIncrease(patience=20).judge(late)
    assert finding.status == "NoIssuesFound" and finding.parameters["patience"] == 55


def test_without_the_memory_there_is_nothing_to_say():
    finding = GPUMemoryIncrease().judge(minimal.recording(gpus=[[90] * N], cores=[[1] * N]))
    assert finding.status == "Error" and "no GPUMemoryUtilization" in finding.summary


@pytest.mark.parametrize("which", ["cpu", "gpu", "memory"])
@pytest.mark.parametrize(
    ("level", "is_found"), [(10, True), (69.9, True), (70, False), (99, False)]
)
def test_a_batch_is_small_if_cpu_gpu_and_memory_are_all_low(which, level, is_found):
    levels = {"cpu": 20, "gpu": 20, "memory": 20, which: level}
    made = minimal.recording(
        gpus=[[levels["gpu"]] * N], cores=[[levels["cpu"]] * N], memory=[[levels["memory"]] * N]
    )
    assert found(BatchSize(**WINDOWED), made) == is_found
    name = {"cpu": "cpu", "gpu": "gpu", "memory": "gpu_memory"}[which]
    higher = BatchSize(**WINDOWED, **{f"{name}_threshold_p95": 100})
    assert found(higher, made) == (level < 100)


def test_the_cpu_of_a_batch_is_the_mean_of_all_cores_and_the_gpu_each_one():
    three = {"memory": [[20] * N] * 2, "cores": [[99] * N, [20] * N]}
    finding = BatchSize(**WINDOWED).judge(minimal.recording(gpus=[[20] * N, [90] * N], **three))
    assert finding.violations == 4
    assert finding.details["algo-1"]["gpu0"] == {
        "cpu_95": 59.5,
        "gpu_95": 20.0,
        "gpu_memory_95": 20.0,
    }


@pytest.mark.parametrize("missing", ["cores", "memory"])
def test_a_batchs_missing_metric_is_named(missing):
    three = {"gpus": [[20] * N], "cores": [[20] * N], "memory": [[20] * N]}
    finding = BatchSize(**WINDOWED).judge(minimal.recording(**{**three, missing: None}))
    name = {"cores": "CPUUtilization", "memory": "GPUMemoryUtilization"}[missing]
    assert finding.status == "Error" and f"no {name} was recorded" in finding.summary


@pytest.mark.parametrize(("other", "is_found"), [(90, False), (71, False), (69, True), (0, True)])
def test_gpus_that_work_unequally_are_out_of_balance(other, is_found):
    made = minimal.recording(gpus=[[91] * N, [other] * N])
    assert found(LoadBalancing(patience=20), made) == is_found
    assert not found(LoadBalancing(patience=20, threshold=0.92), made)


def test_the_balance_is_that_after_patience_and_over_all_nodes():
    made = minimal.recording(gpus=[[0] * 20 + [90] * 80, [90] * N])
    assert not found(LoadBalancing(patience=20), made)
    made = minimal.recording(gpus=[[90] * N])
    made.system[Metric("algo-2", "gpu", "gpu0", "GPUUtilization")] = minimal.series([10] * N)
    finding = LoadBalancing(patience=20).judge(made)
    assert finding.violations == 1 and set(finding.details) == {"algo-1", "algo-2"}


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_put_gpus_out_of_balance(seed):
    random = np.random.default_rng(seed)
    values = [random.normal(85, 10, 60).clip(0, 100) for _ in range(8)]
    assert not found(LoadBalancing(), minimal.recording(gpus=values))


def test_one_gpu_has_nothing_to_balance_and_its_histogram_is_told():
    finding = LoadBalancing(patience=20).judge(minimal.recording(gpus=[[0] * 60 + [100] * 40]))
    assert finding.status == "NoIssuesFound" and "One GPU" in finding.summary
    counted = finding.details["algo-1"]["workloads"]["gpu0"]
    assert (len(counted), counted[0], counted[-1], sum(counted)) == (50, 40, 40, 80)


def test_the_distance_is_the_earth_movers():
    apart = distance([np.full(10, 0.1), np.full(50, 0.5), np.repeat([0.1, 0.5], 10)])
    assert apart.round(6).tolist() == [[0, 0.4, 0.2], [0.4, 0, 0.2], [0.2, 0.2, 0]]


def test_a_windows_percentiles_are_the_5th_and_the_95th():
    rule = LowGPUUtilization(patience=1, window=50)
    figures = rule.judge(minimal.recording(gpus=[range(101)])).details["algo-1"]["gpu0"]
    assert (figures["gpu_5"], figures["gpu_95"]) == pytest.approx((53.45, 97.55))


def test_of_few_samples_there_are_still_two_windows_to_compare():
    finding = GPUMemoryIncrease(increase=0.5).judge(memory([20] * 7 + [60] * 5))
    assert finding.status == "IssuesFound" and finding.parameters["window"] == 5


def test_one_window_with_room_for_a_larger_batch_is_enough():
    three = {"gpus": [[90] * 80 + [20] * 20], "cores": [[20] * N], "memory": [[20] * N]}
    finding = BatchSize(**WINDOWED).judge(minimal.recording(**three))
    assert (finding.status, finding.violations) == ("IssuesFound", 1)
