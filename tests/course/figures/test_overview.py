"""The figure of what runs where: it names what the workspace asks for, and its words fit."""

from course import figures
from course.workspace import ENDPOINT_INSTANCE, TRAINING_INSTANCES


def test_it_names_the_instances_that_the_workspace_asks_for():
    words = "\n".join(text.get_text() for text in figures.workflow().axes[0].texts)
    for wanted in (TRAINING_INSTANCES["gpu"], ENDPOINT_INSTANCE, "train.py", "inference.py"):
        assert wanted in words


def test_words_stay_in_their_boxes():
    figure = figures.workflow()
    boxes = [patch.get_window_extent() for patch in figure.axes[0].patches]
    inside = 0
    for text in figure.axes[0].texts:
        words = text.get_window_extent()
        assert figure.bbox.x0 <= words.x0 and words.x1 <= figure.bbox.x1, text.get_text()
        middle = (words.x0 + words.x1) / 2, (words.y0 + words.y1) / 2
        for box in (box for box in boxes if box.contains(*middle)):
            assert box.x0 <= words.x0 and words.x1 <= box.x1, text.get_text()
            assert box.y0 <= words.y0 and words.y1 <= box.y1, text.get_text()
            inside += 1
    assert inside == 15
