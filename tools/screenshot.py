"""Pictures of HTML pages, taken by the Chromium that `make tools` installs."""

from __future__ import annotations

import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SETTLE_MS = 500  # for charts that are drawn once the page is there


class NoBrowser(LookupError):
    """There is no Chromium here; the text says how to get one."""


def browser() -> str:
    """The path of this machine's Chromium.

    Raises:
        NoBrowser: there is none.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise NoBrowser(f"none of {', '.join(NAMES)} is installed: run make tools first")


def take(page: Path, width: int, height: int) -> bytes:
    """The top of a local page as a PNG of `width` x `height` pixels, in the light theme.

    Raises:
        NoBrowser: there is no Chromium.
        FileNotFoundError: there is no such page.
    """
    from playwright.sync_api import sync_playwright

    if not page.is_file():
        raise FileNotFoundError(f"{page.name} is not there: run make course first")
    path = browser()
    with sync_playwright() as playwright:
        # Without its sandbox, which a root user cannot have: it opens pages of our own only.
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        shown = chromium.new_page(viewport={"width": width, "height": height})
        shown.goto(page.resolve().as_uri(), wait_until="networkidle")
        shown.wait_for_timeout(SETTLE_MS)
        picture = shown.screenshot()
        chromium.close()
    return picture
