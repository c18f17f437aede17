"""The report's words and tables say what was recorded, and what was not."""

import numpy as np
import pandas as pd
import pytest

from debugger_support import recordings
from open_debugger.profiler.findings import Diagnosis, Finding
from open_debugger.profiler.measures import measure
from open_debugger.profiler.recording import Job, Metric, Phase, Recording, Series
from open_debugger.profiler.report import sections

DATA = Diagnosis("data", "It waited for data.", "78% of a step.", "More workers.", 0.58)
LOW = Finding("MyLow", "LowGPUUtilization", "IssuesFound", "p95 is 4%.")


# ------------------------------------------------------------------------------------- the verdict


def test_the_verdict_has_three_sentences_and_a_cue():
    found = sections.verdict(Recording("x"), DATA)
    assert list(found.sentences.values()) == [
        "It waited for data.",
        "78% of a step.",
        "More workers.",
    ]
    assert (found.tone, found.limit, found.gain, found.share) == (
        *("attention", "Data loading", "at most 58%"),
        pytest.approx(58),
    )


@pytest.mark.parametrize(
    ("limit", "gain", "tone"),
    [
        *(("compute", None, "good"), ("compute", 0.049, "good"), ("compute", 0.05, "attention")),
        *(
            ("data", 0.01, "attention"),
            ("unknown", None, "unknown"),
            ("balance", None, "attention"),
        ),
    ],
)
def test_the_tone_tells_a_well_used_machine_from_others(limit, gain, tone):
    found = sections.verdict(Recording("x"), Diagnosis(limit, "a", "b", "c", gain))
    assert found.tone == tone
    assert found.gain == ("" if gain is None else f"at most {sections.percent(gain)}")


def test_a_failed_job_is_bad_whatever_limited_it():
    for job in (Job("j", "Failed"), Job("j", "Stopped", failure="out of memory")):
        assert sections.verdict(Recording("x", job=job), DATA).tone == "bad"
    assert sections.verdict(Recording("x", job=Job("j", "Stopped")), DATA).tone == "attention"


@pytest.mark.parametrize(("gain", "share"), [(1.7, 100), (-0.2, 0), (float("nan"), 0)])
def test_a_strange_gain_stays_within_its_bar(gain, share):
    assert sections.verdict(Recording("x"), Diagnosis("io", "a", "b", "c", gain)).share == share


def test_every_limit_of_a_diagnosis_has_a_name():
    assert set(sections.LIMITS) == {*recordings.LIMITS.values(), "unknown"}


# --------------------------------------------------------------------------------- what is missing


def test_what_is_missing_is_said_once_and_without_folders():
    nothing = Recording("/home/someone/run")
    assert len(sections.missing(nothing)) == 2
    nothing.notes = ["no system metrics below /home/someone/run/system"]
    said = sections.missing(nothing)
    assert said == ["no system metrics below run/system", "No step times were recorded."]
    assert sections.missing(recordings.make("healthy", seconds=30)) == []


def test_steps_without_parts_are_said_to_be():
    recording = recordings.make("healthy", seconds=30)
    recording.steps[list(recordings.PARTS)] = np.nan
    assert sections.missing(recording) == ["Only whole steps were timed, not their parts."]


# ---------------------------------------------------------------------------------------- the job


def test_the_figures_of_a_run():
    recording = recordings.make("starved", seconds=600)
    found = {name: (value, remark) for name, value, remark in sections.figures(recording)}
    train = recording.steps[recording.steps["phase"] == "train"]
    assert found["Recorded"] == ("10 min 0 s", "1,200 samples")
    mean = sections.seconds(train["seconds"].mean())
    assert found["Training step"] == (mean, f"mean of {len(train)}")
    rate = 32 * len(train) / train["seconds"].sum()
    assert found["Throughput"] == (f"{rate:.1f}", "images/s while training")
    assert found["CPU utilization"][0] == sections.percent(measure(recording).cpu)
    assert found["CPU utilization"][1].startswith("mean while training; the busiest core 9")
    assert found["GPU utilization"][1] == "mean while training"
    assert found["Billable"][0] == "11 min 25 s"


def test_processes_that_train_at_once_add_up_their_images():
    found = {f[0]: f for f in sections.figures(recordings.make("unbalanced", seconds=120))}
    assert found["Training step"][2].endswith(" on each of 4")
    assert float(found["Throughput"][1].split()[0]) == pytest.approx(4 * 32 / 0.4, rel=0.05)


def test_no_gpu_is_a_figure_and_nothing_recorded_is_none():
    found = {f[0]: f for f in sections.figures(recordings.make("cpu_data", seconds=30))}
    assert found["GPU utilization"][1:] == ("none", "no GPU in this run")
    assert sections.figures(Recording("x")) == sections.facts(Recording("x")) == []


def test_without_step_times_the_means_are_of_the_run_after_its_start():
    recording = recordings.make("unbalanced", seconds=120)
    recording.steps = recording.steps[:0]
    found = {name: remark for name, _, remark in sections.figures(recording)}
    assert found["GPU utilization"].startswith("mean after the start; the busiest GPU 9")
    assert found["CPU utilization"].startswith("mean after the start; the busiest core ")


def test_the_jobs_summary():
    recording = recordings.make("starved", seconds=600)
    facts = dict(sections.facts(recording))
    assert (facts["Status"], facts["Instances"]) == ("Completed", "1 x ml.g4dn.xlarge")
    assert facts["Billable seconds"] == "685"
    assert (facts["Model"], facts["Batch size"], facts["Image size"]) == ("resnet50", "32", "224")
    assert facts["Loader train"] == "0 workers, pinned memory"
    assert facts["Started"] == "2026-09-21 14:13:00 UTC"
    running = dict(sections.facts(Recording("x", job=Job("j", "InProgress"))))
    assert running == {"Job": "j", "Status": "InProgress"}


def test_phases_last_as_sagemaker_says_and_the_open_one_until_now():
    job = Job("j", "InProgress", phases=[Phase("Starting", 100, 130), Phase("Training", 130, None)])
    found = sections.phases(job, end=190)
    assert [(row["name"], row["seconds"]) for row in found] == [("Starting", 30), ("Training", 60)]
    assert [row["share"] for row in found] == pytest.approx([1 / 3, 2 / 3])
    assert sections.phases(job, end=None) == [{**found[0], "share": 1}]
    assert sections.phases(None) == sections.phases(Job("j", "Failed")) == []
    ended = sections.phases(recordings.make("healthy", seconds=60).job)
    assert [row["name"] for row in ended] == ["Starting", "Downloading", "Training", "Uploading"]


# -------------------------------------------------------------------------------------- the tables


def test_system_usage_is_that_of_all_samples():
    recording = recordings.make("unbalanced", seconds=120)
    rows = {(row[0], row[1]): row[2:] for row in sections.usage(recording)}
    cores = [series.values for series in recording.select("cpu", "CPUUtilization").values()]
    expected = np.percentile(np.concatenate(cores), [100, 99, 95, 50, 0])
    assert rows["CPU utilization", "all cores"][1:6] == [sections.number(q) for q in expected]
    assert rows["CPU utilization", "all cores"][6] == f"{4 * 240:,}"
    assert [of for name, of in rows if name == "GPU utilization"] == ["all GPUs", *recording.gpus]
    used = recording.select("gpu", "GPUMemoryUsedBytes")["gpu2"].values
    assert rows["GPU memory used", "gpu2"][:2] == ["GiB", sections.number(used.max() / 2**30)]
    assert ("Network receive", "Platform") in rows and ("Disk read", "i/o") in rows


def test_unknown_samples_count_for_nothing():
    series = Series(np.arange(4.0), np.array([1, np.nan, np.inf, 3]))
    recording = Recording("x", {Metric("algo-1", "cpu", "cpu0", "CPUUtilization"): series})
    assert sections.usage(recording)[0][3:] == ["3", "2.98", "2.90", "2", "1", "2"]
    nothing = Series(np.arange(2.0), np.full(2, np.nan))
    unknown = Recording("x", {Metric("algo-1", "gpu", "gpu0", "GPUUtilization"): nothing})
    assert sections.usage(unknown) == []
    assert [name for name, *_ in sections.figures(unknown)] == ["Recorded"]


def test_operators_come_longest_first_by_the_device_if_there_is_one():
    recording = recordings.make("healthy", seconds=30)
    recording.operators.loc[2, "cpu_seconds"] = 99.0
    assert [row[3] for row in sections.operators(recording)] == [5, 3, 2]
    cpu = recordings.make("cpu_compute", seconds=30)
    cpu.operators = pd.concat([cpu.operators] * 100)
    found = sections.operators(cpu)
    assert len(found) == sections.OPERATORS and found[0][0] == "aten::convolution_backward"
    assert sections.operators(Recording("x")) == []


# --------------------------------------------------------------------------------------- the rules


def test_issues_come_first_then_errors():
    statuses = ["NoIssuesFound", "Error", "IssuesFound", "NoIssuesFound"]
    found = sections.rules(Recording("x"), [Finding(s, s, s, "") for s in statuses])
    assert [rule.finding.status for rule in found.rules] == [
        *("IssuesFound", "Error", "NoIssuesFound", "NoIssuesFound")
    ]
    assert found.count("NoIssuesFound") == 2 and not found.managed
    assert found.rules[1].status == "Error" and found.rules[0].status == "Issues found"


def test_rules_without_anything_to_look_at_are_named_together():
    found = [
        Finding(name, name, "NoIssuesFound", "Nothing.", skipped="No GPU in this run")
        for name in ("LowGPUUtilization", "BatchSize")
    ]
    one = Finding("Dataloader", "Dataloader", "IssuesFound", "Few workers.")
    made = sections.rules(Recording("x"), [found[0], one, found[1]])
    assert [rule.finding for rule in made.rules] == [one] and made.evaluated == 3
    assert made.skipped == {"No GPU in this run": ["LowGPUUtilization", "BatchSize"]}
    managed = {"BatchSize": {"RuleTriggered": 1}}  # what AWS's own rule said stands beside it
    made = sections.rules(Recording("x", managed=managed), found)
    assert [rule.finding.name for rule in made.rules] == ["BatchSize"]
    assert made.skipped == {"No GPU in this run": ["LowGPUUtilization"]} and made.evaluated == 2


def test_parameters_tell_what_was_used_and_what_was_asked_for():
    finding = Finding(
        "Low",
        "Low",
        "Error",
        "",
        parameters={"p95": 70, "patience": 120},
        scaled={"patience": 1000},
    )
    rule = sections.rules(Recording("x"), [finding]).rules[0]
    assert rule.parameters == [("p95", "70", ""), ("patience", "120", "1000")]


def test_awss_own_rules_stand_beside_ours():
    managed = {
        "LowGPUUtilization": {"RuleTriggered": 22, "Violations": 1234, "Datapoints": 3578},
        "IOBottleneck": {"RuleTriggered": 0, "RuleParameters": "threshold:50\nio_threshold:50"},
    }
    found = sections.rules(Recording("x", managed=managed), [LOW])
    assert found.rules[0].aws == "triggered 22 times, 1,234 violations in 3,578 data points"
    said = "not triggered, 0 violations in 0 data points (threshold:50, io_threshold:50)"
    assert found.others == [("IOBottleneck", said)] and found.managed


def test_outliers_are_those_of_the_rule():
    rule = Finding("Outlier", "StepOutlier", "NoIssuesFound", "", parameters={"stddev": 5})
    assert sections.stddev([LOW, rule]) == 5
    assert sections.stddev([LOW]) == 3
    assert (
        sections.stddev([Finding("o", "StepOutlier", "Error", "", parameters={"stddev": 0})]) == 3
    )
