"""Pictures come out of executed notebooks, small, or not at all."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from course.workspace import ROOT
from tools import pictures
from tools.run import NOTEBOOKS


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
    shown = pictures.shown(executed, "figures.gallery(")
    assert base64.b64decode(shown) == png(40, 30)


def test_the_last_of_a_cells_pictures_is_taken(executed):
    notebook = nbformat.read(executed, as_version=4)
    first = base64.b64encode(png(50, 50)).decode()
    notebook.cells[1].outputs.insert(0, new_output("display_data", data={"image/png": first}))
    nbformat.write(notebook, executed)
    assert base64.b64decode(pictures.shown(executed, "figures.gallery(")) == png(40, 30)


def test_a_missing_run_and_a_missing_picture_are_named(executed):
    with pytest.raises(pictures.NoPicture, match="has not been executed: run make course first"):
        pictures.shown(executed.with_name("nowhere.ipynb"), "figures.gallery(")
    with pytest.raises(pictures.NoPicture, match=r"no cell of tiny\.ipynb with figures\.losses\("):
        pictures.shown(executed, "figures.losses(")


def test_a_large_picture_becomes_small_and_stays_a_picture():
    large = png(300, 250)
    assert len(large) > pictures.MAX_BYTES
    reduced = pictures.small(large)
    assert len(reduced) <= pictures.MAX_BYTES
    assert Image.open(io.BytesIO(reduced)).size == (300, 250)
    assert pictures.small(png(40, 30)) == png(40, 30)


TABLE = """<style>td {color: red}</style><table>
<thead><tr><th></th><th>split</th><th>photos</th></tr></thead>
<tbody><tr><th>0</th><td>test</td><td>96</td></tr>
<tr><th>1</th><td>tr &amp; v</td><td></td></tr></tbody>
</table>"""


def test_a_table_becomes_a_picture_with_the_same_rows():
    figure = pictures.drawn(TABLE)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["split", "photos", "test", "96", "tr & v", ""]
    weights = [text.get_weight() for text in figure.axes[0].texts]
    assert weights == ["bold"] * 2 + ["normal"] * 4
    sides = [text.get_ha() for text in figure.axes[0].texts]
    assert sides == ["left", "right"] * 3  # numbers end together, words begin together
    drawn = [text.get_window_extent() for text in figure.axes[0].texts]
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in drawn)
    assert Image.open(io.BytesIO(pictures.png(figure))).format == "PNG"


def test_all_pieces_must_be_in_the_cell(executed):
    assert pictures.shown(executed, "figures.gallery(", "folder")
    with pytest.raises(pictures.NoPicture, match=r"with figures\.gallery\( and scratch shows"):
        pictures.shown(executed, "figures.gallery(", "scratch")


def test_the_first_picture_has_one_photo_with_its_answer_and_the_accuracies():
    answers = Image.new("RGB", (400, 420), "red")
    answers.paste("blue", (0, 0, 400, 140))  # the first photo and its answer
    whole = pictures.front(answers, Image.new("L", (560, 190)))
    assert whole.size == (560, 140 + 190 + pictures.LABEL_HEIGHT)
    colours = [whole.getpixel(at) for at in ((0, 0), (399, 139), (400, 139), (0, 140), (559, 329))]
    blue, white, black = (0, 0, 255), (255, 255, 255), (0, 0, 0)
    assert colours == [blue, blue, white, black, black]
    label = whole.crop((0, 330, *whole.size))
    assert label.convert("L").getextrema()[0] < 100  # something is written there


SHOWN = {**pictures.PICTURES, **pictures.TABLES, **pictures.FRONT}


@pytest.mark.parametrize("name", SHOWN)
def test_each_picture_belongs_to_a_cell(name):
    notebook, *pieces = SHOWN[name]
    cells = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    assert sum(all(piece in source for piece in pieces) for source in sources) == 1


def test_the_readme_shows_all_pictures():
    files = {path.name for path in (ROOT / "img").iterdir()}
    assert set(re.findall(r"\(img/([\w.]+)\)", (ROOT / "README.md").read_text())) == files


def test_all_pictures_are_committed_and_small():
    committed = {path.stem: path.stat().st_size for path in (ROOT / "img").iterdir()}
    assert set(committed) == {*pictures.PICTURES, *pictures.TABLES, "front", "report"}
    assert max(committed.values()) <= pictures.MAX_BYTES
