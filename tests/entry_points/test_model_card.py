"""`entry_points/model_card.py`: what the model card says."""

import re

import numpy as np
import pytest

from model_card import model_card
from report import Predictions, score

ABOUT = {
    "architecture": "resnet50",
    "weights": "imagenet (resnet50-11ad3fa6.pth)",
    "image_size": 224,
    "precision": "bf16",
    "hyperparameters": {"lr": 0.00030000001, "epochs": 4, "hidden_units": None},
    "photos": {"train": 384, "valid": 96, "test": 24},
    "metrics": {"epoch": 4, "valid_loss": float("nan"), "valid_accuracy": 0.75},
    "damaged": [],
}


def names(classes):
    return [f"{i + 1:03}.Breed_{i + 1}" for i in range(classes)]


def predict(labels, predicted, classes):
    logits = np.eye(classes, dtype=np.float32)[predicted]
    return Predictions([f"b/{i}.jpg" for i in range(len(labels))], np.array(labels), logits)


def card(labels=None, predicted=None, classes=12, **about):
    labels = list(range(classes)) * 2 if labels is None else labels
    predicted = labels if predicted is None else predicted
    return model_card(score(predict(labels, predicted, classes), names(classes)), ABOUT | about)


def section(text, title):
    return re.search(rf"^## {title}\n\n(.+?)(?=\n\n## |\Z)", text, re.M | re.S)[1]


def rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_card_describes_data_and_network():
    text = card()
    assert text.startswith("# Model card: resnet50 for 12 breeds\n")
    assert ["train", "384"] in rows(section(text, "Data"))
    assert "No photo was damaged" in section(text, "Data")
    for words in ("224 x 224", "imagenet (resnet50-11ad3fa6.pth)", "validated in bf16"):
        assert words in section(text, "Network")
    text = section(card(damaged=[f"{i}.jpg" for i in range(7)]), "Data")
    assert "`0.jpg`" in text and "`4.jpg` and 2 more." in text and "5.jpg" not in text


def test_card_lists_hyperparameters_and_the_metrics_of_the_kept_epoch():
    training = section(card(metrics={**ABOUT["metrics"], "epoch": 3}), "Training")
    for row in (["lr", "0.0003"], ["epochs", "4"], ["hidden_units", "none"], ["valid_loss", "nan"]):
        assert row in rows(training)
    assert "Epoch 3, whose weights were kept:" in training


def test_card_gives_results_with_intervals():
    labels = list(range(12)) * 2
    text = section(card(labels, [0, *labels[1:-1], 0]), "Results")
    row = ["the most likely breed is right", "23 of 24", "95.8%", "79.8% to 99.3%"]
    assert row in rows(text) and "the right breed is among the 5 most likely" in text
    assert "Random guessing reaches 8.3%" in text and "macro F1 score is 0.9556." in text
    assert "no answer" not in text
    assert "among the" not in section(card([0, 0], classes=1), "Results")


def test_card_lists_the_worst_and_the_best_of_many_breeds():
    labels = [i for i in range(12) for _ in range(4)]
    predicted = [5, 5, *labels[2:44], 5, *labels[45:]]
    worst, best = section(card(labels, predicted), "Breeds").split("The best:")
    assert [row[:2] for row in rows(worst)[2:4]] == [["Breed 1", "2 of 4"], ["Breed 12", "3 of 4"]]
    assert len(rows(worst)) == len(rows(best)) == 2 + 5
    assert all(row[1] == "4 of 4" for row in rows(best)[2:])


def test_card_lists_few_breeds_once_and_omits_those_without_photos():
    text = section(card([0, 0, 1], classes=3), "Breeds")
    assert "From the worst to the best" in text and len(rows(text)) == 2 + 2


def test_card_lists_confused_pairs_with_examples_and_the_picture():
    text = section(card([0, 0, 0, 1], [0, 1, 1, 1], 2), "Most confused")
    assert ["Breed 1", "Breed 2", "2", "67%", "`b/1.jpg`, `b/2.jpg`"] in rows(text)
    assert "(confusion.png)" in text
    assert section(card(), "Most confused") == "No test photo was taken for another breed."


@pytest.mark.parametrize("right,warned", [(0, True), (2, True), (12, False)])
def test_card_warns_if_the_network_may_be_guessing(right, warned):
    labels = list(range(12))
    limits = section(card(labels, [(i + (i >= right)) % 12 for i in labels]), "Limits")
    assert ("does not show that the network is better than guessing" in limits) == warned
    assert "with one of its 12 breeds" in limits
    assert "test photos per breed is 1:" in limits and "by 100%" in limits


def test_special_characters_do_not_break_the_tables_of_the_card():
    given = ABOUT | {"hyperparameters": {"note": "a|b\nc"}}
    text = model_card(score(predict([0, 1], [0, 1], 2), ["1.x|y", "2.z"]), given)
    assert "| note | a\\|b c |" in text and "| x\\|y |" in text
