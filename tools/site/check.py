"""The end of `make site`: no link is broken, nothing is loaded from elsewhere, each table is one.

python -m tools.site.check FOLDER
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {  # elements that load something as soon as the page is there, and where they say what
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "input": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
OWN_PAGES = "notebooks/reports"  # complete pages that the site only carries
RAW_TABLE = re.compile(r"<p>\|.*\n?\| ?---")  # Markdown that was left as it is
IMPORTED = re.compile(r"""@import\s+(?:url\()?["']?([^"')\s;]+)|url\(\s*["']?([^"')]+)""")


class Page(HTMLParser):
    """What a page links to, what it loads, and the places in it that a link can lead to.

    `raw_table` is True if it has a table's Markdown as text.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loads: set[str] = set()
        self.places: set[str] = set()
        self.raw_table = bool(RAW_TABLE.search(text))
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.places |= {values[name] for name in ("id", "name") if values.get(name)}
        if tag == "a" and "href" in values:
            self.links.add(values["href"])
        if tag in LOADED and values.get(LOADED[tag]):
            self.loads.add(values[LOADED[tag]])


@cache
def read(file: Path) -> Page:
    """A page of the site, read once."""
    return Page(file.read_text())


def problems(site: Path) -> Iterator[str]:
    """Each broken link, raw table and thing that is loaded from elsewhere, with its page.

    Links to other sites are left alone: whether these answer is not ours to say.
    """
    for file in sorted(site.rglob("*.html")):
        name = file.relative_to(site).as_posix()
        page = read(file)
        if page.raw_table:
            yield f"{name} shows a table's Markdown as text"
        for target in sorted(page.loads):
            if _elsewhere(target):
                yield f"{name} loads {target}"
        if not name.startswith(OWN_PAGES):
            for target in sorted(page.links | page.loads):
                if not _elsewhere(target) and not _there(site, file, target):
                    yield f"{name} links to {target}, which is not there"
    for file in sorted(site.rglob("*.css")):
        for pair in IMPORTED.findall(file.read_text()):
            target = pair[0] or pair[1]
            if _elsewhere(target) or not _there(site, file, target):
                yield f"{file.relative_to(site)} loads {target}"


def _elsewhere(target: str) -> bool:
    address = urlsplit(target)
    return address.scheme in {"http", "https"} or (not address.scheme and bool(address.netloc))


def _there(site: Path, file: Path, target: str) -> bool:
    address = urlsplit(target)
    if address.scheme:
        return address.scheme in {"data", "mailto", "javascript"}
    path = (file.parent / unquote(address.path)).resolve() if address.path else file
    if not path.is_relative_to(site.resolve()) or not path.is_file():
        return False
    return path.suffix != ".html" or not address.fragment or _has(path, unquote(address.fragment))


def _has(page: Path, place: str) -> bool:
    return place in read(page).places or place == "top"


def main(arguments: list[str]) -> int:
    """Print the problems; the exit code is 1 if there is one."""
    site = Path(arguments[0]).resolve()
    found = list(problems(site))
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    pages = sum(1 for _ in site.rglob("*.html"))
    print(f"{pages} pages in {arguments[0]}: {len(found) or 'no'} problems; open index.html")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
