"""The strips: widths that tell the truth, and nothing written over anything else."""

import matplotlib
import pytest
from matplotlib.colors import to_rgb

from course.figures import style
from course.jobs import State
from course.widgets import strips


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(1.94, "1.9 s"), (9.96, "10 s"), (119.4, "119 s"), (125, "2 min 05 s"), (3725, "1 h 02 min")],
)
def test_times_are_said_as_one_would(seconds, said):
    assert strips.spoken_time(seconds) == said


def timeline(*moments, seconds):
    moments = [strips.Moment(at, State(*state)) for at, *state in moments]
    figure = strips.timeline("words", moments, seconds)
    (axis,) = figure.axes
    return figure, axis, [text.get_text() for text in axis.texts]


def test_a_timeline_has_a_block_a_state_as_wide_as_it_lasted():
    moments = (0, "InProgress", 0), (30, "InProgress", 2), (40, "Completed", 6)
    _, axis, words = timeline(*moments, seconds=40)
    first, second, end = (block.get_width() for block in axis.patches)
    assert first == pytest.approx(3 * second)
    assert first + second + end == pytest.approx(strips.WIDE)
    assert words == ["words", "0 done", "2 done", "Completed", "0 s", "30 s", "40 s"]


def test_nothing_is_written_over_its_neighbour():
    moments = [(i * i, "InProgress", i) for i in range(20)]
    figure, axis, words = timeline(*moments, (400, "Completed", 20), seconds=400)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in axis.texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i]), words[i]
        assert 0 <= box.x0 < box.x1 <= strips.WIDE
    assert "6 min 40 s" in words


def test_a_long_label_stays_inside_the_picture():
    figure = strips.bar("a very long label that names quite a lot of things " * 3, 1, True)
    (axis,) = figure.axes
    assert axis.texts[0].get_window_extent(figure.canvas.get_renderer()).x1 <= strips.WIDE + 1


def test_a_strip_has_the_course_style_whatever_the_notebook_has_set():
    with matplotlib.rc_context({"font.size": 30, "figure.facecolor": "black"}):
        figure, axis, _ = timeline((0, "Creating"), (9, "InService"), seconds=9)
    assert {text.get_fontsize() for text in axis.texts} <= {9, 10, 11}
    assert figure.get_facecolor()[:3] == (1, 1, 1)
    assert not axis.texts[0].get_parse_math()


@pytest.mark.parametrize(("done", "colour"), [(True, "BLUE"), (False, "ORANGE")])
def test_the_bar_is_filled_as_far_as_it_came(done, colour):
    (axis,) = strips.bar("words", 0.25, done).axes
    _, filled = axis.patches
    assert filled.get_width() == strips.WIDE / 4
    assert filled.get_facecolor()[:3] == to_rgb(getattr(style, colour))


@pytest.mark.parametrize(
    ("states", "words", "colour"),
    [
        ([(0, "Creating"), (9, "InService")], "InService", "GREEN"),
        ([(0, "Creating"), (9, "Failed")], "Failed", "ORANGE"),
        ([(0, "Creating")], "not watched", "ORANGE"),
        ([], "no answer", "ORANGE"),
    ],
)
def test_the_last_block_says_how_it_ended(states, words, colour):
    _, axis, written = timeline(*states, seconds=9)
    assert words in written
    assert axis.patches[-1].get_facecolor()[:3] == to_rgb(getattr(style, colour))
