"""The report in a real browser: a Chromium that is installed here, driven by playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
READY = "html[data-ready]"


@dataclass
class Opened:
    """An opened page, its errors and the addresses that it asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def data(self, id: str) -> dict:
        """The traces of a plot by their series and role, as lists."""
        script = """id => document.getElementById(`plot-${id}`).data.map(t => ({
            name: t.meta.series, role: t.meta.role, color: (t.line || t.marker || {}).color,
            x: [...t.x], y: [...t.y], customdata: t.customdata, visible: t.visible, mode: t.mode,
            connectgaps: t.connectgaps, z: t.z}))"""
        traces = self.page.evaluate(script, id)
        return {(t["name"], t["role"]): t for t in traces}

    def resize(self, width: int) -> None:
        """Change the window's width, and wait for the charts."""
        self.page.set_viewport_size({"width": width, "height": 900})
        self.page.wait_for_function(
            "() => [...document.querySelectorAll('.plot')].every(e => "
            "Math.abs(e.clientWidth - e.querySelector('.main-svg').clientWidth) < 2)"
        )

    def ranges(self) -> dict:
        """The time axes' ranges of all plots on the shared axis."""
        script = """() => Object.fromEntries([...document.querySelectorAll('#timelines .plot')]
            .map(gd => [gd.id, gd._fullLayout.xaxis.range]))"""
        return self.page.evaluate(script)

    def area(self, id: str) -> dict:
        """Where a plot's inner area is on the screen."""
        there = "{block: 'center', behavior: 'instant'}"
        self.page.evaluate(f"document.getElementById('plot-{id}').scrollIntoView({there})")
        return self.page.locator(f"#plot-{id} .nsewdrag").bounding_box()

    def csv(self, name: str) -> pd.DataFrame:
        """The table that a button of the page offers as a file."""
        with self.page.expect_download() as waiting:
            self.page.locator(f"[data-csv={name}]").click()
        assert waiting.value.suggested_filename == f"{name}.csv"
        return pd.read_csv(waiting.value.path())


def executable() -> str:
    """The path of this machine's Chromium.

    Raises:
        LookupError: none is installed.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise LookupError(f"none of {', '.join(NAMES)} is installed: the report is tested in one")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A running Chromium, without its sandbox, which a root user cannot have."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable(), args=["--no-sandbox"])
        yield running
        running.close()


@contextmanager
def opening(
    browser: Browser, file: Path, width: int = 1280, ready: bool = True, **options
) -> Iterator[Opened]:
    """Open a local page; check that it reports no error and loads nothing else.

    Args:
        ready: whether to wait until the report's script has drawn everything.
        options: further ones of playwright's `Browser.new_context`.
    """
    context = browser.new_context(viewport={"width": width, "height": 900}, **options)
    opened = Opened(context.new_page())
    said = lambda m: opened.errors.append(m.text) if m.type in ("error", "warning") else None  # noqa: E731
    opened.page.on("console", said)
    opened.page.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.page.on("dialog", lambda dialog: (opened.errors.append("dialog"), dialog.dismiss()))
    opened.page.on("request", lambda request: opened.requests.append(request.url))
    opened.page.goto(file.as_uri())
    if ready:
        opened.page.wait_for_selector(READY, timeout=60_000)
    try:
        yield opened
    finally:
        context.close()
    outside = [url for url in opened.requests if not url.startswith(("data:", "blob:"))]
    assert outside == [file.as_uri()], "the report asked for something else than itself"
    assert opened.errors == []
