"""`profiler/rules/steps.py`: outliers, the loader, the time to the first step."""

import numpy as np
import pandas as pd
import pytest

from debugger_support import minimal
from open_debugger.profiler.recording import Phase, Recording
from open_debugger.profiler.rules.steps import Dataloader, MaxInitializationTime, StepOutlier


def with_steps(*frames, **members) -> Recording:
    return Recording("", steps=pd.concat(frames, ignore_index=True), **members)


def slow(count: int, of: int = 400, by: float = 10.0) -> np.ndarray:
    """Steps of a second, some of which take longer; the noise is what makes a deviation."""
    seconds = np.where(np.arange(of) % 2, 0.99, 1.01)
    seconds[np.linspace(1, of - 1, count).astype(int)] = by
    return seconds


@pytest.mark.parametrize(("count", "is_found"), [(0, False), (10, False), (11, True), (30, True)])
def test_more_than_ten_outliers_are_too_many(count, is_found):
    finding = StepOutlier().judge(with_steps(minimal.steps(slow(count))))
    assert (finding.status == "IssuesFound") == is_found == bool(finding.advice)
    assert (finding.violations, finding.triggered) == (count, is_found)
    assert f"{count} of 400 steps took longer" in finding.summary
    assert ("The slowest took 10.00 s" in finding.summary) == is_found


@pytest.mark.parametrize(("stddev", "count"), [(3, 4), (4.89, 4), (4.91, 0), (6, 0)])
def test_an_outlier_is_further_from_the_mean_than_so_many_deviations(stddev, count):
    seconds = [1.0] * 96 + [2.0] * 4  # mean 1.04, deviation 0.196: they lie 4.899 further
    for rule in (StepOutlier(stddev=stddev), StepOutlier(threshold=stddev)):
        assert rule.judge(with_steps(minimal.steps(seconds))).violations == count


@pytest.mark.parametrize(
    ("steps", "allowed"),
    [(11, 2), (59, 2), (60, 3), (199, 9), (200, 10), (1000, 10), (1999, 19), (9000, 90)],
)
def test_the_outliers_allowed_go_with_the_number_of_steps(steps, allowed):
    finding = StepOutlier().judge(with_steps(minimal.steps(slow(0, steps))))
    assert finding.parameters["n_outliers"] == allowed
    assert finding.scaled == ({"n_outliers": 10} if allowed < 10 else {})
    assert f"up to {allowed} in a phase are allowed" in finding.summary
    changed = f"{'lowered' if allowed < 10 else 'raised'} n_outliers from 10 to {allowed}.)"
    assert finding.summary.endswith(changed) == (allowed != 10)


@pytest.mark.parametrize(("steps", "status"), [(0, "Error"), (10, "Error"), (11, "NoIssuesFound")])
def test_of_too_few_steps_none_can_be_an_outlier(steps, status):
    finding = StepOutlier().judge(with_steps(minimal.steps(slow(0, steps))))
    assert finding.status == status
    if status == "Error":
        assert f"{steps or 'no'} step times were recorded, 11 are the least" in finding.summary
        assert "only the script can write them" in finding.summary


@pytest.mark.parametrize(
    ("mode", "phases"),
    [
        (None, {"algo-1-0", "algo-1-0-valid"}),
        ("None", {"algo-1-0", "algo-1-0-valid"}),
        ("TRAIN", {"algo-1-0"}),
        ("ModeKeys.TRAIN", {"algo-1-0"}),
        ("eval", {"algo-1-0-valid"}),
    ],
)
def test_the_mode_chooses_the_phases_and_each_is_looked_at_by_itself(mode, phases):
    made = with_steps(minimal.steps(slow(0, 100)), minimal.steps(100 * slow(0, 100), phase="valid"))
    finding = StepOutlier(mode=mode).judge(made)
    assert set(finding.details["step_details"]) == phases
    assert finding.violations == 0 and finding.datapoints == 100 * len(phases)


def test_each_process_is_looked_at_by_itself():
    frames = [minimal.steps(slow(6, 100) * 10**rank, rank=rank) for rank in range(3)]
    finding = StepOutlier(n_outliers=5).judge(with_steps(*frames))
    assert (finding.violations, finding.triggered) == (18, 3)


def test_the_details_of_outliers_have_awss_names():
    steps = minimal.steps(slow(20), data=0.25, forward=0.5)
    finding = StepOutlier().judge(with_steps(steps))
    details = finding.details["step_details"]["algo-1-0"]
    assert details["number_of_outliers"] == 20 and details["phase"] == "Step:ModeKeys.TRAIN"
    assert details["step_stats"]["max"] == 10 and details["step_stats"]["min"] == 0.99
    assert details["step_stats"]["p50"] == pytest.approx(1, abs=0.02)
    assert (len(details["probs"]), len(details["binedges"])) == (100, 101)
    assert sum(details["probs"]) == 400 and details["probs"][-1] == 20
    assert details["step_numbers"][:2] == ["1", "21"] and len(details["step_numbers"]) == 20
    assert finding.details["phase"] == {"Step:ModeKeys.TRAIN": 100}
    assert finding.details["general"] == {"Data": pytest.approx(25), "Forward": pytest.approx(50)}
    assert "50% of the outliers' time is the forward pass" in finding.summary


def test_steps_without_a_length_are_left_out():
    steps = minimal.steps(slow(0, 100))
    steps.loc[3:9, "seconds"] = np.nan
    finding = StepOutlier().judge(with_steps(steps))
    assert finding.datapoints == 93 and finding.status == "NoIssuesFound"


@pytest.mark.parametrize(
    ("rule", "members", "text"),
    [
        (StepOutlier, {"mode": "TEST"}, "mode 'TEST' is none: give TRAIN or EVAL"),
        (StepOutlier, {"stddev": 0}, "stddev 0 is not above 0"),
        (StepOutlier, {"threshold": -1}, "stddev -1 is not above 0"),
        (StepOutlier, {"n_outliers": 0}, "n_outliers 0 is below 1"),
        (Dataloader, {"min_threshold": -1}, "min_threshold -1 is below 0"),
        (Dataloader, {"max_threshold": -1}, "max_threshold -1 is below 0"),
        (Dataloader, {"min_threshold": 201}, "min_threshold 201 is above max_threshold 200"),
        (MaxInitializationTime, {"threshold": 0}, "threshold 0 is not above 0"),
    ],
)
def test_values_that_a_parameter_cannot_have_are_refused(rule, members, text):
    with pytest.raises(ValueError, match=text):
        rule(**members)


@pytest.mark.parametrize(
    ("workers", "cores", "is_found"),
    [
        (0, 1, False),  # the training process loads, and it is one
        (0, 2, True),
        (1, 2, True),
        (2, 2, False),
        (69, 100, True),
        (70, 100, False),
        (4, 2, False),
        (5, 2, True),
        (200, 100, False),
        (201, 100, True),
    ],
)
def test_the_loaders_processes_are_compared_with_the_cores(workers, cores, is_found):
    finding = Dataloader().judge(Recording("", loaders=[minimal.loader(workers, cores)]))
    assert (finding.status == "IssuesFound") == is_found == bool(finding.advice)
    assert finding.violations == finding.triggered == is_found
    count, of = max(1, workers), f"{cores} core{'s'[: cores > 1]}"
    processes = f"{count} loading process{'es' if count > 1 else ''}"
    told = f"That is {processes} on {of}, {100 * count / cores:.0f}%; the rule accepts 70% to 200%."
    assert finding.summary.endswith(told)
    assert (finding.details["num_workers"], finding.details["cores"]) == (workers, cores)
    assert finding.details["pin_memory"] is True


@pytest.mark.parametrize(("share", "is_found"), [(49, False), (50, False), (51, True)])
def test_the_loaders_least_share_is_a_parameter(share, is_found):
    made = Recording("", loaders=[minimal.loader(2, 4)])
    assert bool(Dataloader(min_threshold=share).judge(made).triggered) == is_found
    assert bool(Dataloader(min_threshold=0, max_threshold=100 - share).judge(made).triggered) == (
        100 - share < 50
    )


def test_the_loaders_of_all_processes_of_a_node_count_together():
    loaders = [minimal.loader(4, 8, Rank=rank) for rank in range(4)]
    finding = Dataloader().judge(Recording("", loaders=loaders))
    assert finding.status == "NoIssuesFound" and finding.details["dataloaders"] == 4
    assert (
        "4 loader workers in each of 4 processes. That is 16 loading processes on 8 cores, 200%"
        in finding.summary
    )
    more = [*loaders, minimal.loader(4, 8, Rank=4)]
    finding = Dataloader().judge(Recording("", loaders=more))
    assert finding.violations == 1 and "Lower num_workers to 1" in finding.advice


def test_each_node_is_looked_at_by_itself():
    loaders = [minimal.loader(8, 8), minimal.loader(0, 8, NodeId="algo-2")]
    finding = Dataloader().judge(Recording("", loaders=loaders))
    assert finding.violations == 1 and "No loader worker" in finding.summary
    loaders = [minimal.loader(8, 8), minimal.loader(80, 8, NodeId="algo-2")]
    assert "80 loader workers" in Dataloader().judge(Recording("", loaders=loaders)).summary


def test_the_training_is_looked_at_and_a_process_latest_loader():
    loaders = [minimal.loader(0, 4, Name="valid"), minimal.loader(0, 4), minimal.loader(4, 4)]
    assert Dataloader().judge(Recording("", loaders=loaders)).status == "NoIssuesFound"
    assert Dataloader().judge(Recording("", loaders=loaders[:1])).status == "IssuesFound"


@pytest.mark.parametrize(
    ("data", "waited", "is_found"),
    [
        (0.75, "waited 75% of its time for data.", True),
        (0.10, "waited 10% of its time for data.", True),
        (0.09, "waited 9.0% of its time for data. So more workers can save little.", False),
    ],
)
def test_few_workers_are_no_issue_where_training_hardly_waits(data, waited, is_found):
    steps = minimal.steps([1.0] * 20, data=data)
    valid = minimal.steps([1.0] * 20, phase="valid", data=1.0)
    made = with_steps(steps, valid, loaders=[minimal.loader(0, 4)])
    finding = Dataloader().judge(made)
    assert waited in finding.summary
    assert (finding.status == "IssuesFound") == is_found == bool(finding.triggered)
    assert ("give the DataLoader num_workers=4," in finding.advice) == is_found
    times = finding.details["dataloading_time"]
    assert times["p25"] == times["p50"] == times["p95"] == pytest.approx(data)
    assert sum(times["probs"]) == 20 and len(times["binedges"]) == 101


def test_many_workers_are_an_issue_even_if_training_does_not_wait():
    steps = minimal.steps([1.0] * 20, data=0.0)
    finding = Dataloader().judge(with_steps(steps, loaders=[minimal.loader(9, 4)]))
    assert finding.violations == 1 and "little" not in finding.summary


def test_the_waits_for_data_have_their_percentiles():
    steps = minimal.steps([1.0] * 101, data=0.0)
    steps["data"] = np.arange(101) / 100
    steps.loc[101] = {**steps.loc[0], "data": np.nan}
    finding = Dataloader().judge(with_steps(steps, loaders=[minimal.loader(4, 4)]))
    times = finding.details["dataloading_time"]
    assert (times["p25"], times["p50"], times["p95"]) == pytest.approx((0.25, 0.5, 0.95))


@pytest.mark.parametrize(
    "loaders", [[], [{"Name": "train"}], [minimal.loader(None, 4)], [minimal.loader(2, 0)]]
)
def test_a_loader_that_was_not_recorded_is_an_error(loaders):
    finding = Dataloader().judge(Recording("", loaders=loaders))
    assert finding.status == "Error" and "no data loader was recorded" in finding.summary


def late(minutes: float, **members) -> Recording:
    start = minimal.START + 60 * minutes
    return with_steps(minimal.steps([1.0] * 3, start=start), **members)


@pytest.mark.parametrize(("minutes", "is_found"), [(1, 0), (20, 0), (20.1, 1), (600, 1)])
def test_the_first_step_must_come_in_time(minutes, is_found):
    job = minimal.job(started=minimal.START)
    finding = MaxInitializationTime().judge(late(minutes, job=job))
    assert (finding.status == "IssuesFound") == is_found == bool(finding.advice)
    assert finding.violations == finding.triggered == is_found
    other = MaxInitializationTime(threshold=601).judge(late(minutes, job=job))
    assert other.status == "NoIssuesFound"


def test_the_job_started_when_the_recording_did_if_nothing_else_is_known():
    made = late(30)
    made.system = minimal.recording(cores=[[1] * 4]).system
    finding = MaxInitializationTime().judge(made)
    assert finding.status == "IssuesFound" and "30.0 minutes" in finding.summary
    assert finding.details == {
        "step_num": {
            "first": int((minimal.START + 1800) * 1e6),
            "last": int((minimal.START + 1802) * 1e6),
        },
        "job_start": minimal.START,
        "job_end": minimal.START + 1803,
    }
    assert finding.datapoints == 3


def test_seconds_are_told_of_a_fast_start_and_only_training_counts():
    job = minimal.job(started=minimal.START, phases=[Phase("Training", 0, 1)])
    made = late(0.5, job=job)
    early = minimal.steps([1.0], phase="valid")
    made.steps = pd.concat([early, made.steps], ignore_index=True)
    assert "came 30 s after the job's start" in MaxInitializationTime().judge(made).summary


def test_without_a_step_nothing_can_be_said_of_the_first():
    finding = MaxInitializationTime().judge(minimal.recording(cores=[[1] * 9]))
    assert finding.status == "Error" and "no training step was recorded" in finding.summary
