"""`profiler/analysis.py`: a recording's rules, verdict and report with one call."""

import html

import pytest

from debugger_support import recordings
from open_debugger.profiler import RecordingError, analyse, evaluate

JOB = {
    "TrainingJobName": "made-job",
    "TrainingJobStatus": "Completed",
    "ResourceConfig": {"InstanceType": "ml.g4dn.xlarge", "InstanceCount": 1},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = recordings.make("starved", seconds=60)
    return recordings.write(made, tmp_path_factory.mktemp("made") / "profiler-output")


def test_all_of_it(folder, tmp_path):
    profile = analyse(folder, JOB)
    assert profile.recording.job.instance_type == "ml.g4dn.xlarge"
    assert list(profile.findings) == list(evaluate(profile.recording))
    assert profile.diagnosis.limit == "data"
    page = profile.save(tmp_path / "new" / "page.html")
    assert profile.diagnosis.evidence in html.unescape(page.read_text())
    assert "made-job" in repr(profile) and len(repr(profile)) < 3000


def test_rules_can_be_chosen(folder):
    profile = analyse(folder, rules=["LowGPUUtilization"])
    assert [each.rule for each in profile.findings] == ["LowGPUUtilization"]
    assert profile.recording.job is None


def test_a_notebook_shows_a_summary_that_needs_no_script(folder):
    markup = analyse(folder, JOB)._repr_html_()
    assert "LowGPUUtilization" in markup and "made-job" in markup
    assert "<script" not in markup and len(markup) < 30_000


def test_nothing_to_read(tmp_path):
    with pytest.raises(RecordingError, match="no recording at"):
        analyse(tmp_path)
