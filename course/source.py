"""Show parts of a script in its own lines: read from the file, so that they are never out of date.

show("../entry_points/train.py", "train_one_epoch", mark=["backward()"])
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

STYLE = "overflow-x:auto;font-size:0.85em;line-height:1.35;border-left:3px solid #DDDDDD"
MARKED = "#FFF3C4"


@dataclass(frozen=True)
class Part:
    """Lines of a file, the first of which has the number `first`; `marked` are line numbers."""

    first: int
    lines: tuple[str, ...]
    marked: frozenset[int]

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + len(self.lines) - 1


@dataclass(frozen=True)
class Source:
    """Parts of a file; a notebook shows them highlighted, with the file's line numbers."""

    title: str
    language: str
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        blocks = [
            "\n".join(
                f"{'>' if number in part.marked else ' '}{number:>4}  {line}".rstrip()
                for number, line in enumerate(part.lines, start=part.first)
            )
            for part in self.parts
        ]
        return "\n".join([self.title, "\n   ⋮\n".join(blocks)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        blocks = "<div style='color:#8A8A8A;padding-left:3em'>⋮</div>".join(
            _html(part, self.language) for part in self.parts
        )
        return f"<div><code>{escape(self.title)}</code></div><div style='{STYLE}'>{blocks}</div>"


def show(
    path: str | Path,
    *names: str,
    mark: Sequence[str] = (),
    between: tuple[str, str] | None = None,
    around: int | None = None,
) -> Source:
    """Parts of a Python script, highlighted.

    Args:
        path: the file, relative to the notebook's folder.
        names: functions, classes (``Hook``), methods (``Hook.register``) or constants of the file,
            shown in this order; without names, the whole file is shown.
        mark: each line with one of these texts is marked.
        between: show each part only from its first line with the one text to the next line with
            the other.
        around: show of each part only its first line and the marked lines, with so many lines
            before and after each.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file has no such name, or no line has a text of `mark` or `between`.
    """
    path = Path(path)
    lines = path.read_text().splitlines()
    places = _places(path, "\n".join(lines))
    unknown = [name for name in names if name not in places]
    if unknown:
        raise ValueError(f"{path} has no {', '.join(unknown)}: it has {', '.join(places)}")
    spans = [places[name] for name in names] or [(1, len(lines))]
    if between:
        spans = [_narrowed(path, lines, span, *between) for span in spans]
    shown = spans
    if around is not None:
        shown = [piece for span in spans for piece in _around(lines, span, mark, around)]
    parts = tuple(_part(lines, first, last, mark) for first, last in shown)
    missing = [text for text in mark if not any(text in x for p in parts for x in p.lines)]
    if missing:
        raise ValueError(f"no line that is shown of {path} has the text {missing[0]!r}")
    return Source(_title(path, spans if names else ()), "python", parts)


def _places(path: Path, text: str) -> dict[str, tuple[int, int]]:
    """The first and the last line of each function, class, method and constant, by name."""
    found: dict[str, tuple[int, int]] = {}
    definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    for node in ast.parse(text, str(path)).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    found[target.id] = (node.lineno, node.end_lineno or node.lineno)
        if isinstance(node, definition):
            found[node.name] = _span(node)
            for inner in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(inner, definition):
                    found[f"{node.name}.{inner.name}"] = _span(inner)
    return found


def _span(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> tuple[int, int]:
    """Decorators included."""
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return first, node.end_lineno or node.lineno


def _narrowed(
    path: Path, lines: Sequence[str], span: tuple[int, int], begin: str, end: str
) -> tuple[int, int]:
    """The lines of a span from the first one with a text to the next one with another."""
    first = next((n for n in range(span[0], span[1] + 1) if begin in lines[n - 1]), None)
    if first is None:
        raise ValueError(f"no line {span[0]} to {span[1]} of {path} has the text {begin!r}")
    last = next((n for n in range(first, span[1] + 1) if end in lines[n - 1]), None)
    if last is None:
        raise ValueError(f"no line {first} to {span[1]} of {path} has the text {end!r}")
    return first, last


def _part(lines: Sequence[str], first: int, last: int, mark: Sequence[str]) -> Part:
    shown = tuple(lines[first - 1 : last])
    numbered = enumerate(shown, start=first)
    marked = frozenset(n for n, line in numbered if any(text in line for text in mark))
    return Part(first, shown, marked)


def _around(
    lines: Sequence[str], span: tuple[int, int], mark: Sequence[str], around: int
) -> list[tuple[int, int]]:
    """The pieces of a span that hold its first line, and the marked ones with their neighbours."""
    first, last = span
    marked = _part(lines, first, last, mark).marked
    wanted = {first} | {n for m in marked for n in range(m - around, m + around + 1)}
    pieces: list[tuple[int, int]] = []
    for number in sorted(n for n in wanted if first <= n <= last):
        if pieces and number == pieces[-1][1] + 1:
            pieces[-1] = (pieces[-1][0], number)
        else:
            pieces.append((number, number))
    return pieces


def _title(path: Path, spans: Sequence[tuple[int, int]]) -> str:
    """The file below the repository's folder as a reader knows it, and the lines."""
    name = "/".join(part for part in path.parts if part not in {"..", "."})
    if path.is_absolute():
        name = path.name
    if not spans:
        return name
    return f"{name}, lines {', '.join(f'{first} to {last}' for first, last in spans)}"


def _html(part: Part, language: str) -> str:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import get_lexer_by_name
    from pygments.styles.default import DefaultStyle

    class Style(DefaultStyle):
        highlight_color = MARKED
        line_number_color = "#8A8A8A"

    formatter = HtmlFormatter(
        noclasses=True,
        nobackground=True,
        linenos="inline",
        linenostart=part.first,
        hl_lines=[number - part.first + 1 for number in part.marked],
        style=Style,
        prestyles="margin:0;padding:4px 8px",
    )
    return highlight("\n".join(part.lines), get_lexer_by_name(language, stripnl=False), formatter)
