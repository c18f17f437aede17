"""`tools/site/pages.py`: home page, menu, and notebooks as a reader wants them."""

import re

from course.workspace import ROOT
from tools.site import conf
from tools.site import pages as site_pages


def test_the_readme_is_the_home_page(pages):
    assert (pages / "index.html").read_text() == (pages / "README.html").read_text()


def test_the_menu_has_the_lessons(pages):
    assert "1 · A lesson" in (pages / "README.html").read_text()


def test_marks_for_nbval_are_not_shown(pages):
    page = (pages / "notebooks" / "01-lesson.html").read_text()
    assert "133" in page and "NBVAL" not in page


def test_every_page_is_in_the_menu():
    """Sphinx warns of one that is not, and `make site` ends at a warning; this is faster."""
    entries = [entry for group in site_pages.MENU.values() for entry in group]
    patterns = [re.sub(r".+<(.+)>", r"\1", entry) for entry in entries]
    listed = {path for pattern in patterns for path in ROOT.glob(f"{pattern}.*")}
    every = {path for pattern in conf.include_patterns for path in ROOT.glob(pattern)}
    assert every - listed == {ROOT / "README.md"}


def test_a_pattern_without_pages_is_left_out():
    text = site_pages.menu({"notebooks/README", "notebooks/01-lesson"})
    assert "notebooks/0*" in text and "solutions" not in text and "Guides" in text
