"""`records/confusion.py`: what the picture of a confusion matrix shows, of few classes and many."""

import numpy as np
import pytest
from PIL import Image

from records import confusion
from records.confusion import EMPTY, INK, QUIET, RIGHT, WRONG, colours, draw, written

LONG = "Nova scotia duck tolling retriever of the north"


def matrix(classes, photos=4):
    """All photos right, but one of each second class, which is taken for the class before."""
    counts = np.diag(np.full(classes, photos))
    for row in range(1, classes, 2):
        counts[row, row], counts[row, row - 1] = photos - 1, 1
    return counts


def names(classes):
    return [f"Breed {i + 1}" for i in range(classes)]


def drawn(classes, confused=(), **other):
    counts = matrix(classes)
    given = {"photos": counts.sum(axis=1), "names": names(classes), "title": "Title"} | other
    return draw(counts, confused=list(confused), **given)


def has(image, colour):
    return (np.asarray(image).reshape(-1, 3) == np.array(colour)).all(axis=1).any()


def share_of(image, colour):
    return (np.asarray(image) == np.array(colour)).all(axis=2).mean()


def origin(image, classes):
    """Where the matrix begins: it is alone in having a colour at its first cell's corner."""
    cell = confusion.cell_size(classes)
    full = (np.asarray(image) == np.array(RIGHT)).all(axis=2)
    full[:70] = False  # the scales
    y, x = np.argwhere(full)[0]
    return x, y, cell


@pytest.mark.parametrize("classes", [2, 12, 20, 60, 61, 133])
def test_each_cell_has_its_share_s_colour(classes):
    counts = matrix(classes)
    image = drawn(classes)
    x, y, cell = origin(image, classes)
    shares = counts / 4
    for row, column in [(0, 0), (1, 1), (1, 0), (0, 1), (classes - 1, 0)]:
        full = RIGHT if row == column else WRONG
        expected = tuple(colours(np.array(shares[row, column]), full).tolist())
        # The corner of a cell: counts stand in its middle.
        assert image.getpixel((int(x + column * cell), int(y + row * cell))) == expected


def test_shares_are_of_all_a_breed_s_photos_not_only_of_the_answered():
    counts = np.array([[2, 0], [0, 4]])
    image = draw(counts, np.array([4, 4]), ["a", "b"], "Title", [])
    x, y, cell = origin(image, 2)  # of the second breed, all of whose photos are right
    expected = tuple(colours(np.array(0.5), RIGHT).tolist())
    assert image.getpixel((int(x - cell), int(y - cell))) == expected


@pytest.mark.filterwarnings("error")
def test_a_breed_without_photos_has_an_empty_row():
    image = draw(np.array([[3, 0], [0, 0]]), np.array([3, 0]), ["a", "b"], "Title", [])
    x, y, cell = origin(image, 2)
    assert image.getpixel((int(x + cell), int(y + cell))) == EMPTY


def test_more_is_darker_and_a_little_is_seen():
    darkness = (255 * 3 - colours(np.linspace(0, 1, 101), WRONG).astype(int).sum(axis=1)).tolist()
    assert darkness == sorted(darkness)
    assert darkness[1] > darkness[0] + 50
    assert tuple(colours(np.array(1.0), WRONG).tolist()) == WRONG
    assert tuple(colours(np.array(0.0), WRONG).tolist()) == EMPTY


@pytest.mark.parametrize("classes", [1, 2, 12, 20, 133, 1000])
def test_the_picture_has_a_size_that_a_page_can_show(classes):
    width, height = drawn(classes).size
    assert 300 <= width <= 2500 and 200 <= height <= 2300


def test_names_stand_beside_the_matrix_and_below_it():
    """With longer names it needs more room on both sides, by as much as the names are longer."""
    short, long = drawn(12), drawn(12, names=[f"{name} is longer" for name in names(12)])
    wider, higher = np.subtract(long.size, short.size)
    assert wider == higher > 50


def test_names_are_written_in_the_order_of_rows_and_columns():
    """A name that is a wide mark: it stands at its row, and turned at its column."""
    image = drawn(12, names=["." if i != 3 else "MMMM" for i in range(12)])
    x, y, cell = origin(image, 12)
    dark = np.asarray(image).sum(axis=2) < 3 * 120
    left, below = dark[y:, x - 60 : x], dark[y + 12 * cell :, x:][:60]
    assert 3 * cell < np.argwhere(left.sum(axis=1) > 8).mean() < 4 * cell
    assert 3 * cell < np.argwhere(below.sum(axis=0) > 8).mean() < 4 * cell


def test_many_classes_have_numbers_and_a_list_of_the_confused():
    pair = {"row": 40, "column": 100, "photos": 1}
    plain, ringed = drawn(133), drawn(133, [pair])
    x, y, cell = origin(ringed, 133)
    changed = np.argwhere((np.asarray(plain) != np.asarray(ringed)).any(axis=2))
    listed = changed[changed[:, 1] > x + 133 * cell]
    ring = changed[changed[:, 1] <= x + 133 * cell]
    middle = (y + 40.5 * cell, x + 100.5 * cell)
    assert len(listed) > 100 and len(ring) > 20
    assert np.abs(ring - middle).max() <= 40
    names_at = ringed.crop((x + 133 * cell + 60, y, ringed.width, y + 40))
    assert has(names_at, INK) and has(names_at, QUIET)  # the breed, and below what it is taken for


def test_a_ring_at_the_edge_has_its_number_inside():
    image = drawn(133, [{"row": 70, "column": 132, "photos": 1}])
    plain = drawn(133)
    x, _, cell = origin(plain, 133)
    changed = np.argwhere((np.asarray(plain) != np.asarray(image)).any(axis=2))
    ring = changed[changed[:, 1] < x + 133 * cell]
    assert ring[:, 1].min() < x + 132.5 * cell - 12  # the number is at its left


def test_few_classes_have_counts_in_their_cells():
    two, many = drawn(2), drawn(40)
    x, y, cell = origin(two, 2)
    assert has(
        two.crop((x, y, x + cell - 1, y + cell - 1)), (255, 255, 255)
    )  # on full blue, in white
    x, y, cell = origin(many, 40)
    inside = many.crop((x, y, x + cell - 1, y + cell - 1))
    assert share_of(inside, RIGHT) == 1


def test_a_name_is_written_in_letters_that_the_font_has():
    assert written("Löwchen", 0) == "Lowchen"
    assert written("柴犬", 4) == "class 5"
    assert written("Pug", 4) == "Pug"


def test_a_long_name_is_cut():
    cut = written(LONG, 0)
    assert cut.endswith("…") and LONG.startswith(cut[:-1]) and len(cut) > 20
    assert confusion._font(14).getlength(cut) <= confusion.NAME_PIXELS


def test_a_long_title_has_room():
    assert drawn(2, title="x" * 200).width > drawn(2).width


def test_it_is_deterministic():
    one, other = drawn(12), drawn(12)
    assert isinstance(one, Image.Image) and one.tobytes() == other.tobytes()
