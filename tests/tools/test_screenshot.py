"""`tools/screenshot.py`: a page's picture, by a real browser."""

import io

import pytest
from PIL import Image

from tools import screenshot


def test_the_top_of_a_page(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(
        "<body style='margin:0'><div style='height:900px;background:#00f'></div>"
        "<script>setTimeout(() => document.body.firstChild.style.background = '#f00', 50)</script>"
    )
    picture = Image.open(io.BytesIO(screenshot.take(page, 320, 200)))
    assert picture.size == (320, 200)
    assert picture.convert("RGB").getpixel((160, 100)) == (255, 0, 0)


def test_without_a_page_or_a_browser_it_says_what_to_run(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"none\.html is not there: run make course"):
        screenshot.take(tmp_path / "none.html", 10, 10)
    (tmp_path / "page.html").write_text("")
    monkeypatch.setattr(screenshot, "NAMES", ("no-such-browser",))
    with pytest.raises(screenshot.NoBrowser, match="no-such-browser is installed: run make tools"):
        screenshot.take(tmp_path / "page.html", 10, 10)
