"""Pictures come out of executed notebooks, small, or not at all."""

import base64
import io

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from course import pictures
from course.run import NOTEBOOKS
from course.workspace import ROOT


def png(width, height):
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def executed(tmp_path):
    data = {"image/png": base64.b64encode(png(40, 30)).decode()}
    cell = new_code_cell("figures.gallery(folder)")
    cell.outputs = [new_output("display_data", data=data)]
    path = tmp_path / "tiny.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell("1 + 1"), cell]), path)
    return path


def test_the_cells_picture_is_taken(executed):
    assert pictures.shown(executed, "figures.gallery(") == png(40, 30)


def test_a_missing_run_and_a_missing_picture_are_named(executed):
    with pytest.raises(pictures.NoPicture, match="has not been executed: run make course first"):
        pictures.shown(executed.with_name("nowhere.ipynb"), "figures.gallery(")
    with pytest.raises(pictures.NoPicture, match=r"no cell of tiny\.ipynb with figures\.losses"):
        pictures.shown(executed, "figures.losses(")


def test_a_large_picture_becomes_small_and_stays_a_picture():
    large = png(300, 250)
    assert len(large) > pictures.MAX_BYTES
    reduced = pictures.small(large)
    assert len(reduced) <= pictures.MAX_BYTES
    assert Image.open(io.BytesIO(reduced)).size == (300, 250)
    assert pictures.small(png(40, 30)) == png(40, 30)


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_each_picture_belongs_to_a_cell_and_is_committed_small(name):
    notebook, call = pictures.PICTURES[name]
    assert call in (NOTEBOOKS / f"{notebook}.ipynb").read_text()
    assert (ROOT / "img" / f"{name}.png").stat().st_size <= pictures.MAX_BYTES
