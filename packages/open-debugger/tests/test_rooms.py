"""The package's rooms stay small enough to find things in; import-linter holds their order."""

import re
from pathlib import Path

import pytest

import open_debugger

ROOT = Path(open_debugger.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
FOLDERS = sorted({file.parent for file in MODULES})
README = Path(__file__).parents[1] / "README.md"
TICKED = re.compile("`(.+?)`")
MOST_MODULES = 16  # of one folder, besides its __init__
MOST_LINES = 350


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: str(each.relative_to(ROOT)))
def test_no_folder_holds_too_many_modules(folder):
    modules = [file.name for file in folder.glob("*.py") if file.name != "__init__.py"]
    assert len(modules) <= MOST_MODULES, f"a room of its own for some of {sorted(modules)}"


def test_no_module_is_too_long():
    lines = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in MODULES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_the_readme_lists_every_module_in_its_room():
    table = re.findall(
        r"^\| (?:`(.*?)/`|\(top\)) \|.*\| (.*) \|$", README.read_text(), re.MULTILINE
    )
    listed = {
        f"{room}/{name}".strip("/") for room, names in table for name in TICKED.findall(names)
    }
    modules = {str(file.relative_to(ROOT).with_suffix("")) for file in MODULES}
    assert listed == {name for name in modules if not name.endswith("__init__")}
