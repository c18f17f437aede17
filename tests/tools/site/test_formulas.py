"""`tools/site/formulas.py`: formulas need no script."""

import re

import pytest

from tools.site import formulas


def test_a_formula_is_mathml(pages):
    page = (pages / "docs" / "guide.html").read_text()
    assert "<math" in page and "<mn>0.5</mn>" in page
    assert not re.search(r"src=\"[^\"]*mathjax", page, re.I)


@pytest.mark.parametrize(
    "text",
    [
        "`$x$` and ``` $y$ ```",
        "$0.05 an hour, $3.40 a month",
        r"\$1 and \$2",
        "no formula",
        "```\n$x$\n```",
    ],
)
def test_what_is_no_formula_is_left_alone(text):
    assert formulas.in_markdown(text) == text


def test_formulas_in_markdown_become_mathml():
    text = formulas.in_markdown("if $g$ of `$n$` is\n\n$$\\frac{g}{2}\n< 1$$\n\nthen")
    assert re.sub(r"<math.*?</math>", "M", text) == "if M of `$n$` is\n\nM\n\nthen"
    assert "<mi>g</mi>" in text and "<mfrac>" in text
