"""The report in a browser: Chromium opens the file of a starved run, and nothing is mocked."""

import re
from contextlib import suppress

import numpy as np
import pytest
from playwright.sync_api import TimeoutError as NotYet

from debugger_support import recordings
from debugger_support.browser import opening
from open_debugger.profiler import report
from open_debugger.profiler.findings import Diagnosis, Finding
from open_debugger.profiler.recording import PARTS, Metric
from open_debugger.profiler.report import sections

A4 = 703  # px between the margins of 12 mm
DATA = Diagnosis(
    "data",
    "The GPU waited for data: 78% of a step passed before its batch was there.",
    "The median step took 1.2 s, 0.93 s of it in the loader, which ran with 0 workers on 4 cores.",
    "Set num_workers to 4: it may save 58% of the time.",
    0.58,
)
FOUND = [
    Finding("CPUBottleneck", "CPUBottleneck", "NoIssuesFound", "12% of the samples (of 50%)."),
    Finding(
        *("LowGPU", "LowGPUUtilization", "IssuesFound", "p95 is 4% (threshold 70%)."),
        *("Feed the GPU.", {"threshold_p95": 70, "patience": 120}, {"patience": 1000}),
        *(12, 12, 1200, {"gpu0": {"p95": 4.0}}),
    ),
    Finding("Outlier", "StepOutlier", "Error", "too few steps"),
]


@pytest.fixture(scope="module")
def starved():
    return recordings.make("starved", seconds=300)


@pytest.fixture(scope="module")
def file(starved, tmp_path_factory):
    return report.write(starved, FOUND, DATA, tmp_path_factory.mktemp("report") / "new" / "r.html")


@pytest.fixture(scope="module")
def kept(browser, file):
    """One page for all tests that leave it as it was: reading plotly takes most of a test."""
    with opening(browser, file, color_scheme="light") as opened:
        yield opened


@pytest.fixture
def shared(kept):
    yield kept
    kept.page.emulate_media(color_scheme="light", media="screen")
    if kept.page.viewport_size["width"] != 1280:
        kept.resize(1280)
    assert kept.errors == []


# ----------------------------------------------------------------------------------------- the page


WIDTHS = [1280, *(pytest.param(width, marks=pytest.mark.slow) for width in (768, 390))]


@pytest.mark.parametrize("width", WIDTHS)
def test_at_every_width_the_page_does_not_scroll_sideways(shared, width):
    shared.resize(width)
    wide = shared.page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width
    for svg in shared.page.locator(".main-svg").all():
        box = svg.bounding_box()
        assert box["width"] > 0.6 * width and box["x"] + box["width"] <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(shared, scheme):
    shared.page.emulate_media(color_scheme=scheme)
    assert shared.page.evaluate(FAINT) == []


# Texts whose contrast with what lies behind them is below WCAG's AA: 4.5, large ones 3.
FAINT = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (c) => [0, 1, 2].map((i) => c[i] / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    const c = rgb(getComputedStyle(e).backgroundColor);
    return c.length === 3 || c[3] === 1 || !e.parentElement ? c : behind(e.parentElement);
  };
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const faint = [];
  for (const e of document.querySelectorAll("body *:not(script, noscript, svg *)")) {
    if (!own(e) || !e.getClientRects().length) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(getComputedStyle(e).fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) faint.push(`${ratio.toFixed(2)} ${e.textContent.trim()}`);
  }
  return faint;
}"""


def test_the_file_is_small_and_whole(file):
    text = file.read_text()
    assert file.stat().st_size < 2_500_000
    assert not re.search(r"""(src|href)=["'](?!#|data:)""", text)
    assert "@import" not in text and "url(" not in text
    assert "MIT license" in text  # plotly's, which travels along


def test_its_parts_come_in_order_with_headings_captions_and_labels(shared):
    page = shared.page
    titles = page.locator("main > section > h2").all_inner_texts()
    assert titles == [
        *("The job", "Timelines", "Steps", "Operators", "System usage", "Rules", "Data")
    ]
    links = page.locator(".toc a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert all(page.locator(link).count() == 1 for link in links) and len(links) == 8
    assert page.locator("h1").count() == 1
    assert page.locator("table").count() == page.locator("table > caption").count() > 5
    unlabelled = "all => all.filter(e => !e.getAttribute('aria-label')).length"
    assert page.locator("[role=img], [role=region]").evaluate_all(unlabelled) == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    own = [each for each in ids if not each.startswith(("clip", "topdefs", "legend"))]
    assert len(own) == len(set(own))


def test_the_verdict_is_the_first_thing_one_sees(shared):
    shared.page.evaluate("scrollTo(0, 0)")
    verdict = shared.page.locator("#verdict")
    assert verdict.bounding_box()["y"] < 300
    text = verdict.inner_text()
    for sentence in (DATA.what, DATA.evidence, DATA.change, "Data loading", "58%"):
        assert sentence in text
    meter = verdict.locator(".meter").bounding_box()["width"]
    filled = verdict.locator(".meter span").bounding_box()["width"]
    assert filled / meter == pytest.approx(0.58, abs=0.02)


def test_what_the_rules_found_is_open_and_first(shared):
    rules = shared.page.locator(".rule")
    texts = [re.sub(r"\s+", " ", text) for text in rules.all_inner_texts()]
    assert texts[0].startswith("! Issues found LowGPU LowGPUUtilization p95 is 4%")
    assert "Feed the GPU." in texts[0] and "patience 120 1000, too much for this run" in texts[0]
    assert texts[1].endswith(
        "Error Outlier StepOutlier too few steps Triggered: 0 · violations: 0 · data points: 0"
    )
    assert texts[2].startswith("✓ No issues CPUBottleneck 12% of the samples")
    assert rules.evaluate_all("all => all.map(e => e.open)") == [True, True, False]


def test_bars_have_the_recorded_shares(shared, starved):
    bar = shared.page.get_by_label("Parts of the training steps")
    widths = [part.bounding_box()["width"] for part in bar.locator(".part").all()]
    train = starved.steps[starved.steps["phase"] == "train"]
    shares = train[list(PARTS)].sum() / train["seconds"].sum()
    assert np.array(widths[:5]) / sum(widths) == pytest.approx(shares.to_numpy(), abs=0.01)
    assert f"data {sections.percent(shares['data'])}" in bar.get_attribute("aria-label")


def test_tables_sort_by_their_numbers(shared):
    table = shared.page.locator("table[data-name=operators]")
    calls = table.locator("thead button", has_text="Calls")
    column = "rows => rows.map(row => row.cells[1].textContent)"
    calls.click()
    assert table.locator("tbody tr").evaluate_all(column) == ["530", "530", "520"]
    assert table.locator("th[aria-sort=descending]").inner_text().startswith("Calls")
    calls.click()
    assert table.locator("tbody tr").evaluate_all(column) == ["520", "530", "530"]
    names = table.locator("thead button", has_text="Operator")
    names.click()
    assert table.locator("tbody th").first.inner_text() == "aten::batch_norm"


def test_without_javascript_its_texts_and_tables_are_there(browser, file):
    with opening(browser, file, ready=False, java_script_enabled=False) as opened:
        page = opened.page
        assert page.get_by_text("The charts need JavaScript").is_visible()
        for text in (DATA.what, "Percentiles of all samples of the run", "aten::batch_norm"):
            assert page.get_by_text(text).first.is_visible()
        assert not page.locator("[data-csv], [data-zoom]").first.is_visible()
        assert max(page.locator(".plot").evaluate_all("all => all.map(e => e.offsetHeight)")) == 0


# --------------------------------------------------------------------------------------- the charts


def test_the_charts_hold_the_recorded_points(shared, starved):
    for panel, name, metric in (
        ("cpu", "cpu2", Metric("algo-1", "cpu", "cpu2", "CPUUtilization")),
        ("gpu", "gpu0", Metric("algo-1", "gpu", "gpu0", "GPUUtilization")),
        ("memory", "main memory", Metric("algo-1", "memory", "memory", "MemoryUsedPercent")),
        ("iowait", "cpu0", Metric("algo-1", "cpu", "cpu0", "I/OWaitPercentage")),
    ):
        drawn, recorded = shared.data(panel)[name, "value"], starved.system[metric]
        assert drawn["x"] == pytest.approx(list(recorded.times - starved.start), abs=1e-3)
        assert drawn["y"] == pytest.approx(list(recorded.values), rel=1e-4)
    drawn = shared.data("steps")["train", "value"]
    taken = [y for y in drawn["y"] if y is not None]
    train = starved.steps[starved.steps["phase"] == "train"]
    assert taken == pytest.approx(list(train["seconds"]), rel=1e-4)


def test_the_histogram_holds_every_step(shared, starved):
    bars = [t for (_, role), t in shared.data("histogram").items() if role == "bars"]
    counted = sum(sum(trace["y"]) for trace in bars)
    assert counted == (starved.steps["phase"] == "train").sum()


def test_hovering_shows_the_values_of_all_timelines_at_that_moment(shared, starved):
    area = shared.area("cpu")
    x = area["x"] + area["width"] / 2
    shared.page.mouse.move(x - 3, area["y"] + 50)
    shared.page.mouse.move(x, area["y"] + 50)
    shared.page.wait_for_function(
        "() => document.querySelector('#plot-gpu .hoverlayer').textContent.includes('gpu0')"
    )
    text = shared.page.locator("#plot-cpu .hoverlayer").text_content()
    time = float(re.match(r"([\d.]+) s", text)[1])
    assert time == pytest.approx((starved.end - starved.start) / 2, abs=2)
    recorded = starved.system[Metric("algo-1", "cpu", "cpu1", "CPUUtilization")]
    at = np.abs(recorded.times - starved.start - time).argmin()
    assert float(re.search(r"cpu1 : ([\d.]+) %", text)[1]) == pytest.approx(recorded.values[at])
    assert re.search(r"2026-09-21 14:16:\d\d\.\d UTC", text)
    gpu = shared.page.locator("#plot-gpu .hoverlayer").text_content()
    assert gpu.startswith(f"{time:.2f} s") and "UTC" in gpu
    shared.page.mouse.move(5, 5)
    shared.page.wait_for_function(
        "() => !document.querySelector('#plot-gpu .hoverlayer').textContent.includes('gpu0')"
    )


def test_hovering_over_steps_and_bars_shows_theirs(shared, starved):
    area = shared.area("activity")
    shared.page.mouse.move(area["x"] + 100, area["y"] + area["height"] * 0.4)
    shared.page.wait_for_function(
        "() => document.querySelector('#plot-activity .hoverlayer').textContent.includes('steps')"
    )
    assert "epoch 1" in shared.page.locator("#plot-activity .hoverlayer").text_content()
    area = shared.area("steps")
    shared.page.mouse.move(area["x"] + 100, area["y"] + 30)
    shared.page.wait_for_function(
        "() => /train : [\\d.]+ s, 2026-09-21 14:14:\\d/.test("
        "document.querySelector('#plot-steps .hoverlayer').textContent)"
    )
    shared.page.mouse.move(5, 5)


def test_zooming_into_one_timeline_zooms_all(shared, starved):
    whole = starved.end - starved.start
    assert all(r == pytest.approx([0, whole]) for r in shared.ranges().values())
    area = shared.area("gpu")
    y, mouse = area["y"] + 60, shared.page.mouse
    mouse.move(area["x"] + 0.25 * area["width"], y)
    mouse.down()
    mouse.move(area["x"] + 0.5 * area["width"], y, steps=4)
    mouse.up()
    quarter = pytest.approx([whole / 4, whole / 2], abs=whole / 100)
    shared.page.wait_for_function("() => document.getElementById('range').textContent")
    ranges = shared.ranges()
    assert len(ranges) == 9 and all(r == quarter for r in ranges.values())
    assert len({tuple(r) for r in ranges.values()}) == 1
    assert shared.page.locator("#range").inner_text().startswith("75 to 150 s")
    whole_again = "() => document.getElementById('plot-cpu').layout.xaxis.range[0] === 0"
    for _ in range(20):  # on a busy machine, two clicks may lie too far apart to be a double one
        mouse.dblclick(area["x"] + 0.4 * area["width"], y)
        with suppress(NotYet):
            shared.page.wait_for_function(whole_again, timeout=1000)
            break
    assert all(r == pytest.approx([0, whole]) for r in shared.ranges().values())


def test_the_zoom_has_buttons_that_stay_within_the_run(shared, starved):
    whole = starved.end - starved.start
    press = lambda name: shared.page.locator(f"[data-zoom={name}]").click()  # noqa: E731
    expected = {"in": (1 / 4, 3 / 4), "on": (1 / 2, 1), "back": (1 / 4, 3 / 4), "out": (0, 1)}
    for name, (first, last) in expected.items():
        press(name)
        for shown in shared.ranges().values():
            assert shown == pytest.approx([first * whole, last * whole], abs=0.01)
    press("in")
    press("all")
    assert shared.ranges()["plot-cpu"] == pytest.approx([0, whole])


def test_a_series_can_be_hidden(shared):
    chip = shared.page.locator("[data-panel=cpu] .chips button", has_text="cpu1")
    chip.click()
    assert shared.data("cpu")["cpu1", "value"]["visible"] is False
    assert chip.get_attribute("aria-pressed") == "false"
    chip.click()
    assert shared.data("cpu")["cpu1", "value"]["visible"] is True


def test_the_numbers_come_as_csv(shared, starved):
    rows = shared.csv("timelines")
    gpu = rows[(rows["chart"] == "GPU utilization") & (rows["series"] == "gpu0")]
    recorded = starved.system[Metric("algo-1", "gpu", "gpu0", "GPUUtilization")]
    assert gpu["value"].tolist() == pytest.approx(list(recorded.values))
    assert gpu["seconds"].tolist() == pytest.approx(list(recorded.times - starved.start), abs=1e-3)
    assert set(gpu["unit"]) == {"%"} and gpu["utc"].iloc[0].startswith("2026-09-21 14:14:00")
    steps = rows[(rows["chart"] == "Step time") & (rows["series"] == "valid")]
    assert len(steps) == (starved.steps["phase"] == "valid").sum()
    assert set(rows[rows["chart"] == "What the run did"]["series"]) >= {"training", "evaluation"}
    counts = shared.csv("histogram")
    assert counts["steps"].sum() == (starved.steps["phase"] == "train").sum()
    usage = shared.csv("system-usage")
    assert usage.loc[usage["Metric"] == "CPU utilization", "Samples"].tolist() == [2400]
    assert shared.csv("operators")["Device seconds"].tolist() == [2, 5, 3]  # as sorted


def test_the_charts_follow_light_and_dark_while_open(shared):
    paper = "document.getElementById('plot-cpu').layout.plot_bgcolor"
    ink = "document.getElementById('plot-cpu').layout.font.color"
    before = [shared.page.evaluate(each) for each in (paper, ink)]
    line = shared.data("cpu")["cpu0", "value"]["color"]
    shared.page.locator("[data-zoom=in]").click()
    zoomed = shared.ranges()["plot-gpu"]
    shared.page.emulate_media(color_scheme="dark")
    shared.page.wait_for_function(f"() => {paper} !== '#ffffff'")
    assert before[0] == "#ffffff" and shared.page.evaluate(ink) != before[1]
    assert shared.data("cpu")["cpu0", "value"]["color"] != line
    assert shared.ranges()["plot-gpu"] == zoomed
    shared.page.locator("[data-zoom=all]").click()


def test_on_paper_nothing_is_cut_and_all_is_light(shared):
    page = shared.page
    page.emulate_media(media="print", color_scheme="dark")
    page.set_viewport_size({"width": A4, "height": 1000})
    page.wait_for_function(f"() => document.querySelector('.main-svg').clientWidth <= {A4}")
    assert page.evaluate("document.documentElement.scrollWidth") <= A4
    for each in page.locator(".main-svg, table, .bar, .verdict").all():
        box = each.bounding_box()
        assert box is None or box["x"] + box["width"] <= A4
    hidden = "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).length"
    assert page.locator(".scroll").evaluate_all(hidden) == 0
    white = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(white) == "rgb(255, 255, 255)"
    papers = "all => [...new Set(all.map(gd => gd.layout.plot_bgcolor))]"
    plots = page.locator(".js-plotly-plot")
    assert plots.evaluate_all(papers) == ["#ffffff"]
    page.emulate_media(media="screen", color_scheme="dark")
    page.wait_for_function("() => document.documentElement.dataset.print === undefined")
    assert plots.evaluate_all(papers) != ["#ffffff"]


def test_it_prints_in_the_papers_width_with_all_rules_open(shared):
    script = """() => {
        window.seen = [];
        const look = () => window.seen.push([
            Math.max(...[...document.querySelectorAll('.plot')].map(gd => gd.layout.width)),
            document.querySelectorAll('.rule:not([open])').length]);
        addEventListener('beforeprint', look, {once: true});
        addEventListener('afterprint', look, {once: true});
    }"""
    shared.page.evaluate(script)
    pdf = shared.page.pdf(format="A4")
    assert 4 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 14
    shared.page.wait_for_function("() => window.seen.length === 2")
    (printed, closed), (shown, closed_again) = shared.page.evaluate("window.seen")
    assert printed <= A4 < shown and (closed, closed_again) == (0, 1)


def test_a_finger_scrolls_the_page_over_a_chart_and_taps_for_values(browser, file):
    touching = {"has_touch": True, "is_mobile": True}
    with opening(browser, file, width=390, **touching) as opened:
        area, page = opened.area("gpu"), opened.page
        session, before = page.context.new_cdp_session(page), page.evaluate("scrollY")
        x, y = area["x"] + 100, area["y"] + 100
        touch = lambda kind, *points: session.send(  # noqa: E731
            "Input.dispatchTouchEvent", {"type": kind, "touchPoints": list(points)}
        )
        touch("touchStart", {"x": x, "y": y})
        for step in range(1, 11):
            touch("touchMove", {"x": x, "y": y - 20 * step})
        touch("touchEnd")
        page.wait_for_function("was => scrollY > was + 80", arg=before)
        area = opened.area("memory")
        page.touchscreen.tap(area["x"] + 150, area["y"] + 50)
        page.wait_for_function(
            "() => document.querySelector('#plot-memory .hoverlayer').textContent.includes('UTC')"
        )
