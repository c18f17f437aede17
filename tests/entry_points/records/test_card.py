"""`records/card.py`: what the model card says, and that its tables stay tables."""

import re

import numpy as np
import pytest

from records import scores
from records.card import model_card
from records.scores import scored

ABOUT = {
    "architecture": "resnet50",
    "weights": "imagenet (resnet50-11ad3fa6.pth)",
    "image_size": 224,
    "hyperparameters": {"lr": 0.00030000001, "epochs": 4, "hidden_units": None},
    "photos": {"train": 384, "valid": 96, "test": 24},
    "metrics": {"epoch": 4, "valid_loss": 1.25, "valid_accuracy": 0.75},
    "damaged": [],
}


def said(labels, taken, classes=12):
    logits = np.eye(classes, dtype=np.float32)[np.array(taken)]
    return scores.Tested([f"b/{i}.jpg" for i in range(len(labels))], np.array(labels), logits)


def names(classes):
    return [f"{i + 1:03}.Breed_{chr(65 + i)}" for i in range(classes)]


def card(labels=None, taken=None, classes=12, **about):
    labels = list(range(classes)) * 2 if labels is None else labels
    taken = labels if taken is None else taken
    return model_card(scored(said(labels, taken, classes), names(classes)), ABOUT | about)


def section(text, title):
    return re.search(rf"^## {title}\n\n(.+?)(?=\n\n## |\Z)", text, re.M | re.S)[1]


def rows(text):
    """The cells of all tables' rows."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_it_says_what_it_is_and_what_it_was_made_of():
    text = card()
    assert text.startswith("# Model card: resnet50 for 12 breeds\n")
    assert ["train", "384"] in rows(section(text, "Data"))
    assert "No photo was damaged" in section(text, "Data")
    network = section(text, "Network")
    assert "224 x 224" in network and "imagenet (resnet50-11ad3fa6.pth)" in network


def test_all_hyperparameters_are_listed():
    training = rows(section(card(), "Training"))
    for row in (["lr", "0.0003"], ["epochs", "4"], ["hidden_units", "none"]):
        assert row in training
    assert ["valid_loss", "1.25"] in training


def test_damaged_photos_are_named_up_to_five():
    text = section(card(damaged=[f"{i}.jpg" for i in range(7)]), "Data")
    assert "`0.jpg`" in text and "`4.jpg` and 2 more." in text and "5.jpg" not in text
    assert "`a.jpg`." in section(card(damaged=["a.jpg"]), "Data")


def test_results_have_their_intervals():
    labels = list(range(12)) * 2
    text = section(card(labels, [0, *labels[1:-1], 0]), "Results")
    assert ["the likeliest breed is right", "23 of 24", "95.8%", "79.8% to 99.3%"] in rows(text)
    assert any(row[0] == "the right one is among the 5 likeliest" for row in rows(text))
    assert "Guessing finds 8.3%" in text
    assert "no answer" not in text


def test_photos_without_an_answer_are_said():
    given = said([0, 1, 1], [0, 1, 1], 2)
    given.logits[1] = np.nan
    text = model_card(scored(given, names(2)), ABOUT)
    assert "**1 of 3 photos got no answer**" in section(text, "Results")
    assert ["Breed B", "1 of 2", "50.0%", "9.5% to 90.5%"] in rows(section(text, "Breeds"))


def test_of_one_class_there_is_no_top_k():
    results = section(card([0, 0], classes=1), "Results")
    assert "likeliest breed" in results and "among the" not in results


def test_worst_and_best_breeds_of_many():
    labels = [i for i in range(12) for _ in range(4)]
    taken = list(labels)
    taken[0] = taken[1] = 5  # Breed A: 2 of 4
    taken[44] = 5  # Breed L: 3 of 4
    worst, best = section(card(labels, taken), "Breeds").split("The best:")
    assert [row[:2] for row in rows(worst)[2:4]] == [["Breed A", "2 of 4"], ["Breed L", "3 of 4"]]
    assert len(rows(worst)) == len(rows(best)) == 2 + 5
    assert all(row[1] == "4 of 4" for row in rows(best)[2:])


def test_few_breeds_are_all_listed_once():
    text = section(card(classes=10), "Breeds")
    assert "From the worst to the best" in text and len(rows(text)) == 2 + 10


def test_a_breed_without_photos_is_neither_good_nor_bad():
    assert "Breed C" not in section(card([0, 0, 1], classes=3), "Breeds")


def test_most_confused_have_examples_and_the_picture():
    text = section(card([0, 0, 0, 1], [0, 1, 1, 1], 2), "Most confused")
    assert ["Breed A", "Breed B", "2", "67%", "`b/1.jpg`, `b/2.jpg`"] in rows(text)
    assert "(confusion.png)" in text


def test_without_a_confusion_it_says_so():
    assert section(card(), "Most confused") == "No test photo was taken for another breed."


@pytest.mark.parametrize("right,warned", [(0, True), (1, True), (2, True), (12, False)])
def test_it_warns_of_what_guessing_would_reach(right, warned):
    labels = list(range(12))
    text = card(labels, [(i + (i >= right)) % 12 for i in labels])
    assert ("does not show that it is better than guessing" in section(text, "Limits")) == warned


def test_its_limits():
    limits = section(card(), "Limits")
    assert 'cannot say "none of these"' in limits and "one of its 12 breeds" in limits
    assert "A breed has 2 test photos" in limits and "by 50%" in limits


def test_names_do_not_break_its_tables():
    given = ABOUT | {"hyperparameters": {"note": "a|b\nc"}}
    text = model_card(scored(said([0, 1], [0, 1], 2), ["1.x|y", "2.z"]), given)
    assert "| note | a\\|b c |" in text and "| x\\|y |" in text
