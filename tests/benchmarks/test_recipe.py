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
def test_each_change_changes_the_one_option_that_it_names(name):
    before, after = parsed(RECIPE), parsed({**RECIPE, **recipe.CHANGES[name]})
    changed = [option for option in before if before[option] != after[option]]
    assert changed == [name.split()[0].replace("-", "_")]
    assert str(after[changed[0]]) in (name.split()[1], f"{name.split()[1]}.0")


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


def test_an_unknown_name_is_refused(capsys):
    with pytest.raises(SystemExit):
        recipe.main(["warm-up"])
    assert "no change is called warm-up" in capsys.readouterr().err
