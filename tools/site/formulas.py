"""Formulas as MathML, which browsers draw without a script; for Sphinx, an extension."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator


# As on GitHub: "$0.05 an hour, $3.40 a month" is no formula. Code comes first, to be left alone.
CODE_OR_FORMULA = re.compile(
    r"(?P<code>```.*?```|`[^`\n]+`)|\$\$(?P<block>.+?)\$\$"
    r"|(?<![\\$\w])\$(?P<inline>(?=\S)[^$\n]+(?<=\S))\$(?![\d$])",
    re.DOTALL,
)


def in_markdown(text: str) -> str:
    """Markdown with its formulas written as MathML."""

    def written(found: re.Match[str]) -> str:
        if found["code"]:
            return found["code"]
        formula = tex2mathml(found["block"] or found["inline"], as_block=bool(found["block"]))
        return " ".join(formula.split())  # an empty line would end the paragraph

    return CODE_OR_FORMULA.sub(written, text)


def inline(writer: HTML5Translator, node: nodes.math) -> NoReturn:
    """Write a formula in a line of text."""
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def block(writer: HTML5Translator, node: nodes.math_block) -> NoReturn:
    """Write a formula on lines of its own."""
    formula = tex2mathml(node.astext(), as_block=True)
    writer.body.append(writer.starttag(node, "div", CLASS="formula") + formula + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
