"""A small repository of its own, and the pages that the site's extensions make of it."""

import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course.workspace import ROOT

CONF = """
extensions = ["myst_nb", "tools.site.pages", "tools.site.files", "tools.site.formulas"]
root_doc = "README"
exclude_patterns = ["out", "code", "report"]
nb_execution_mode = "off"
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath"]
html_theme = "basic"
html_math_renderer = "mathml"
html_permalinks = False
"""
README = """
# A course

[the script](code/train.py), [its folder](code), [the report](report/profile.html),
[the guide](docs/guide.md#a-formula), [no file](docs/no-file.py)
"""
GUIDE = """
# A guide

## A formula

$p < 0.5$ and [the script](../code/train.py)
"""


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """Build the small site once; its folder."""
    root = tmp_path_factory.mktemp("site")
    for name, text in {
        "conf.py": CONF,
        "README.md": README,
        "docs/guide.md": GUIDE,
        "code/train.py": "loss = 0.5 < 1\n",
        "code/inner/empty.txt": "",
        "code/dog.png": "",
        "report/profile.html": "<p>as it is</p>",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    printed = [new_output("stream", text="133\n")]
    cells = [
        new_markdown_cell("# 1 · A lesson"),
        new_code_cell("# NBVAL_CHECK_OUTPUT\nprint(133)", outputs=printed, execution_count=1),
    ]
    (root / "notebooks").mkdir()
    nbformat.write(new_notebook(cells=cells), root / "notebooks" / "01-lesson.ipynb")
    subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    build = [sys.executable, "-m", "sphinx", "--quiet", str(root), str(root / "out")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    return root / "out"
