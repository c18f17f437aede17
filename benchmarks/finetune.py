"""Fine-tuning beside training from random weights, at equal steps: what is pretraining worth?

    python -m benchmarks.finetune [--data FOLDER] [--size 128] [--epochs 3] [--seeds 3]
    python -m benchmarks.finetune --json FILE --results benchmarks/results/finetune.json

Without `--data` the photos are drawn: 133 breeds, each with 16 to train on and 4 each to validate
and test. Each run is `train.py` in a process of its own, on all cores. All runs have the same
photos, size, batch size, epochs and recipe. From random weights, all layers learn at one rate, and
batch normalisation trains, because there is nothing to preserve.

For each network it prints the accuracy on the photos of `test` (with `--both` also on those of
`valid`): the mean of the seeds with a 95 % interval over the photos, and each seed's. Then follow
the seconds that the epochs took, the megabytes of the weights, and the milliseconds that
`inference.py` takes for a photo: the median of 20, one after the other. The seconds are those of
the fastest seed, because other work on the machine can only add to them.

`--json` keeps all that was found. `--results` writes the table of it that notebook 03 shows; with a
`--json` file that is there already, nothing is run anew.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.real import ROOT, Folders, Trained, difference, read, rights, train
from benchmarks.record_gpu import machine
from course.sample_photos import sample
from tools.searches import NAMED

DRAWN = {"classes": 133, "per_class": (16, 4, 4)}
RECIPE = {**NAMED["efficientnet_lite0"].hyperparameters, "lr": 3e-3, "batch-size": 32}
SCRATCH = {"weights": "random", "train-layers": "all", "batch-norm": "train", "body-lr": 1}
NETWORKS = {
    "EfficientNet-Lite0, ImageNet": {"model": "efficientnet_lite0"},
    "EfficientNet-Lite0, random": {"model": "efficientnet_lite0", **SCRATCH},
    "ResNet50, random": {"model": "resnet50", **SCRATCH},
    "VGG16, random": {"model": "vgg16", **SCRATCH, "lr": 1e-4},  # it has no batch normalisation
}
ASKED = 20  # photos that are served one after the other


@dataclass(frozen=True)
class Found:
    """What a network's runs gave, one a seed."""

    runs: list[Trained]
    megabytes: float
    milliseconds: float

    def __str__(self) -> str:
        right = rights(self.runs)
        mean = difference(right, np.zeros_like(right))
        seeds = "  ".join(f"{share:6.1%}" for share in right.mean(1))
        return (
            f"{mean.mean:6.1%} ({mean.low:.1%} to {mean.high:.1%})  {seeds}"
            f"{fastest(self.runs):>8.0f} s{self.megabytes:>8.1f} MB"
            f"{self.milliseconds:>8.1f} ms"
        )


def measure(options: dict[str, Any], seeds: int, photos: list[Path]) -> Found:
    """Train once a seed; take the size and the speed of the first seed's model."""
    runs: list[Trained] = []
    megabytes = milliseconds = 0.0
    for seed in range(seeds):
        with tempfile.TemporaryDirectory(prefix="finetune-") as folder:
            model = Path(folder) / "model"
            runs.append(train({**options, "seed": seed}, os.cpu_count() or 1, model))
            if seed == 0:
                megabytes = (model / "model.safetensors").stat().st_size / 1e6
                milliseconds = serving(model, photos)
    return Found(runs, megabytes, milliseconds)


def serving(model: Path, photos: list[Path]) -> float:
    """Return the milliseconds from a photo's bytes to its answer: the median of ASKED of them."""
    sys.path.insert(0, str(ROOT / "entry_points"))
    import inference

    network, seconds = inference.model_fn(str(model)), []
    for file in [photos[0], *photos[:ASKED]]:  # the first one, twice, warms up
        body, begun = file.read_bytes(), time.perf_counter()
        inference.output_fn(inference.predict_fn(inference.input_fn(body), network))
        seconds.append(time.perf_counter() - begun)
    return 1000 * statistics.median(seconds[1:])


def fastest(runs: list[Trained]) -> float:
    """Return the seconds that the epochs of the fastest run took, validation included."""
    return min(sum(epoch["seconds"] for epoch in run.history) for run in runs)


def table(content: dict[str, Any]) -> dict[str, Any]:
    """Return what notebook 03 shows of a `--json` file's content: one row for each network."""
    rows = []
    for name, each in content["networks"].items():
        runs = [Trained(**run) for run in each["runs"]]
        right = rights(runs)
        mean = difference(right, np.zeros_like(right))
        network, _, weights = name.partition(", ")
        rows.append(
            {
                "network": network,
                "weights": weights,
                "accuracy": mean.mean,
                "low": mean.low,
                "high": mean.high,
                "seeds": right.mean(1).tolist(),
                "seconds": fastest(runs),
                "megabytes": each["megabytes"],
                "milliseconds": each["milliseconds"],
            }
        )
    labels = {label for _, label, _ in runs[0].answers}
    return {
        "command": "python -m benchmarks.finetune",
        "date": content["machine"]["Date"],
        "cores": content["machine"]["Cores"],
        "photos": content.get("photos", f"{len(labels)} drawn breeds"),
        "tested": len(runs[0].answers),
        "size": content["size"],
        "epochs": content["epochs"],
        "seeds": max(len(row["seeds"]) for row in rows),
        "rows": rows,
    }


def main(argv: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Fine-tuning beside random weights.")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="photos; default: drawn ones")
    parser.add_argument("--both", action="store_true", help="score on valid and test together")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--epochs", type=int, default=RECIPE["epochs"])
    parser.add_argument("--seeds", type=int, default=3, help="how many")
    parser.add_argument("--networks", type=int, default=len(NETWORKS), help="only the first ones")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep all that was found here")
    parser.add_argument("--results", type=Path, metavar="FILE", help="write the table here")
    arguments = parser.parse_args(argv)
    if arguments.results and arguments.json and arguments.json.is_file():
        write(arguments.results, table(json.loads(arguments.json.read_text())))
        return
    with tempfile.TemporaryDirectory(prefix="finetune-") as scratch:
        data = arguments.data or sample.make(ROOT / "build" / "finetune", **DRAWN)
        data = data.expanduser().resolve()
        channels = read(data)
        valid, test = data / "valid", data / "test"
        if arguments.both:  # nothing is chosen by the photos that are scored
            folders = Folders.made(data, Path(scratch))
            valid, test = folders.held, folders.scored
        folders = {"train-dir": data / "train", "valid-dir": valid, "test-dir": test}
        shared = {**RECIPE, "image-size": arguments.size, "epochs": arguments.epochs, **folders}
        found = {}
        for name, options in list(NETWORKS.items())[: arguments.networks]:
            files = channels["test"].files
            found[name] = measure({**shared, **options}, arguments.seeds, files)
            print(f"{name:30}{found[name]}", flush=True)
    content = {"machine": machine(), "size": arguments.size, "epochs": arguments.epochs}
    if arguments.data:
        content["photos"] = f"the photos of {data.name}"
    content["networks"] = {name: asdict(each) for name, each in found.items()}
    if arguments.json:
        write(arguments.json, content)
    if arguments.results:
        write(arguments.results, table(content))


def write(file: Path, content: dict[str, Any]) -> None:
    """Write JSON, and the folder that it belongs into."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
