"""Sphinx extension: the site's menu and home page, and notebooks without marks for nbval."""

from __future__ import annotations

import shutil
from fnmatch import filter as filter_names
from pathlib import Path

from sphinx.application import Sphinx

from tools.lint_lessons import COMPARED

# Caption -> pages, as in a toctree: a title may stand before a page's name, and a star stands for
# all pages that are not named before.
MENU = {
    "Lessons": ["notebooks/README", "notebooks/0*", "notebooks/reports/*"],
    "Solutions": ["notebooks/solutions/*"],
    "Guides": ["docs/glossary", "docs/instructors", "docs/*"],
    "Packages": ["packages/*/README", "packages/*/docs/*"],
    "Project": [
        "CONTRIBUTING",
        "CHANGELOG",
        "Changelog of local-sagemaker <packages/local-sagemaker/CHANGELOG>",
        "Changelog of open-debugger <packages/open-debugger/CHANGELOG>",
    ],
}
TOCTREE = """
```{{toctree}}
:hidden:
:glob:
:caption: {caption}

{pages}
```
"""


def menu(found: set[str]) -> str:
    """The menu as Markdown, one table of contents for each caption.

    Args:
        found: the names of all pages; a pattern that fits none is left out.
    """
    groups = {
        caption: [entry for entry in entries if "*" not in entry or filter_names(found, entry)]
        for caption, entries in MENU.items()
    }
    return "".join(
        TOCTREE.format(caption=caption, pages="\n".join(pages))
        for caption, pages in groups.items()
        if pages
    )


def _read(app: Sphinx, name: str, text: list[str]) -> None:
    if name == app.config.root_doc:
        text[0] += menu(app.env.found_docs)
    # In the notebook's JSON, where a line end is written as two characters.
    text[0] = text[0].replace(COMPARED.replace("\n", r"\n"), "")


def _built(app: Sphinx, error: Exception | None) -> None:
    if error is None:
        home = Path(app.outdir) / f"{app.config.root_doc}.html"
        shutil.copy(home, home.with_name("index.html"))
        home.with_name(".nojekyll").touch()  # GitHub Pages leaves out _static otherwise
        for template in home.parent.glob("_static/*webpack-macros.html"):
            template.unlink()  # of the theme, and no page


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _read)
    app.connect("build-finished", _built)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
