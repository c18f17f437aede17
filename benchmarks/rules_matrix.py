"""`make rules-matrix`: what the rules say on healthy runs and on ill ones.

    python -m benchmarks.rules_matrix [--seeds N] [--resume] [--text]

Every run is made for real and evaluated twice, with the course's parameters and with AWS's
defaults. Results lie in build/rules-matrix, and go into `debugger-rules.md` of
open-debugger. Exits with 1 if an illness is not caught by its rule, or if a rule fires on a healthy
run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks import illnesses, rules_page
from benchmarks.illnesses import HEALTHY, ILL, Run
from course.debugger import rules
from course.sample_photos import sample
from open_debugger import RULES, RuleResult, evaluate

ROOT = Path(__file__).parent.parent
WORK = ROOT / "build" / "rules-matrix"
CLASSES, PER_CLASS = 10, (24, 8, 1)
OPTIONS = ["--epochs", "4", "--batch-size", "16"]


def outcome(result: RuleResult) -> dict:
    """What a rule says, for the table: fires, silent, or absent where it had nothing to look at."""
    if result.status == "Error" and result.datapoints:
        raise RuntimeError(f"{result.name}: {result.details}")
    said = {"IssuesFound": "fires", "NoIssuesFound": "silent", "Error": "absent"}[result.status]
    return {"said": said, "details": result.details}


def judged(tensors: Path) -> dict[str, dict[str, dict]]:
    """What all rules say of a run: by whose parameters (course, aws), by rule."""
    by = {"course": rules.parameters, "aws": lambda name: {}}
    configurations = [
        {
            "RuleConfigurationName": f"{whose} {name}",
            "RuleParameters": {"rule_to_invoke": name, **parameters(name)},
        }
        for whose, parameters in by.items()
        for name in RULES
    ]
    results = evaluate(tensors, configurations)
    return {w: {name: outcome(results[f"{w} {name}"]) for name in RULES} for w in by}


def made(run: Run, seed: int, photos: Path) -> dict:
    """Make a run and judge it; what it saved is removed."""
    tensors = WORK / "tensors"
    for left in WORK.glob("tensors*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    begin = time.perf_counter()
    epochs = illnesses.train(run, photos, tensors, [*OPTIONS, "--seed", str(seed)])
    trained = time.perf_counter()
    said = judged(tensors)
    size = sum(file.stat().st_size for file in tensors.rglob("*") if file.is_file())
    shutil.rmtree(tensors)
    return {
        "name": run.name,
        "seed": seed,
        "epochs": epochs,
        "megabytes": size / 1e6,
        "seconds": [trained - begin, time.perf_counter() - trained],
        "said": said,
    }


def all_made(seeds: int, resume: bool) -> list[dict]:
    """The results of all runs, the healthy ones with several seeds."""
    WORK.mkdir(parents=True, exist_ok=True)
    photos = sample.make(WORK / "photos", CLASSES, PER_CLASS)
    results = []
    wanted = [(run, 0) for run in (*HEALTHY, *ILL)]
    wanted += [(run, seed) for seed in range(1, seeds) for run in HEALTHY]
    for run, seed in wanted:
        file = WORK / f"{run.name.replace(' ', '-')}-{seed}.json"
        if not (resume and file.is_file()):
            file.write_text(json.dumps(made(run, seed, photos), indent=1) + "\n")
        results.append(json.loads(file.read_text()))
        print(f"{run.name}, seed {seed}: {sum(results[-1]['seconds']):.0f} s", flush=True)
    return results


def wrong(results: list[dict]) -> list[str]:
    """What is not as it has to be, with the course's parameters."""
    runs = {run.name: run for run in (*HEALTHY, *ILL)}
    found = []
    for result in results:
        run, said = runs[result["name"]], result["said"]["course"]
        if run.rule and said[run.rule]["said"] != "fires":
            found.append(f"{run.name}: {run.rule} is silent: {said[run.rule]['details']}")
        for name, each in said.items():
            if not run.rule and each["said"] == "fires":
                found.append(f"{run.name}, seed {result['seed']}: {name}: {each['details']}")
    return found


def how(seconds: float) -> str:
    """How the table was made: in what time, beside how much else, and with which versions."""
    import torch

    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "smdebug", "numpy"))
    machine = f"{os.cpu_count()} cores with a load average of {os.getloadavg()[2]:.1f}"
    threads = f"{torch.get_num_threads()} of PyTorch's threads"
    return (
        f"Made by `make rules-matrix`; the runs took {seconds:.0f} s in all, with {threads} on "
        f"{machine}. Python {platform.python_version()}, {versions}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the rules on healthy and ill trainings.")
    parser.add_argument("--seeds", type=int, default=2, help="of each healthy run")
    parser.add_argument("--resume", action="store_true", help="use the results there are")
    parser.add_argument("--text", action="store_true", help="renew only the course's parameters")
    options = parser.parse_args()
    if options.text:
        rules_page.write(rules_page.PAGE, rules_page.measured(rules_page.PAGE))
        return 0
    results = all_made(options.seeds, options.resume)
    seconds = sum(sum(result["seconds"]) for result in results)
    rules_page.write(rules_page.PAGE, rules_page.tables(results, how(seconds)))
    problems = wrong(results)
    print(
        *(problems or [f"all as it has to be; written: {rules_page.PAGE.relative_to(ROOT)}"]),
        sep="\n",
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
