"""`tools/site/check.py`: each kind of problem is found."""

import pytest

from tools.site import check

GOOD = {
    "index.html": '<a href="a.html#here">a</a> <a href="#top">up</a> <img src="_static/x.png">'
    '<a href="https://pytorch.org/">PyTorch</a> <link rel="stylesheet" href="_static/a.css">',
    "a.html": '<h2 id="here">Here</h2> <a href="index.html">home</a> <a href="mailto:x@y.z">x</a>',
    "notebooks/reports/report.html": '<a href="nowhere.html">as the report has it</a>',
    "_static/x.png": "",
    "_static/a.css": "p { background: url(x.png) } q { background: url(data:image/png;base64,) }",
}
BAD = {
    '<a href="b.html">b</a>': "index.html links to b.html, which is not there",
    '<a href="a.html#there">a</a>': "index.html links to a.html#there, which is not there",
    '<a href="#there">a</a>': "index.html links to #there, which is not there",
    '<a href="../outside.html">a</a>': "index.html links to ../outside.html, which is not there",
    '<img src="dog.png">': "index.html links to dog.png, which is not there",
    '<script src="https://cdn.example/x.js"></script>': "index.html loads https://cdn.example/x.js",
    '<link href="//fonts.example/a.css">': "index.html loads //fonts.example/a.css",
    "<p>| a | b |\n| --- | --- |</p>": "index.html shows a table's Markdown as text",
}


@pytest.fixture
def site(tmp_path):
    for name, text in GOOD.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_good_site_has_no_problem(site, capsys):
    assert check.main([str(site)]) == 0
    assert capsys.readouterr().out == f"3 pages in {site}: no problems; open index.html\n"


@pytest.mark.parametrize(("element", "problem"), BAD.items(), ids=BAD.values())
def test_a_problem_of_a_page_is_found(site, capsys, element, problem):
    (site / "index.html").write_text(element)
    assert check.main([str(site)]) == 1
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    "rule", ['@import "https://fonts.example/a.css";', "p { background: url(https://e.org/x.png) }"]
)
def test_a_problem_of_a_style_sheet_is_found(site, rule):
    (site / "_static" / "a.css").write_text(rule)
    assert [p.split(" loads ")[0] for p in check.problems(site)] == ["_static/a.css"]


def test_what_a_carried_page_loads_is_looked_at(site):
    page = site / "notebooks" / "reports" / "report.html"
    page.write_text('<script src="https://cdn.example/plotly.js"></script>')
    assert len(list(check.problems(site))) == 1
