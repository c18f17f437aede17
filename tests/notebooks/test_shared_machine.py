"""Two people can take the lessons on one machine: no cell writes to a place that both have."""

import ast
import re

import nbformat
import pytest

from tools.run import NOTEBOOKS


@pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("**/*.ipynb")), ids=lambda file: file.stem)
def test_a_model_builder_gets_a_folder_of_its_own(file):
    """The SDK's default lies below /tmp/sagemaker, which belongs to whoever came first."""
    notebook = nbformat.read(file, as_version=4)
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        for node in ast.walk(ast.parse(re.sub("(?m)^%", "#", cell.source))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ModelBuilder":
                assert "model_path" in {keyword.arg for keyword in node.keywords}
