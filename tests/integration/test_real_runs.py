"""Real recordings: `train.py` with its own sampler, once starved by its loader and once not.

The photos have six million pixels, so that decoding takes far longer than the tiny network: on a
busy machine, too.
"""

import pytest

from debugger_support.browser import browser, opening  # noqa: F401
from open_debugger.profiler import analyse
from tests.support.forking import fork, train_alone
from tests.support.tiny_photos import COLOURS, draw, encode

COMMON = {"model": "resnet18", "weights": "random", "system-metrics": 100}
STARVED = {"image-size": 32, "batch-size": 4, "epochs": 5, "decode": "full", "num-workers": 0}
COMPUTING = {"image-size": 112, "batch-size": 8, "epochs": 8}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    large = encode(draw((120, 90, 60), size=(300, 200)).resize((3000, 2000)))
    for channel, count in {"train": 16, "valid": 2}.items():
        for name in COLOURS:
            (folder := root / channel / name).mkdir(parents=True)
            for number in range(count):
                (folder / f"{number}.jpg").write_bytes(large)
    return root


def run(photos, out, settings, wide):
    """Train in a process of its own, and analyse what it recorded."""
    folders = {"train-dir": photos / "train", "valid-dir": photos / "valid"}
    given = {**COMMON, **settings, **folders, "model-dir": out / "model", "output-data-dir": out}
    words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
    process = fork(train_alone, words, out / "log", {}, 0, wide)
    process.join(120)
    assert process.exitcode == 0, (out / "log").read_text()
    return analyse(out / "profiler-output")


@pytest.fixture(scope="module")
def starved(photos, tmp_path_factory):
    return run(photos, tmp_path_factory.mktemp("starved"), STARVED, wide=False)


def test_a_run_that_waits_for_its_loader_is_called_data_bound(starved):
    diagnosis, findings = starved.diagnosis, starved.findings
    assert diagnosis.limit == "data" and diagnosis.gain > 0, str(diagnosis)
    assert findings["Dataloader"].status == "IssuesFound"
    assert not starved.recording.notes


def test_a_run_that_computes_is_not(photos, tmp_path):
    profile = run(photos, tmp_path, COMPUTING, wide=True)
    # What else runs on the machine can make outliers, or hold the cores: never a wait for data.
    assert profile.diagnosis.limit in ("compute", "outliers", "cpu"), str(profile.diagnosis)
    assert profile.findings["Dataloader"].status == "NoIssuesFound"
    waits = profile.recording.steps["data"].sum() / profile.recording.steps["seconds"].sum()
    assert waits < 0.1


@pytest.mark.parametrize(
    "width", [1280, *(pytest.param(width, marks=pytest.mark.slow) for width in (768, 390))]
)
def test_its_report_opens_at_every_width(starved, browser, tmp_path, width):  # noqa: F811
    file = starved.save(tmp_path / "report.html")
    with opening(browser, file, width=width) as opened:  # and looks at errors and requests
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        assert "Data loading" in opened.page.locator("#verdict").inner_text()
        text = opened.page.locator("body").inner_text()
        assert "No GPU in this run" in text
        cores = opened.data("cpu")
        for name, series in starved.recording.select("cpu", "CPUUtilization").items():
            (shown,) = [trace for (each, role), trace in cores.items() if each == name]
            # Where the sampler came late, the line has a gap.
            values = [value for value in shown["y"] if value is not None]
            assert values == pytest.approx(series.values.tolist())
