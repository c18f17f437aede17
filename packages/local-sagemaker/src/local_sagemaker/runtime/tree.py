"""A job's folder seen from outside: links lead where the job saw them lead, and never out of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from local_sagemaker.runtime.container import ML

LINKS = 40  # as many as the kernel follows before it calls them a loop


class Tree:
    """The folder `root` of one job; `ml`, a folder in it, is what the job knows as ``/opt/ml``."""

    def __init__(self, root: Path, ml: Path) -> None:
        self.root, self.ml = root.resolve(), ml.resolve()

    def place(self, path: str) -> Path:
        """Where a path below ``/opt/ml`` lies; it need not be there yet."""
        return self.ml / path.removeprefix(ML).strip("/")

    def real(self, path: Path) -> Path | None:
        """Where `path` leads; None if that is nothing, or lies outside the job's folder."""
        parts, place, links = deque(path.relative_to(self.root).parts), self.root, 0
        while parts:
            part = parts.popleft()
            if part == "..":
                if place in (self.root, self.ml):
                    return None
                place = place.parent
            elif (place / part).is_symlink():
                target, links = self._target(place / part), links + 1
                if target is None or links > LINKS:
                    return None
                place = self.root if target.is_absolute() else place
                relative = target.relative_to(self.root) if target.is_absolute() else target
                parts.extendleft(reversed(relative.parts))
            else:
                place = place / part
        return place if place.exists() else None

    def _target(self, link: Path) -> Path | None:
        """What a link names, as a path on this machine; None if that lies outside."""
        target = link.readlink()
        if target.is_relative_to(ML):
            target = self.ml / target.relative_to(ML)
        inside = not target.is_absolute() or target.is_relative_to(self.root)
        return target if inside else None

    def entries(self, folder: Path) -> Iterator[tuple[str, Path | None]]:
        """Names below `folder`, folders before what is in them, and the place of each.

        The place is None for what cannot be kept: a link that leads outside or nowhere, and what
        is neither file nor folder.
        """
        place = self.real(folder)
        if place and place.is_dir():
            yield from self._below(place, "", frozenset())

    def _below(self, folder: Path, prefix: str, above: frozenset) -> Iterator:
        above |= {folder}
        for entry in sorted(folder.iterdir()):
            place = self.real(entry) if entry.is_symlink() else entry
            usable = place and (place.is_file() or (place.is_dir() and place not in above))
            yield prefix + entry.name, place if usable else None
            if usable and place.is_dir():
                yield from self._below(place, f"{prefix}{entry.name}/", above)

    def files(self, folder: Path) -> Iterator[tuple[str, Path]]:
        """Names below `folder` of the files that can be kept, and the place of each."""
        for name, place in self.entries(folder):
            if place and place.is_file():
                yield name, place
