"""The report in a notebook: small enough to be committed, without a script, and escaped."""

import re
from html.parser import HTMLParser

import pytest

from debugger_support import recordings
from open_debugger.profiler import report
from open_debugger.profiler.findings import Diagnosis, Finding
from open_debugger.profiler.recording import Job, Recording

DATA = Diagnosis("data", "It waited for data.", "78% of a step.", "More workers.", 0.58)
LONG = "a finding of many words " * 200
FOUND = [Finding(f"Rule{n}", "StepOutlier", "IssuesFound", LONG, LONG) for n in range(40)]


def balanced(markup):
    """Whether every element that is opened is closed."""
    open_ones = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            open_ones.append(tag)

        def handle_endtag(self, tag):
            assert open_ones.pop() == tag

    Parser().feed(markup)
    return not open_ones


def test_the_summary_has_the_verdict_the_figures_and_the_rules():
    shown = report.summary(recordings.make("starved", seconds=120), FOUND[:2], DATA)
    markup = shown._repr_html_()
    for text in (
        "It waited for data.",
        "78% of a step.",
        "More workers.",
        "at most 58% of a training step can be saved by the change below",
    ):
        assert text in markup
    assert re.search(r"data</th><td[^>]*>1 min \d+ s</td><td[^>]*>78%", markup)
    assert "Rule1" in markup and "GPU utilization" in markup and "Issues found" in markup
    assert balanced(markup)


def test_rules_that_found_nothing_are_named_in_a_sentence():
    why = "No GPU in this run"
    quiet = [Finding(name, name, "NoIssuesFound", "In 0% of it.") for name in ("IO", "Outlier")]
    skipped = [Finding(name, name, "NoIssuesFound", "-", skipped=why) for name in ("Low", "Size")]
    recording = recordings.make("cpu_data", seconds=30)
    shown = report.summary(recording, [*skipped, *quiet, *FOUND[:1]], DATA)
    markup = shown._repr_html_()
    assert "<p>✓ No issues: IO, Outlier.</p>" in markup and "In 0%" not in markup
    assert f"<p>{why}, so these rules had nothing to look at: Low, Size.</p>" in markup
    assert "Rule0<br/>! Issues found" in markup
    assert str(shown).splitlines()[-2:] == ["No issues: IO, Outlier", f"{why}: Low, Size"]
    one = report.summary(recording, skipped[:1], DATA)._repr_html_()
    assert f"{why}, so this rule had nothing to look at: Low." in one and "No issues" not in one
    assert "The rules</caption>" not in one and balanced(one)


def test_the_summary_is_small_and_has_no_script_and_no_colour_of_text():
    recording = recordings.make("starved", seconds=120)
    recording.notes = [LONG] * 20
    recording.job = Job("j" * 63, "Failed", failure="x" * 1024)
    markup = report.summary(recording, FOUND, DATA)._repr_html_()
    assert len(markup.encode()) < 30_000
    assert "<script" not in markup and "<style" not in markup
    assert not re.search(r"[ ;\"](color|background)", markup)
    assert "and 20 more rules" in markup


def test_printed_it_is_text():
    said = str(report.summary(recordings.make("starved", seconds=120), FOUND[:1], DATA))
    assert said.splitlines()[1] == "What limited this run: It waited for data."
    assert "Rule0: Issues found" in said and "<" not in said


def test_the_summary_of_nothing_says_so():
    unknown = Diagnosis("unknown", "Nothing is known.", "", "Record it.")
    markup = report.summary(Recording("/home/x/run"), [], unknown)._repr_html_()
    assert "No step times were recorded." in markup and "/home" not in markup
    assert balanced(markup)


def test_names_are_escaped():
    evil = Job("<script>alert(1)</script>", "Failed", failure="<img src=x>")
    rule = Finding("<b>", "StepOutlier", "Error", "<i>")
    diagnosis = Diagnosis("data", "<u>", "<u>", "<u>")
    markup = report.summary(Recording("x", job=evil), [rule], diagnosis)._repr_html_()
    assert not re.search("<(script|img|i|u)>|<b></", markup)


def test_a_frame_points_beside_the_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my run").mkdir()
    file = tmp_path / "my run" / 'a"b.html'
    file.write_text("<p>here</p>")
    frame = report.as_iframe(file, height=500)
    assert frame.address == "my%20run/a%22b.html"
    markup = frame._repr_html_()
    assert f'src="{frame.address}"' in markup and 'height="500"' in markup
    assert f'href="{frame.address}"' in markup and str(tmp_path) not in markup
    assert str(frame) == f"the report: {frame.address}"


def test_there_is_no_frame_of_no_report(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"report\.write"):
        report.as_iframe(tmp_path / "none.html")


@pytest.mark.slow  # nbconvert takes six seconds to import
def test_frame_and_summary_are_in_the_notebooks_export(tmp_path, monkeypatch):
    import nbformat
    from nbconvert import HTMLExporter
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.html").write_text("<p>here</p>")
    shown = report.summary(recordings.make("starved", seconds=30), [], DATA)
    cell = new_code_cell("show")
    cell.outputs = [
        new_output("display_data", data={"text/html": each._repr_html_()})
        for each in (report.as_iframe("report.html"), shown)
    ]
    page, _ = HTMLExporter().from_notebook_node(nbformat.from_dict(new_notebook(cells=[cell])))
    assert re.search('<iframe[^>]* src="report.html"', page) and "It waited for data." in page
