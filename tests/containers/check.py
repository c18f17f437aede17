"""Run the course's scripts in environments like those of AWS's containers: `make check-containers`.

Two environments are built (`training.txt`, `inference.txt`). In the first, `train.py` runs by every
way in which SageMaker starts it, as notebook 03 makes its jobs, and with the Debugger's hook; in
the second, `inference.py` serves the model that came out, in every form of a body that it answers
or refuses. Every result is held against another's: the same seed and photos must give the same
losses and weights, the same body the same answer.
Ends with 1 if any differ. `check.py [PART ...]` runs only these parts: launches, fine-tuning,
lessons, debugger, serving.
"""

import json
import re
import shutil
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import debugged
import jobs
import venvs
from jobs import Result
from lessons import SAVED, lessons
from PIL import Image
from rows import Row, ask, reason, show, timed
from venvs import Venv

from course.sample_photos import sample
from local_sagemaker.runtime import isolation
from open_debugger.profiler import RecordingError, read

HERE = Path(__file__).parent
# One step an epoch, so that an epoch's training loss is that of a step.
CLASSES, PHOTOS = 8, (4, 2, 2)
PLAIN = {
    "model": "resnet18",
    "weights": "random",
    "optimizer": "adamw",
    "lr": "0.003",
    "batch-size": "32",
    "epochs": "4",
    "image-size": "32",
    "precision": "fp32",
    "seed": "5",
}
# The weights of this network are a package among the requirements.
LITE0 = PLAIN | {
    "model": "efficientnet_lite0",
    "weights": "imagenet",
    "batch-norm": "frozen",
    "image-size": "64",
}
# A tuner delivers text, and every categorical value, as JSON.
CATEGORICAL = ("model", "weights", "optimizer", "batch-size", "precision")
QUOTED = {k: json.dumps(v) if k in CATEGORICAL else v for k, v in PLAIN.items()}
TUNED = {**QUOTED, "_tuning_objective_metric": "valid_accuracy"}
PACKAGES = ("torch", "torchvision", "numpy", "pillow", "protobuf")
PROBABILITY, LOGIT = 1e-4, 1e-3  # differences that float32 on another version may make
PROCESSES = 1e-5  # what sums in another order may make
SAME_LOSS = 1e-6  # relative: a tensor is saved as float32
OTHER_PILLOW = 1e-3  # relative: augmented photos differ in some pixels' last bit


def differences(result: Result, expected: Result | None) -> str:
    """OK, or in what a job differs from the expected one; without one, whether it completed."""
    if result.code != 0:
        return f"exit code {result.code}: {reason(result.log)}"
    if expected is None:
        return "OK"
    if expected.code != 0:
        return "there is nothing to compare it with: the first job failed"
    found = []
    pairs = enumerate(zip(result.losses, expected.losses, strict=False), start=1)
    if wrong := [(step, loss, other) for step, (loss, other) in pairs if loss != other]:
        found.append("step {}: {:.9f}, not {:.9f}".format(*wrong[0]))
    if result.weights != expected.weights:
        found.append(f"weights {result.weights}, not {expected.weights}")
    return "; ".join(found) or "OK"


def _first_loss(result: Result) -> str:
    return f"{result.losses[0]:.9f}" if result.code == 0 else "-"


def launches(venv: Venv) -> Iterator[tuple[str, str, Callable[[], Result]]]:
    """Every way in which SageMaker starts a script: name, form of the arguments, the job."""
    typed = PLAIN | {"lr": 0.003, "batch-size": 32, "epochs": 4, "system-metrics": False}
    yield "SDK v3 driver", "plain", partial(jobs.driver, venv, "driver", typed)
    yield "SDK v3 driver", "quoted", partial(jobs.driver, venv, "driver-quoted", QUOTED)
    text = {"system-metrics": "false"}
    yield "toolkit", "plain", partial(jobs.toolkit, venv, "toolkit", PLAIN | text)
    yield "toolkit", "quoted, tuner's", partial(jobs.toolkit, venv, "toolkit-quoted", TUNED)
    one = partial(jobs.driver, venv, "torchrun-driver", typed, processes=1)
    yield "torchrun by the driver", "plain", one
    yield "torchrun by hand", "quoted", partial(jobs.torchrun, venv, "torchrun", QUOTED, 1)


def check_launches(venv: Venv) -> tuple[list[Row], Result]:
    """Run them all; the first is what the others are held against."""
    rows, first = [], None
    for path, arguments, start in launches(venv):
        result = timed(f"{path}, {arguments}", start)
        rows.append(Row(path, arguments, _first_loss(result), differences(result, first)))
        first = first or result
    return [*rows, _two_processes(venv), _course("course", PLAIN, first)], first


def check_fine_tuning(venv: Venv) -> tuple[list[Row], Result]:
    """EfficientNet-Lite0 from ImageNet's weights: by the driver, the toolkit, and in the course."""
    first = timed("EfficientNet-Lite0, driver", partial(jobs.driver, venv, "lite0", LITE0))
    other = timed("EfficientNet-Lite0, toolkit", partial(jobs.toolkit, venv, "lite0-tool", LITE0))
    verdict = differences(first, None)
    if verdict == "OK" and "weights=imagenet (" not in first.log:
        verdict = "it did not start from ImageNet's weights"
    name = "EfficientNet-Lite0, ImageNet"
    rows = [Row("SDK v3 driver", name, _first_loss(first), verdict)]
    rows.append(Row("toolkit", name, _first_loss(other), differences(other, first)))
    return [*rows, _course("course-lite0", LITE0, first)], first


def _two_processes(venv: Venv) -> Row:
    """Two processes under torchrun, and one: with frozen statistics they learn the same."""
    frozen, results = PLAIN | {"batch-norm": "frozen"}, []
    for processes in (1, 2):
        name = f"torchrun-{processes}"
        start = partial(jobs.driver, venv, name, frozen, processes=processes)
        results.append(timed(f"torchrun, {processes} processes", start))
    verdicts = [differences(result, None) for result in results]
    verdict = next((text for text in verdicts if text != "OK"), "OK")
    if verdict == "OK":
        pairs = zip(*(result.losses for result in results), strict=True)
        wrong = [f"{b:.6f}, not {a:.6f}" for a, b in pairs if abs(a - b) > PROCESSES]
        verdict = "; ".join(wrong) or "OK"
    lines = len(re.findall(r"^epoch=1 train_loss=", results[1].log, re.MULTILINE))
    if verdict == "OK" and lines != 1:
        verdict = f"epoch 1 is printed {lines} times"
    return Row(
        "torchrun by the driver, 2 processes",
        f"as one's within {PROCESSES:g}",
        _first_loss(results[1]),
        verdict,
    )


def _course(name: str, hyperparameters: dict, expected: Result) -> Row:
    """The same in the course's own environment, where another Pillow crops the photos."""
    start = partial(jobs.alone, Path(sys.executable), name, hyperparameters)
    result = timed("python, course's .venv", start)
    verdict = differences(result, None)
    if verdict == "OK" and abs(result.losses[0] / expected.losses[0] - 1) > OTHER_PILLOW:
        verdict = f"not {expected.losses[0]:.9f} within {OTHER_PILLOW:.1%}"
    return Row(
        "python, course's .venv", f"{name}, within {OTHER_PILLOW:.1%}", _first_loss(result), verdict
    )


def check_lessons(venv: Venv, expected: Result) -> list[Row]:
    """Run the jobs as notebook 03 makes them, on the tiny photos."""
    rows = []
    venv.reset()
    held = venv.versions(*PACKAGES)
    for lesson in lessons():
        name, requirements = f"notebook 03, {lesson.variable}", lesson.requirements
        job = partial(
            jobs.driver,
            venv,
            f"lesson-{lesson.variable}",
            PLAIN | ({"system-metrics": "100"} if lesson.profiled else {}),
            requirements=requirements,
            environment=lesson.environment,
            hook=lesson.hook,
        )
        result = timed(name, job)
        verdict = differences(result, expected)
        if changed := dict(venv.versions(*PACKAGES).items() - held.items()):
            verdict = f"the requirements replaced packages by {changed}"
        rows.append(Row(name, requirements or "no requirements", _first_loss(result), verdict))
        if lesson.hook and result.code == 0:
            rows += check_tensors(venv, result)
        if lesson.profiled and result.code == 0:
            rows.append(check_recording(result))
    return rows


def check_recording(result: Result) -> Row:
    """Read what the job has recorded of itself: its steps, and its samples of the machine."""
    place = result.ml / "output/data/profiler-output"
    try:
        recording = read(place)
    except RecordingError as error:
        return Row("recording", "of the job's own monitor", "-", str(error))
    steps, samples = len(recording.steps), len(recording.select("cpu", "CPUUtilization"))
    verdict = "OK" if steps and samples and not recording.notes else "incomplete"
    said = f"{steps} steps, {samples} cores {' '.join(recording.notes)}".strip()
    return Row("recording", "of the job's own monitor", said, verdict)


def check_tensors(venv: Venv, result: Result) -> list[Row]:
    """Read the saved losses in the job's environment and in the course's: both are the job's."""
    rows = []
    for where, python in (("container", venv.python), ("course's .venv", Path(sys.executable))):
        found = ask(python, "TENSORS", HERE / "tensors.py", result.ml / "output/tensors")
        if isinstance(found, str):
            rows.append(Row("saved losses", f"read in the {where}", "-", found))
            continue
        saved = {int(step): value for step, value in found["losses"]["TRAIN"].items()}
        wrong = [
            f"step {step}: {value}, not {result.losses[step]}"
            for step, value in saved.items()
            if abs(value / result.losses[step] - 1) > SAME_LOSS
        ]
        if not saved or not found["losses"]["EVAL"]:
            wrong.append(f"steps saved: {found['losses']}")
        for name, steps in SAVED.items():
            held = found["collections"].get(name)
            if not held or not held["names"] or held["steps"] != steps:
                wrong.append(f"{name}: {held}, expected steps {steps}")
        by = f"protobuf {found['protobuf']}, numpy {found['numpy']}"
        first = f"{saved[0]:.9f}" if 0 in saved else "-"
        rows.append(Row(f"saved losses, {where}", by, first, "; ".join(wrong) or "OK"))
    return rows


def check_serving(venv: Venv, trained: Result) -> list[Row]:
    """Serve a job's model archive in the inference environment and in the course's own."""
    venv.reset()
    folder = venvs.BUILD / "served" / "model"
    shutil.rmtree(folder.parent, ignore_errors=True)
    archive = folder.parent / "model.tar.gz"
    folder.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(trained.ml / "model", arcname=".")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    shutil.copytree(jobs.ENTRY_POINTS, folder / "code", ignore=jobs.IGNORED)  # as ModelBuilder does
    venv.install(folder / "code/requirements.txt")  # as the container does at its start
    photos = sorted((jobs.PHOTOS / "test").rglob("*.jpg"))
    rows = []
    for what, bodies in (("photos", photos), ("forms of one", every_form(photos[0]))):
        answers = {}
        for where, python in (("inference", venv.python), ("course", Path(sys.executable))):
            start = partial(ask, python, "ANSWERS", HERE / "ask.py", folder, *bodies)
            answers[where] = timed(f"serving {what}, {where}", partial(start, code=folder / "code"))
        by = f"{len(bodies)} {what}"
        rows.append(compare_answers(answers["inference"], answers["course"], by))
    return rows


def every_form(photo: Path) -> list[Path]:
    """Write a photo in every form that is answered, and bodies that are refused, a file each."""
    sys.path.insert(0, str(HERE.parents[1]))
    from tests.support import forms  # which the tests of inference.py ask, too

    folder = venvs.BUILD / "bodies"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    image = Image.open(photo).convert("RGB")
    for name, body in (forms.every(image) | forms.bad(image)).items():
        (folder / name).write_bytes(body)
    return sorted(folder.iterdir())


def compare_answers(container: dict | str, course: dict | str, by: str) -> Row:
    """One row for the answers of two environments to the same photos."""
    path = "inference.py, container and course"
    for found in (container, course):
        if isinstance(found, str):
            return Row(path, by, "-", found)
    by += f", torch {container['torch']} and {course['torch']}"
    probability = logit = 0.0
    others = []
    for photo, ours in course["answers"].items():
        theirs = container["answers"][photo]
        if "refused" in ours or "refused" in theirs:
            if theirs != ours or not 400 <= ours["refused"] < 500:
                others.append(f"{photo}: {theirs}, not {ours}")
            continue
        names = [[p["class_name"] for p in a["predictions"]] for a in (theirs, ours)]
        if names[0] != names[1]:
            others.append(f"{photo}: {names[0]}, not {names[1]}")
        probability = max(probability, _distance(theirs, ours, _probabilities))
        logit = max(logit, _distance(theirs, ours, lambda answer: answer["logits"]))
    wrong = [f"{len(others)} photos answered otherwise, as {others[0]}"] if others else []
    if probability > PROBABILITY or logit > LOGIT:
        wrong.append(f"over {PROBABILITY:g} for probabilities or {LOGIT:g} for logits")
    value = f"apart {probability:.0e}, logits {logit:.0e}" if logit else "the same bits"
    return Row(path, by, value, "; ".join(wrong) or "OK")


def _probabilities(answer: dict) -> list[float]:
    return [prediction["probability"] for prediction in answer["predictions"]]


def _distance(a: dict, b: dict, values: Callable[[dict], list[float]]) -> float:
    return max(abs(x - y) for x, y in zip(values(a), values(b), strict=True))


def lacking(venv: Venv) -> list[Row]:
    """A row if the environment holds what AWS's containers lack."""
    there = {k: v for k, v in venv.versions("safetensors", "smdebug").items() if v}
    return [Row(venv.folder.name, "must lack", "-", f"holds {there}")] if there else []


def main() -> int:
    parts = {"launches", "fine-tuning", "lessons", "debugger", "serving"}
    chosen = set(sys.argv[1:]) or parts
    if unknown := chosen - parts:
        sys.exit(f"there is no part {', '.join(unknown)}: choose of {', '.join(sorted(parts))}")
    begin = time.perf_counter()
    sample.make(jobs.PHOTOS, CLASSES, PHOTOS)
    training = timed("training environment", partial(venvs.build, "training"))
    environments, rows = [training], lacking(training)
    if "launches" in chosen:
        launched, first = check_launches(training)
        rows += launched
    else:  # what the others are held against
        first = timed("SDK v3 driver", partial(jobs.driver, training, "driver", PLAIN))
    if {"fine-tuning", "serving"} & chosen:
        found, lite0 = check_fine_tuning(training)
        rows += found
    if "lessons" in chosen:
        rows += check_lessons(training, first)
    if "debugger" in chosen:
        rows += debugged.check(training, PLAIN, first)
    if "serving" in chosen:
        environments += [timed("inference environment", partial(venvs.build, "inference"))]
        rows += lacking(environments[-1])
        for trained in (first, lite0):
            rows += check_serving(environments[-1], trained)
    show(rows)
    ml = "real" if isolation.isolation().real_opt_ml else "replaced in the driver's files"
    print(f"\n/opt/ml: {ml}; {time.perf_counter() - begin:.0f} s")
    for venv in environments:
        venv.reset()
        held = venv.versions(*PACKAGES, "sagemaker-training", "sagemaker-pytorch-inference")
        print(f"{venv.folder.name}: " + ", ".join(f"{k} {v}" for k, v in held.items() if v))
    return int(any(row.verdict != "OK" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
