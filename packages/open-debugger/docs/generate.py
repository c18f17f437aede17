"""Write the tables of rules in ``debugger-rules.md`` and ``profiler.md`` anew, from the rules.

    python docs/generate.py

Each block stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; the rest of a page is
left as it is. CI runs this and then ``git diff --exit-code``.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from open_debugger import RULES
from open_debugger.profiler.catalogue import PROFILER_RULES, REPORT
from open_debugger.profiler.catalogue import defaults as profiler_defaults
from open_debugger.tensors import catalogue

DOCS = Path(__file__).parent
BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def tensor_rules() -> str:
    """Each tensor rule with its purpose, its parameters and their defaults."""
    rows = []
    for name, rule in RULES.items():
        ours = catalogue.OURS.get(name, set())
        known = "<br>".join(
            f"{key} {_shown(value)}" + (" (ours)" if key in ours else "")
            for key, value in catalogue.defaults(name).items()
        )
        rows.append([f"[{name}](#{name.lower()})", _paragraphs(rule)[0], known])
    return _table(["rule", "it finds", "parameters and defaults"], rows)


def tensor_rule_conditions() -> str:
    """The docstring of each tensor rule, as a section."""
    return "".join(f"\n### {name}\n\n{inspect.getdoc(rule)}\n" for name, rule in RULES.items())


def profiler_rules() -> str:
    """Each profiler rule with its condition, its parameters and their defaults."""
    rows = []
    for name, rule in PROFILER_RULES.items():
        known = profiler_defaults(name).items()
        parameters = "<br>".join(f"{key} {_shown(value)}" for key, value in known)
        rows.append([name, parameters, _paragraphs(rule)[0]])
    runs_all = "Runs all of the above and writes the report. It finds an issue if one of them does."
    rows.append([REPORT, "`<Rule>_<parameter>` of any of them", runs_all])
    return _table(["rule", "parameters and defaults", "condition, or what it sums up"], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" | ".join(cells) for cells in (head, ["---"] * len(head), *rows)]
    return "".join(f"| {line} |\n" for line in lines)


def _paragraphs(rule: type) -> list[str]:
    """The paragraphs of a docstring, each on one line, fit for a cell."""
    text = (inspect.getdoc(rule) or "").replace("|", "\\|")
    return [" ".join(each.split()) for each in text.split("\n\n")]


def _shown(value: object) -> str:
    if value is None:
        return "none"
    text = ", ".join(value) if isinstance(value, (list, tuple)) else str(value)
    return "`{}`".format(text.replace("|", "\\|"))


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "debugger-rules.md": {
        "tensor-rules": tensor_rules,
        "tensor-rule-conditions": tensor_rule_conditions,
    },
    "profiler.md": {"profiler-rules": profiler_rules},
}


def rewritten(text: str, blocks: dict[str, Callable[[], str]]) -> str:
    """A page with its generated blocks written anew.

    Raises:
        ValueError: the page has other blocks than these.
    """
    found = [name for _, name, _ in BLOCK.findall(text)]
    if sorted(found) != sorted(blocks):
        raise ValueError(f"the page has the generated blocks {found}, expected {list(blocks)}")
    return BLOCK.sub(lambda block: block[1] + blocks[block[2]]() + block[3], text)


def main() -> None:
    """Write the blocks of all pages."""
    for name, blocks in PAGES.items():
        page = DOCS / name
        page.write_text(rewritten(page.read_text(), blocks))


if __name__ == "__main__":
    main()
