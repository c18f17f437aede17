"""Sphinx extension: links to files and folders of the repository lead to pages of the site.

A text file becomes a page with its lines, a folder a page with a list of its files, an HTML file is
copied as it is. Links to pages and pictures are Sphinx's own business.
"""

from __future__ import annotations

import html
import posixpath
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments.lexers import get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

FOLDER = "code"  # of these pages, in the site
SHOWN = {".py", ".sh", ".toml", ".txt", ".json", ".yml", ".yaml", ".cfg", ".ini", ""}

Page = tuple[str, dict[str, Any], str]


class FileLinks(SphinxTransform):
    """Replaces links to files and folders, and notes what is linked."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        """Called by Sphinx for each document that is read."""
        for link in list(self.document.findall(nodes.Element)):
            if isinstance(link, addnodes.download_reference):
                target = link["reftarget"]
            elif isinstance(link, addnodes.pending_xref) and link.get("reftype") == "myst":
                target = "" if link.get("refdomain") == "doc" else link["reftarget"]
            else:
                continue
            if uri := self.uri(target):
                reference = nodes.reference("", "", *link.children, internal=True, refuri=uri)
                link.replace_self(reference)

    def uri(self, target: str) -> str:
        """Where a link leads on the site; empty if it is not ours to change."""
        here = posixpath.dirname(self.env.docname)
        path = posixpath.normpath(posixpath.join(here, target.partition("#")[0]))
        file = Path(self.env.srcdir) / path
        if not target or target.startswith("#") or path.startswith(".."):
            return ""
        up = "../" * self.env.docname.count("/")
        if file.is_dir() and f"{path}/README" in self.env.found_docs:
            return f"{up}{path}/README.html"
        if file.is_dir() or (file.is_file() and file.suffix in SHOWN):
            linked(self.app).add(path)
            return f"{up}{FOLDER}/{path}.html"
        if file.suffix == ".html" and file.is_file():
            linked(self.app).add(path)
            return f"{up}{path}"
        return ""


def linked(app: Sphinx) -> set[str]:
    """The files and folders that pages link to, relative to the repository."""
    if not hasattr(app, "linked_files"):
        app.linked_files = set()
    return app.linked_files


def tracked(root: Path, folder: str) -> list[str]:
    """The files below a folder that git knows, relative to it."""
    command = ["git", "ls-files", "-z", "--", folder]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return sorted(posixpath.relpath(name, folder) for name in listed.split("\0") if name)


def pages(app: Sphinx) -> Iterator[Page]:
    """The pages of all linked files, of all linked folders, and of the files in these."""
    root = Path(app.srcdir)
    files = {path for path in linked(app) if (root / path).is_file()}
    for folder in sorted(linked(app) - files):
        names = tracked(root, folder)
        shown = [name for name in names if Path(name).suffix in SHOWN]
        files |= {f"{folder}/{name}" for name in shown}
        yield _page(folder, _list(folder, names, set(shown)))
    for file in sorted(files):
        if Path(file).suffix in SHOWN:
            yield _page(file, _lines(app, root / file))
        else:
            target = Path(app.outdir) / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / file, target)


def _page(path: str, body: str) -> Page:
    title = html.escape(path)
    heading = f"<h1><code>{title}</code></h1>\n"
    return f"{FOLDER}/{path}", {"title": title, "body": heading + body}, "page.html"


def _list(folder: str, names: list[str], shown: set[str]) -> str:
    base = posixpath.basename(folder)
    items = [
        f'<li><a href="{html.escape(f"{base}/{name}")}.html">{html.escape(name)}</a></li>'
        if name in shown
        else f"<li>{html.escape(name)}</li>"
        for name in names
    ]
    return "<ul>\n" + "\n".join(items) + "\n</ul>"


def _lines(app: Sphinx, file: Path) -> str:
    text = file.read_text()
    try:
        language = get_lexer_for_filename(file.name, text).aliases[0]
    except ClassNotFound:
        language = "text"
    return app.builder.highlighter.highlight_block(text, language, linenos="inline")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_transform(FileLinks)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
