"""`benchmarks/recipe.py`: its command lines, and what it prints."""

import pytest

import options
from benchmarks import recipe
from benchmarks.finetune import RECIPE
from benchmarks.real import Trained

FOLDERS = ["--train-dir", "a", "--valid-dir", "b", "--model-dir", "m"]


def parsed(given):
    words = [word for option, value in given.items() for word in (f"--{option}", str(value))]
    return vars(options.parse([*FOLDERS, *words]))


@pytest.mark.parametrize("name", recipe.CHANGES)
def test_each_change_changes_what_it_names_and_nothing_else(name):
    before, after = parsed(RECIPE), parsed({**RECIPE, **recipe.CHANGES[name]})
    changed = {option: after[option] for option in before if before[option] != after[option]}
    named = dict(part.split() for part in name.split(", "))
    assert changed.keys() == {option.replace("-", "_") for option in named}
    for option, value in named.items():
        assert str(changed[option.replace("-", "_")]) in (value, f"{value}.0")


def test_a_line_has_the_seeds_and_what_the_recipe_is_better_by():
    answers = [(f"{n}.jpg", "a", "a" if n < 8 else "b") for n in range(10)]
    worse, better = (
        [Trained([], 1, answers)],
        [Trained([], 1, [(f, "a", "a") for f, *_ in answers])],
    )
    text = recipe.line("warmup 0", worse, better)
    assert text.split()[:3] == ["warmup", "0", "80.0%"]
    assert "recipe: +20.0 points" in text
    assert recipe.line("recipe", better, better).split() == ["recipe", "100.0%"]


def test_the_content_has_what_each_change_is_worse_by():
    def runs(right, seeds=2):
        said = ["a"] * right + ["b"] * (10 - right)
        return [Trained([], 1, [(f"{n}.jpg", "a", s) for n, s in enumerate(said)])] * seeds

    found = {"recipe": runs(9), "dropout 0.2": runs(4), "keep best": runs(10)}
    content = recipe.content(found, epochs=2)
    assert [row["change"] for row in content["rows"]] == list(found)
    assert [row["worth"] for row in content["rows"]] == pytest.approx([0, 0.5, -0.1])
    assert content["rows"][1]["seeds"] == [0.4, 0.4]
    assert (content["tested"], content["epochs"]) == (10, 2)


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        recipe.main(["warm-up"])
    assert "no change is called warm-up" in capsys.readouterr().err
