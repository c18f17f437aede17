"""`make site`: the whole site, built without a network and opened in a browser."""

import os
import subprocess

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from playwright.sync_api import sync_playwright

from course.workspace import ROOT
from tools.screenshot import browser
from tools.site import check

SITE = ROOT / "build" / "site"
WIDTHS = (1280, 390)  # a desktop, and a phone
FITS = "document.documentElement.scrollWidth <= innerWidth"
SETTLE_MS = 5000
# A proxy that does not answer: whatever asks for something from elsewhere fails.
NOWHERE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:1")


@pytest.fixture(scope="module")
def site():
    done = subprocess.run(
        ["make", "site"],
        cwd=ROOT,
        env=os.environ | NOWHERE,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return SITE


@pytest.mark.slow
def test_the_lessons_solutions_report_and_docs_are_there(site):
    for source in ("notebooks/*.ipynb", "notebooks/solutions/*.ipynb", "docs/*.md"):
        for file in ROOT.glob(source):
            assert (site / file.relative_to(ROOT)).with_suffix(".html").is_file()
    report = "notebooks/reports/profiler-report.html"
    assert (site / report).read_bytes() == (ROOT / report).read_bytes()


@pytest.mark.slow
def test_no_link_is_broken_and_nothing_is_loaded_from_elsewhere(site):
    assert list(check.problems(site)) == []


@pytest.mark.slow
def test_what_a_cell_printed_stays_between_its_tables(site):
    page = (site / "notebooks" / "03-train-debug-profile.html").read_text()
    _, outputs = page.split("no rule noticed the learning rate", 1)
    printed = ("On both runs:\n", "Where each rule fired first:\n")
    first, second = (outputs.index(line) for line in printed)
    assert "<table" in outputs[first:second]


@pytest.mark.slow
def test_the_pages_fit_a_desktop_and_a_phone_and_load_nothing_from_elsewhere(site):
    folders = ("", "notebooks/**/", "docs/", "packages/**/")
    files = [file for folder in folders for file in site.glob(f"{folder}*.html")]
    asked, too_wide = [], []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        page = chromium.new_page()
        page.on("request", lambda request: asked.append(request.url))
        for file in files:
            page.goto(file.as_uri())
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                try:  # the report's charts are drawn anew after a while
                    page.wait_for_function(FITS, timeout=SETTLE_MS)
                except PlaywrightTimeoutError:
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    too_wide.append(f"{file.relative_to(site)}: {wide} pixels on {width}")
        chromium.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert too_wide == []


def test_the_workflow_publishes_what_make_site_builds():
    workflow = (ROOT / ".github" / "workflows" / "site.yml").read_text()
    assert "run: make site" in workflow and "path: build/site\n" in workflow
    assert "pages: write" in workflow and "id-token: write" in workflow
