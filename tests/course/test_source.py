"""Parts of a script are the file's own lines, with its numbers; a wrong name is told."""

import ast
import re

import pytest

from course import show
from course.workspace import ROOT

SCRIPT = '''"""A script."""

LIMIT = 3


@decorated
def first(
    number,
):
    return number


class Hook:
    """Watches."""

    def register(self):
        if "<b>":
            return 1
'''


@pytest.fixture
def script(tmp_path):
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    return file


def test_a_function_is_shown_with_its_decorator_and_the_numbers_of_the_file(script):
    assert str(show(script, "first")).splitlines() == [
        "script.py, lines 6 to 10",
        "    6  @decorated",
        "    7  def first(",
        "    8      number,",
        "    9  ):",
        "   10      return number",
    ]


def test_parts_stand_in_the_order_asked_for(script):
    said = str(show(script, "Hook.register", "LIMIT"))
    assert said.startswith("script.py, lines 16 to 18, 3 to 3\n   16      def register(self):")
    assert said.endswith("⋮\n    3  LIMIT = 3")


def test_a_part_can_be_shown_between_two_lines(script):
    shown = show(script, "first", between=("def first", "):"))
    assert str(shown).splitlines() == [
        "script.py, lines 7 to 9",
        "    7  def first(",
        "    8      number,",
        "    9  ):",
    ]


@pytest.mark.parametrize(
    ("between", "told"),
    [
        (("LIMIT", "return"), "no line 6 to 10 .* 'LIMIT'"),
        (("):", "def"), "no line 9 to 10 .*'def'"),
    ],
)
def test_lines_that_are_not_in_the_part_are_told(script, between, told):
    with pytest.raises(ValueError, match=told):
        show(script, "first", between=between)


def test_lines_are_marked(script):
    shown = show(script, "first", mark=["return"])
    assert "\n>  10      return number" in str(shown)
    assert shown._repr_html_().count("#FFF3C4") == 1


def test_only_marked_lines_and_their_neighbours_are_shown(script):
    whole = show(script, "first").parts[0]
    wanted = whole.lines[-1].strip()
    shown = show(script, "first", mark=[wanted], around=0)
    assert [part.lines for part in shown.parts] == [whole.lines[:1], whole.lines[-1:]]
    assert shown.title == show(script, "first").title
    [part] = show(script, "first", mark=[wanted], around=len(whole.lines)).parts
    assert part.lines == whole.lines


def test_the_html_has_the_numbers_of_the_file_too(script):
    numbers = re.findall(r">\s*(\d+)</span>", show(script, "first", "LIMIT")._repr_html_())
    assert numbers == ["6", "7", "8", "9", "10", "3", "3"]  # the last one is the constant's value


def test_code_is_no_html(script):
    html = show(script, "Hook")._repr_html_()
    assert "<b>" not in html and "&lt;b&gt;" in html


def test_without_names_the_whole_file_is_shown(script):
    said = str(show(script)).splitlines()
    assert said[0] == "script.py" and len(said) == 1 + len(SCRIPT.splitlines())


def test_a_name_that_the_file_does_not_have_is_told_with_those_it_has(script):
    with pytest.raises(ValueError, match=r"has no second: it has LIMIT, first, Hook, Hook.reg"):
        show(script, "first", "second")


def test_a_mark_on_no_shown_line_is_told(script):
    with pytest.raises(ValueError, match=r"no line that is shown of .* has the text 'LIMIT'"):
        show(script, "first", mark=["LIMIT"])


@pytest.mark.parametrize("file", sorted((ROOT / "entry_points").glob("*.py")), ids=lambda f: f.stem)
def test_every_function_of_the_entry_points_can_be_shown(file):
    tree = ast.parse(file.read_text())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert f"{node.name}" in str(show(file, node.name))
