"""`profiler/reading/reader.py`: what was recorded is read back, from wherever it lies."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from debugger_support.recordings import RULE_REPORT, SCENES, START, line, make, write
from debugger_support.services import BUCKET, unique
from open_debugger.profiler.reading.reader import read
from open_debugger.profiler.recording import Job, Metric, RecordingError

SMALL = {"seconds": 70.0, "step": 2.0}


def assert_same(found, made):
    """Everything that files can hold is in both."""
    assert list(found.system) == sorted(made.system)
    for metric, series in made.system.items():
        assert np.array_equal(found.system[metric].times, series.times), metric
        assert np.array_equal(found.system[metric].values, series.values), metric
    pd.testing.assert_frame_equal(found.steps, made.steps, check_dtype=True)
    pd.testing.assert_frame_equal(found.spans, made.spans)
    pd.testing.assert_frame_equal(found.operators, made.operators)
    key = lambda loader: (loader["NodeId"], loader["Rank"], loader["Name"])  # noqa: E731
    assert sorted(found.loaders, key=key) == sorted(made.loaders, key=key)
    assert found.run == made.run
    assert (found.notes, found.managed) == ([], {})


@pytest.fixture
def made():
    return make(**SMALL, cores=2)


@pytest.fixture
def root(made, tmp_path):
    return write(made, tmp_path / "job" / "profiler-output")


def archive(root: Path) -> Path:
    target = root.parent / "output.tar.gz"
    with tarfile.open(target, "w:gz") as tar:
        tar.add(root, "profiler-output")
    return target


@pytest.mark.parametrize("name", SCENES)
def test_a_recording_is_read_back_as_it_was_made(name, tmp_path):
    made = make(name, **SMALL, initialization=5.0, epochs=2)
    assert_same(read(write(made, tmp_path)), made)


def test_nodes_and_ranks_are_kept_apart(tmp_path):
    made = make(**SMALL, cores=1, gpus=2, nodes=2)
    found = read(write(made, tmp_path))
    assert_same(found, made)
    assert sorted(set(zip(found.steps["node"], found.steps["rank"], strict=True))) == [
        ("algo-1", 0),
        ("algo-1", 1),
        ("algo-2", 2),
        ("algo-2", 3),
    ]
    assert found.gpus == ["algo-1/gpu0", "algo-1/gpu1", "algo-2/gpu0", "algo-2/gpu1"]


@pytest.mark.parametrize("above", ["profiler-output", "", ".."])
def test_the_recording_is_found_from_folders_above_it(made, root, above):
    place = (root.parent / above).resolve()
    found = read(str(place))
    assert_same(found, made)
    assert found.source == str(place)


def test_a_folder_of_any_name_is_read(made, root):
    assert_same(read(root.rename(root.with_name("recorded"))), made)


def test_an_archive_is_read_by_itself_and_in_its_job_s_folder(made, root, tmp_path):
    file = archive(root)
    shutil.rmtree(root)
    assert_same(read(file), made)
    (file.parent / "output").mkdir()
    file.rename(file.parent / "output" / file.name)
    assert_same(read(tmp_path), made)


def test_what_was_synchronised_is_taken_before_the_archive(made, root):
    other = write(make("starved", **SMALL), root.parent.parent / "other" / "profiler-output")
    archive(other).rename(root.parent / "output.tar.gz")
    assert_same(read(root.parent), made)


def test_a_bucket_is_read(made, root, reached):
    aws, prefix = reached, unique("recorded")
    for file in root.rglob("*.json"):
        key = f"{prefix}/profiler-output/{file.relative_to(root).as_posix()}"
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
    for key in (f"{prefix}/", f"{prefix}0/profiler-output/system/incremental/x/1.algo-9.json"):
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"")  # what only begins alike
    report = f"{prefix}/rule-output/ProfilerReport-1/profiler-output/profiler-reports/Batch.json"
    aws.s3.put_object(Bucket=BUCKET, Key=report, Body=json.dumps(RULE_REPORT))
    for place in (f"s3://{BUCKET}/{prefix}", f"s3://{BUCKET}/{prefix}/profiler-output/"):
        found = read(place)
        assert found.managed.keys() == {"Batch"}
        found.managed = {}
        assert_same(found, made)
    aws.s3.upload_file(str(archive(root)), BUCKET, f"{prefix}-a/output/output.tar.gz")
    assert_same(read(f"s3://{BUCKET}/{prefix}-a"), made)
    assert_same(read(f"s3://{BUCKET}/{prefix}-a/output/output.tar.gz"), made)
    with pytest.raises(RecordingError, match=f"s3://{BUCKET}/{prefix}-b: looked for profiler-out"):
        read(f"s3://{BUCKET}/{prefix}-b")
    with pytest.raises(RecordingError, match="s3://no-such-bucket/x: it cannot be listed"):
        read("s3://no-such-bucket/x")


def test_nothing_at_all_is_an_error_that_says_what_was_looked_for(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(RecordingError, match=rf"{tmp_path}: looked for .*output\.tar\.gz"):
        read(tmp_path)
    with pytest.raises(RecordingError, match="gone: there is no such file"):
        read(tmp_path / "gone")


def test_an_archive_without_a_recording_is_no_recording(tmp_path):
    (tmp_path / "model.txt").write_text("nothing")
    with tarfile.open(tmp_path / "output.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "model.txt", "profiler-output/model.txt")
    with pytest.raises(RecordingError, match=r"profiler-reports/\*\.json\.$"):
        read(tmp_path / "output.tar.gz")
    (tmp_path / "output.tar.gz").write_bytes(b"junk")
    for place in (tmp_path, tmp_path / "output.tar.gz"):
        with pytest.raises(RecordingError, match=r"\. output\.tar\.gz: the archive is damaged"):
            read(place)


def test_a_job_comes_with_the_recording(root):
    job = Job("job", "Completed")
    assert read(root, job).job is job
    assert read(root, {"TrainingJobName": "job", "TrainingJobStatus": "Failed"}).job.status == (
        "Failed"
    )
    assert read(root).job is None


def test_of_several_recordings_the_job_s_is_read_or_else_the_last(tmp_path):
    for name, scene in {"old": "healthy", "new": "starved"}.items():
        write(make(scene, **SMALL), tmp_path / name / "profiler-output")
    for file in (tmp_path / "old").rglob("17900001*.json"):
        file.unlink()
    shutil.rmtree(tmp_path / "new/profiler-output/framework/trace")  # it tells no time
    found = read(tmp_path)
    assert found.loaders[0]["Workers"] == 0
    assert found.notes == [
        "Of several recordings new/profiler-output/ was read; there are also old/profiler-output/."
    ]
    assert read(tmp_path, Job("old", "Completed")).loaders[0]["Workers"] == 4


def test_a_recording_is_not_mixed_with_one_above_it(made, root):
    write(make("starved", **SMALL, cores=3), root.parent)
    found = read(root.parent.parent, Job("profiler-output", "Completed"))
    assert len(found.notes) == 1
    found.notes = []
    assert_same(found, made)


def test_what_is_odd_in_times_and_steps_is_said(made, root):
    for file in [*root.glob("system/*/*/*.json"), *root.glob("framework/steps/*/*.json")]:
        shutil.copy(file, file.with_name(f"{file.stem}.copy.json"))
    found = read(root)
    samples = sum(len(series.times) for series in made.system.values())
    rows = len(made.steps) + len(made.spans)
    assert found.notes == [
        f"{samples} samples were there twice; of each the first was taken.",
        f"{rows} steps and spans were there twice; one of each was taken.",
    ]
    found.notes = []
    assert_same(found, made)


def test_what_is_damaged_is_left_out_and_said(made, root):
    system = sorted((root / "system").rglob("*.json"))
    system[0].write_bytes(system[0].read_bytes()[:-10])
    system[1].write_bytes(b"\x00\xff\xfe" * 50)
    (root / "system/incremental/2026092114/9999999999.algo-1.json").touch()
    (root / "framework/trace/algo-1-0.operators.json").write_text('[{"Name": "x"}]')
    found = read(root.parent)
    lines = len(system[0].read_bytes().splitlines())
    where = "profiler-output/system/incremental/2026092114"
    assert sorted(found.notes) == [
        "profiler-output/framework/trace/algo-1-0.operators.json: nothing was read "
        "(not a list of operators: KeyError).",
        f"{where}/1790000040.algo-1.json: 1 of {lines} lines were left out (1 cut off at the end).",
        f"{where}/1790000100.algo-1.json: 1 of 1 lines were left out (1 not JSON).",
        f"{where}/9999999999.algo-1.json: nothing was read (empty).",
    ]
    assert found.operators.empty
    assert list(found.operators.columns) == list(made.operators.columns)
    kept = made.system[Metric("algo-1", "cpu", "cpu0", "CPUUtilization")].times
    read_back = found.system[Metric("algo-1", "cpu", "cpu0", "CPUUtilization")].times
    assert np.array_equal(read_back, kept[kept < START + 60])


def test_a_file_that_vanishes_is_said(root, monkeypatch):
    """A job's folder may be cleaned while it is read: a broken link is such a file."""
    file = next((root / "framework/steps").rglob("*.json"))
    file.unlink()
    file.symlink_to("nowhere")
    name = file.relative_to(root.parent)
    notes = read(root).notes
    assert notes == [f"{name}: nothing was read (it cannot be read: FileNotFoundError)."]


def test_operators_of_all_ranks_are_one_table(tmp_path):
    root = write(make("three_seconds"), tmp_path)
    rows = [{"Name": "aten::mm", "Calls": 2, "CpuSeconds": 0.5, "DeviceSeconds": 30.0}]
    (root / "framework/trace/algo-1-1.operators.json").write_text(json.dumps(rows))
    found = read(root).operators
    assert found["name"].tolist()[0] == "aten::mm"
    assert found["share"].tolist() == [0.75, 0.125, 0.075, 0.05]
    (root / "framework/trace/algo-1-0.operators.json").write_text(json.dumps(rows))
    assert read(root).operators.values.tolist() == [["aten::mm", 4, 1.0, 60.0, 1.0]]


def test_shares_are_of_cpu_time_where_nothing_ran_on_a_device(tmp_path):
    root = write(make("cpu_compute", **SMALL), tmp_path)
    assert read(root).operators["share"].tolist() == [0.5, 0.3, 0.2]


def test_rule_reports_are_read_from_beside_the_recording_or_alone(root):
    reports = root.parent / "rule-output/ProfilerReport/profiler-output/profiler-reports"
    reports.mkdir(parents=True)
    (reports / "BatchSize.json").write_text(json.dumps(RULE_REPORT))
    for place in (root, root.parent, root.parent.parent):
        assert read(place).managed == {"BatchSize": RULE_REPORT}
    for place in (root.parent / "rule-output", reports):
        found = read(place)
        assert (found.managed, len(found.system)) == ({"BatchSize": RULE_REPORT}, 0)
    shutil.copytree(reports, root.parent / "any")
    (root.parent / "any" / "Other.json").write_text("[]")
    found = read(root.parent / "any")
    assert list(found.managed) == ["BatchSize"]
    assert found.notes == ["Other.json: nothing was read (not a rule's report: not a JSON object)."]


def test_a_failed_job_s_recording_ends_where_it_ended(tmp_path):
    """No final file, a half line, no step at all after the start."""
    folder = tmp_path / "system/incremental/2026092114"
    folder.mkdir(parents=True)
    text = "\n".join(line("cpu", "cpu0", "CPUUtilization", 5.0, START + i) for i in range(3))
    (folder / "1790000040.algo-1.json").write_text(text[:-20])
    found = read(tmp_path)
    (series,) = found.system.values()
    assert series.times.tolist() == [START, START + 1]
    assert found.steps.empty and found.spans.empty
    assert (found.start, found.end) == (START, START + 1)
