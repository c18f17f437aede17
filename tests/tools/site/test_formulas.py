"""`tools/site/formulas.py`: formulas need no script."""


def test_a_formula_is_mathml(pages):
    page = (pages / "docs" / "guide.html").read_text()
    assert "<math" in page and "<mn>0.5</mn>" in page
    assert "<script" not in page.partition("<math")[2] and "cdn" not in page
