"""The write-up of a project: tables and text, collected in a notebook and saved as Markdown."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from IPython.display import Markdown


class WriteUp:
    """A Markdown document that grows section by section, each with a heading of its own."""

    def __init__(self, title: str) -> None:
        self.parts = [f"# {title}"]

    def add(self, heading: str, *contents: pd.DataFrame | Mapping[str, Any] | str) -> None:
        """Add a section.

        Args:
            heading: the section's title.
            contents: text in Markdown as it is; a mapping as a table of two columns; a DataFrame as
                a table, with its index if that has a name.

        Raises:
            ValueError: there is nothing to add, or a table has no row.
        """
        if not contents:
            raise ValueError(f"the section {heading!r} is empty: give it a table or a text")
        self.parts += [f"## {heading}", *(_markdown(content, heading) for content in contents)]

    @property
    def text(self) -> str:
        """The document so far."""
        return "\n\n".join(self.parts) + "\n"

    def save(self, file: str | os.PathLike) -> Markdown:
        """Write the document and return it, so that a notebook shows it rendered."""
        target = Path(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(self.text, encoding="utf-8")
        return Markdown(self.text)


def _markdown(content: pd.DataFrame | Mapping[str, Any] | str, heading: str) -> str:
    if isinstance(content, str):
        return content.strip()
    if isinstance(content, Mapping):
        content = pd.DataFrame(list(content.items()), columns=["", "value"])
    if not len(content):
        raise ValueError(f"the table of section {heading!r} has no row")
    if content.index.name is not None:
        content = content.reset_index()
    rows = content.astype(object).itertuples(index=False)
    lines = [content.columns, ["---"] * len(content.columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    """A value as the cell of a table: on one line, and without a bar that would end the cell."""
    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return "-"
    shown = f"{value:.4g}" if isinstance(value, float) else str(value)
    return " ".join(shown.split()).replace("|", "\\|")
