"""What is each choice of the EfficientNet-Lite0 recipe worth?

    python -m benchmarks.recipe [--seeds 2] [--epochs N] [--results FILE] [name ...]

Trains the recommended recipe on the drawn photos (133 breeds), and then again with one option
changed at a time, everything else equal, the learning rate included. For each it prints the test
accuracy of each seed, and how much better the recipe is, with the 95 % interval over the photos.
An interval that contains 0 means that these runs show no difference. Names choose some of the
options. `docs/training.md` shows what `--results benchmarks/results/recipe.json` writes.
"""

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks.finetune import DRAWN, RECIPE, write
from benchmarks.real import ROOT, Trained, difference, rights, train
from benchmarks.record_gpu import machine
from course.sample_photos import sample

CHANGES: dict[str, dict[str, Any]] = {
    "body-lr 1": {"body-lr": 1},
    "batch-norm train": {"batch-norm": "train"},
    "label-smoothing 0": {"label-smoothing": 0},
    "schedule constant": {"schedule": "constant"},
    "warmup 0": {"warmup": 0},
    "weight-decay 0": {"weight-decay": 0},
    "augmentation none": {"augmentation": "none"},
    "augmentation flip": {"augmentation": "flip"},
    "augmentation colour": {"augmentation": "colour"},
    "warmup 0, clip-norm 1": {"warmup": 0, "clip-norm": 1},
    "clip-norm 1": {"clip-norm": 1},
    "keep best": {"keep": "best"},
    "head-epochs 1": {"head-epochs": 1},
    "dropout 0.2": {"dropout": 0.2},
    "head-layers 2": {"head-layers": 2},
    "train-layers last-stage": {"train-layers": "last-stage"},
    "train-layers head": {"train-layers": "head"},
}


def measure(options: dict[str, Any], seeds: int) -> list[Trained]:
    """Train once per seed, on all cores."""
    return [train({**options, "seed": seed}, os.cpu_count() or 1) for seed in range(seeds)]


def line(name: str, runs: list[Trained], recipe: list[Trained]) -> str:
    """Return the accuracy of each seed, and by how much the recipe is better."""
    shares = "  ".join(f"{share:6.1%}" for share in rights(runs).mean(1))
    if runs is recipe:
        return f"{name:26}{shares}"
    return f"{name:26}{shares}  recipe: {difference(rights(recipe), rights(runs))}"


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="The worth of each choice of the recipe.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CHANGES)}; default: all")
    parser.add_argument("--seeds", type=int, default=2, help="how many")
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"])
    parser.add_argument("--results", type=Path, metavar="FILE", help="write the table here")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.names) - set(CHANGES):
        parser.error(f"no change is called {', '.join(unknown)}: choose from {', '.join(CHANGES)}")
    data = sample.make(ROOT / "build" / "finetune", **DRAWN)
    shared = {**RECIPE, "epochs": arguments.epochs}
    shared |= {f"{channel}-dir": data / channel for channel in ("train", "valid", "test")}
    recipe = measure(shared, arguments.seeds)
    print(line("recipe", recipe, recipe), flush=True)
    found = {"recipe": recipe}
    for name in arguments.names or CHANGES:
        found[name] = measure({**shared, **CHANGES[name]}, arguments.seeds)
        print(line(name, found[name], recipe), flush=True)
    if arguments.results:
        write(arguments.results, content(found, arguments.epochs))


def content(found: dict[str, list[Trained]], epochs: int) -> dict[str, Any]:
    """Return what the documentation shows: the recipe, and what each change loses or gains.

    Args:
        found: the runs of the recipe, under this name, and of each change.
        epochs: of every run.
    """
    recipe = rights(found["recipe"])
    rows = []
    for name, runs in found.items():
        worth = difference(recipe, rights(runs))
        rows.append(
            {
                "change": name,
                "seeds": rights(runs).mean(1).tolist(),
                "worth": worth.mean,
                "low": worth.low,
                "high": worth.high,
            }
        )
    about = machine()
    return {
        "date": about["Date"],
        "cores": about["Cores"],
        "epochs": epochs,
        "tested": recipe.shape[1],
        "rows": rows,
    }


if __name__ == "__main__":
    main()
