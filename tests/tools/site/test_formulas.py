"""`tools/site/formulas.py`: formulas need no script."""

import re


def test_a_formula_is_mathml(pages):
    page = (pages / "docs" / "guide.html").read_text()
    assert "<math" in page and "<mn>0.5</mn>" in page
    assert not re.search(r"src=\"[^\"]*mathjax", page, re.I)
