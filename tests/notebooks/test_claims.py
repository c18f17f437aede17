"""What the lessons say of a run agrees with that run, also with one that is unlike the committed.

The lessons are executed three times: with another seed in the place of each; on a folder of
pictures that are no dogs; and with the network from random weights in the place of the one from
ImageNet's, so that results which look safe come out the other way round. Then each sentence, title
and table is compared with what the jobs have measured, which the engine still knows.
"""

import json
import math
import re
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from course import dataset, download
from course.predictions import BENCHMARK
from course.sample_photos import breeds, no_dogs, sample
from tests.support.lesson_runs import Copies, Lessons, run_all
from tests.support.told import (
    flat,
    found,
    lines,
    milliseconds,
    near,
    newcombe,
    rows_of,
    sections,
    whole,
    wilson,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * 3600)]

BREEDS, PHOTOS = 12, (10, 4, 4)  # for train, valid and test, of each breed
FOLDER = "pictures of no dogs"
NO_DOGS = {"3-D noise": 30, "one_colour": 9, "nowhere": 22, "tiles": 16, "zebra crossing": 13}


# -------------------------------------------------------------------------------------- the three


def another_seed(copies: Copies) -> Path:
    """Each number that starts a generator is another one: in lessons, script and photos."""
    copies.change(2, r"random_seed=\d+", "random_seed=17")
    copies.change(2, r'\{"seed": 1\}', '{"seed": 12}')
    copies.change(0, r"random\.Random\((\d+)\)", r"random.Random(5 + \1)")
    copies.change(0, r"random_state=\d+", "random_state=3")
    copies.change(3, r"manual_seed\(0\)", "manual_seed(5)")
    copies.change(4, r"jpegs\(25, ", "jpegs(25, seed=5, ")
    copies.change_script("options.py", '"--seed", number_type(int, 0), 0,', '"--seed", int, 7,')
    return sample.make(copies.folder / "photos", BREEDS, PHOTOS, seed=5)


def pictures_without_dogs(copies: Copies) -> Path:
    """Class folders of unequal sizes, without splits, with names that are no breeds."""
    folder = copies.folder / FOLDER
    dogs = sample.make(copies.folder / "dogs", 2, (8, 1, 1))
    photos = [file.read_bytes() for file in sorted(dogs.glob("train/*/*.jpg"))]
    kinds = ("noise", "plain", "scene", "shuffled", "stripes")
    drawn = no_dogs.jpegs(max(NO_DOGS.values()), seed=2, photos=photos)
    for (name, count), kind in zip(NO_DOGS.items(), kinds, strict=True):
        (folder / name).mkdir(parents=True)
        for number, body in enumerate(drawn[kind][:count]):
            (folder / name / f"{number:03}.jpg").write_bytes(body)
    return folder


def upside_down(copies: Copies) -> Path:
    """What is called pretrained starts from random weights, and the other way round.

    So are the two profiled runs: the one without loader processes has two, and the other none.
    """
    copies.change(2, r'"weights": "imagenet"', '"weights": "random"')
    copies.change(3, r'("model": NETWORK,\s+"weights": )"imagenet"', r'\1"random"')
    copies.change(3, r'(settings \| \{"weights": )"random"', r'\1"imagenet"')
    copies.change(3, r'"num-workers": 0', '"num-workers": 2')
    copies.change(3, r'\{"num-workers": workers\}', '{"num-workers": 0}')
    return sample.make(copies.folder / "photos", BREEDS, PHOTOS)


RUNS = {
    "another seed": another_seed,
    "pictures without dogs": pictures_without_dogs,
    "upside down": upside_down,
}


@pytest.fixture(scope="module", params=RUNS, ids=lambda name: name.replace(" ", "-"))
def run(request, tmp_path_factory) -> Iterator[Lessons]:
    copies = Copies(tmp_path_factory.mktemp("lessons"))
    yield run_all(copies, RUNS[request.param](copies), request.param)
    for split in download.BUILD.glob(f"{FOLDER}-split-*"):  # made by notebook 01
        shutil.rmtree(split)


# ----------------------------------------------------------------------------------------- all four


RIGHT = re.compile(
    r"([\d,]+) of ([\d,]+) photos right: ([\d.]+%) \(95% interval ([\d.]+%) to ([\d.]+%)\)"
)


def test_the_solutions_are_right(run):
    for solution in run.solutions:
        assert solution.text.count("✓") == 2


def test_each_share_and_its_interval_follow_from_the_counts(run):
    shown = [place for lesson in run.lessons for place in RIGHT.findall(lesson.text)]
    assert len(shown) >= 7
    for right, photos, share, *ends in shown:
        right, photos = whole(right), whole(photos)
        assert right <= photos and near(share, right / photos)
        assert all(near(text, end) for text, end in zip(ends, wilson(right, photos), strict=True))


# ------------------------------------------------------------------------------------- notebook 01


def test_photos_and_classes_are_counted_in_the_folder(run):
    lesson, table = run.lessons[0], run.counts
    names, total = list(table.index), int(table.to_numpy().sum())
    assert total == len(list(run.photos.rglob("*.jpg")))
    shape = lesson.said("logits for one photo have the shape")
    assert f"{len(names)} classes: logits for one photo have the shape [1, {len(names)}]" in shape
    for number, folder, breed in re.findall(r"class (\d+): folder (.+), breed (.+)", shape):
        assert names[int(number)] == folder
        assert folder.replace("_", " ").endswith(breed)
    sums = re.findall(r"^(train|valid|test) +(\d+)$", lesson.said("report.table().sum()"), re.M)
    assert {split: int(count) for split, count in sums} == table.sum().to_dict()
    sums = re.findall(r"^(train|valid|test) +(\d+)$", lesson.said('groupby("split")'), re.M)
    assert {split: int(count) for split, count in sums} == table.sum().to_dict()
    assert lesson.said("left_out =").startswith(f"{total:,} photos will be uploaded; 0 other")
    size = sum(file.stat().st_size for file in run.photos.rglob("*.jpg"))
    told = found(r"([\d,]+) objects, ([\d,]+) bytes: exactly", lesson.said("upload.verify("))
    assert list(map(whole, told)) == [total, size]
    assert f"0 photos to send, {total:,} unchanged, 0 objects" in lesson.said("again = upload.plan")
    assert f"Result: {total:,} photos of {len(names)} breeds in S3" in lesson.text


def test_one_answer_lists_as_many_as_it_can(run):
    said = run.lessons[0].said("s3.list_objects_v2(Bucket=ws.bucket, Prefix=prefix)")
    there, photos, missing, cut = found(
        r"lists ([\d,]+) of ([\d,]+) photos: ([\d,]+) are missing, and IsTruncated is (\w+)", said
    )
    assert whole(there) + whole(missing) == whole(photos) == len(run.keys)
    assert cut == str(whole(missing) > 0)


def test_what_a_constant_answer_and_guessing_reach(run):
    valid = run.counts["valid"]
    said = run.lessons[0].said("Random guessing is right")
    most, photos, share = found(r"at most (\d+) of (\d+) times: ([\d.]+%)", said)
    assert (int(most), int(photos)) == (valid.max(), valid.sum())
    assert near(share, valid.max() / valid.sum())
    classes, chance = found(r"once in (\d+) times on average: ([\d.]+%)", said)
    assert int(classes) == len(valid) and near(chance, 1 / len(valid))


def test_how_even_the_classes_are_is_counted(run):
    table, said = run.counts, run.lessons[0].said("figures.counts(")
    [drawn] = run.lessons[0].drawn("figures.counts(")
    if (table.nunique() == 1).all():
        each = found(r"Each breed has (\d+) training, (\d+) validation and (\d+) test photos", said)
        assert list(map(int, each)) == table.iloc[0].tolist()
    for split, low, high in re.findall(r"(train|valid|test) (\d+) to (\d+) \(", said):
        assert (int(low), int(high)) == (table[split].min(), table[split].max())
    train = table["train"].rename(dataset.breed)
    for little, large in re.findall(r"fewest: (.+), most: (.+)\.", said):
        assert train[little] == train.min() < train.max() == train[large]
    few, low, high, photos, *ends = found(
        r"With (\d+) photos: (\d+%) to (\d+%); with ([\d,]+): (\d+%) to (\d+%)",
        drawn["axes"][-1]["title"],
    )
    assert int(few) == table["valid"][table["valid"] > 0].min()
    assert whole(photos) == table["valid"].sum()
    for right, count in re.findall(r"([\d,]+) of ([\d,]+) right", " ".join(drawn["axes"][-1]["y"])):
        for total, given in ((few, (low, high)), (photos, ends)):
            if count == total:
                interval = wilson(whole(right), whole(count))
                assert all(near(text, end) for text, end in zip(given, interval, strict=True))


def test_sizes_are_those_of_the_files(run):
    [drawn] = run.lessons[0].drawn("figures.sizes(")
    title = drawn["axes"][0]["title"]
    limit = int(found(r"over (\d+) pixels", title)[0])
    sides = [min(Image.open(file).size) for file in run.photos.rglob("*.jpg")]
    over = sum(side > limit for side in sides)
    assert title.startswith(f"{over:,} of {len(sides):,} photos" if over else "No photo has")


def test_the_smaller_file_is_compared_with_the_larger_one(run):
    rows = run.lessons[0].table("upload.example(")
    said = run.lessons[0].said("The smaller file has 1/")
    bytes_, speed = found(r"1/(\d+) of the bytes and is read (\d+) times as fast", said)
    size, read = (rows[name].astype(float) for name in ("kilobytes", "photos_per_second"))
    assert int(bytes_) == pytest.approx(size[0] / size[1], abs=1, rel=0.05)
    assert int(speed) == pytest.approx(read[1] / read[0], abs=1, rel=0.05)


# ------------------------------------------------------------------------------------- notebook 02


def test_the_table_of_trials_is_what_ran_best_first(run):
    rows, shown = run.trials, run.lessons[1].table('sort_values("accuracy"').astype(float)
    assert len(rows) == len(shown) == 6
    sets = dict(re.findall(r"'(train|valid)': (\d+)", run.lessons[1].said('r"^photos="')))
    assert {split: int(count) for split, count in sets.items()} == {
        split: run.counts[split].sum() for split in ("train", "valid")
    }
    assert shown["accuracy"].is_monotonic_decreasing
    for row in shown.to_dict("records"):
        job = rows.loc[int(row["job"])]
        for name in ("lr", "batch-size", "epochs", "steps", "accuracy"):
            assert row[name] == pytest.approx(job[name], abs=1e-4), name
    number, size, epochs = found(
        r"job (\d+): batches of (\d+), (\d+) epochs",
        run.lessons[1].said('set_index("TrainingJobName")'),
    )
    assert int(number) == run.best.name and run.best["accuracy"] == rows["accuracy"].max()
    assert (int(size), int(epochs)) == (run.best["batch-size"], run.best["epochs"])


def test_the_search_s_gain_is_that_of_its_jobs(run):
    scores = run.trials["accuracy"].to_numpy()
    [drawn] = run.lessons[1].drawn("figures.search(")
    assert np.array(drawn["axes"][0]["points"][0])[:, 1] == pytest.approx(scores, abs=1e-4)
    told = found(r"Best of jobs 1 to 3: ([\d.]+%), of jobs 4 to 6: ([\d.]+%)", drawn["title"])
    assert all(map(near, told, (scores[:3].max(), scores[3:].max())))


def test_later_trials_are_compared_with_the_first(run):
    rows, said = run.trials, run.lessons[1].said("figures.searched(")
    first, later = rows["accuracy"][:3], rows["accuracy"][3:]
    assert f"first 3 jobs is job {first.idxmax()}: {first.max():.1%}." in said
    assert f"3 later ones is job {later.idxmax()}: {later.max():.1%}." in said
    better, gain = (later > first.max()).sum(), 100 * (later.max() - first.max())
    word = f"got better by {gain:.1f} points" if better else "did not get better"
    assert f"So the search {word}: {better} of 3 later jobs beat the best of the first 3." in said
    left = re.findall(r"No job tried batch-size (.+)\.", said)
    untried = {"16", "32", "64"} - set(rows["batch-size"].astype(str))
    assert set(" or ".join(left).split(" or ")) - {""} == untried


def test_the_best_job_s_last_epoch_and_its_seconds(run):
    log = [line for line in run.best["of"].log if line.startswith("epoch=")]
    said = run.lessons[1].said("*epochs, sep=")
    assert all(line in said for line in log)
    train, valid = (re.search(rf"{name}_accuracy=(\S+)", log[-1])[1] for name in ("train", "valid"))
    assert f"{float(train):.1%} of the training photos" in said
    assert f"{float(valid):.1%} of the validation photos" in said
    seconds = [float(re.search(r" seconds=(\S+)", line)[1]) for line in log]
    said = run.lessons[1].said("kept, without =")
    first, others, rest = found(r"epoch 1: (\S+) s; the (\d+) others together: (\S+) s", said)
    assert near(first, seconds[0]) and int(others) == len(seconds) - 1
    assert float(rest) == pytest.approx(sum(seconds[1:]), abs=0.06)
    kept, without = found(r"all epochs: (\S+) s with kept features, about (\S+) s without", said)
    assert near(kept, sum(seconds)) and near(without, len(seconds) * seconds[0])


def test_what_the_seed_and_the_rate_moved(run):
    lesson = run.lessons[1]
    photos = run.counts["valid"].sum()
    shares = dict(
        re.findall(r"^(the winner|another seed|learning rate \S+) +(\d+) of", lesson.text, re.M)
    )
    repeats = [job for job in run.jobs if job.name.startswith("dog-breeds-repeat")]
    measured = [run.best["accuracy"], *(job.metrics["valid_accuracy"] for job in repeats)]
    rights = [int(right) for right in shares.values()]
    assert rights == [round(accuracy * photos) for accuracy in measured]
    assert "seed" in repeats[0].given and "seed" not in repeats[1].given
    by_seed, by_rate = (100 * abs(right - rights[0]) / photos for right in rights[1:])
    said = lesson.said("by_seed, by_rate")
    assert f"Another seed moved the accuracy by {by_seed:.1f} percentage points" in said
    assert f"another learning rate by {by_rate:.1f}:" in said
    assert ("the learning rate moved it more." in said) == (by_rate > by_seed)
    assert ("no more than the seed." in said) == (by_rate <= by_seed)
    assert f"gets {rights[1]} photos right, compared with {rights[0]} before." in said
    low, high = wilson(rights[0], photos)
    rows = run.trials["accuracy"].drop(run.best.name)
    lead, effect = found(r"was (\S+) photos: (no more|more) than the seed's", said)
    others = [round(accuracy * photos) for accuracy in rows]
    assert int(lead) == rights[0] - max(others)
    assert (effect == "more") == (int(lead) > abs(rights[0] - rights[1]))
    place = 1 + sum(right > rights[1] for right in others)
    assert f"it would have been number {place} of 6 in the table." in said
    inside = rows.between(low, high).sum()
    assert f"{inside} of the 5 other jobs lie inside the interval." in lesson.said("rivals.between")
    for name, billed in (("trials", [*run.trials["of"]]), ("repeats", repeats)):
        count, seconds = found(rf"{name} +(\d+) jobs, +(\d+) billable seconds", lesson.text)
        assert int(count) == len(billed) and int(seconds) == sum(job.seconds for job in billed)
    assert f"Result: 8 jobs, best validation accuracy {measured[0]:.1%}" in lesson.text


# ------------------------------------------------------------------------------------- notebook 03


def test_the_best_values_go_on(run):
    job, trial = run.main, run.best["of"]
    for name in ("lr", "batch-size", "model"):
        assert job.given[name] == trial.given[name]
    photos, size = run.counts["train"].sum(), int(job.given["batch-size"])
    steps = int(job.given["epochs"]) * math.ceil(photos / size)
    said = run.lessons[2].said("tensors saved at steps")
    assert f"{photos} training photos, {steps} training steps" in said
    looks = found(r"tensors saved at steps \[(.+)\]", said)[0].split(", ")
    [drawn] = run.lessons[2].drawn("figures.order_of_gradients(")
    assert drawn["axes"][0]["x"] == sorted({"0", *looks}, key=int)  # smdebug saves step 0, too
    result = run.lessons[2].said("result = jobs.metrics(")
    for name, value in re.findall(r"^(\w+) +([\d.]+)$", result, re.M):
        assert near(value, job.metrics[name]), name
    assert job.metrics["chance"] == pytest.approx(run.chance, abs=1e-4)
    right, photos = job.scores
    assert job.metrics["test_accuracy"] == pytest.approx(right / photos, abs=1e-4)


def test_validation_is_above_or_below_training_as_drawn(run):
    said = run.lessons[2].said("figures.order_of_losses(")
    [drawn] = run.lessons[2].drawn("figures.order_of_losses(")
    axis = drawn["axes"][0]
    [train], [valid] = lines(axis, marker="."), lines(axis, marker="o")
    steps, values = np.array(train["x"]), np.array(train["y"])
    told = re.findall(r"in epoch \d+ it is (\S+) (above|below) \((\S+) and (\S+)\)", said)
    assert len(told) == len(valid["x"])
    for (gap, side, loss, mean), (begin, end), measured in zip(
        told, pairwise([-1.0, *valid["x"]]), valid["y"], strict=True
    ):
        beside = values[(steps >= begin) & (steps < end)].mean()
        assert near(loss, measured) and near(mean, beside)
        assert float(gap) == pytest.approx(abs(measured - beside), abs=0.011)
        assert (side == "above") == (measured > beside)
    [curve] = [line for line in lines(axis, style="-", marker="None") if len(line["x"]) > 2]
    begin, end = curve["y"][0], curve["y"][-1]
    fall, title = 1 - end / begin, flat(axis["title"])
    word = found(r"The smoothed training loss (fell|rose|stayed)", title)[0]
    assert word == ("fell" if fall > 0.02 else "rose" if fall < -0.02 else "stayed")
    for told in re.findall(r"from (\S+) to ([\d.]+\d)", title):
        assert all(map(near, told, (begin, end)))
    assert near(found(r"validation loss ended at ([\d.]+)", title)[0], valid["y"][-1])
    guess = float(found(r"guessing ([\d.]+)", " ".join(text for *_, text in axis["texts"]))[0])
    assert guess == pytest.approx(math.log(len(run.counts)), abs=0.011)  # of a rounded share


def test_gradients_are_told_as_drawn(run):
    said = run.lessons[2].said("figures.order_of_gradients(")
    [drawn] = run.lessons[2].drawn("figures.order_of_gradients(")
    norms = np.array(drawn["axes"][0]["map"][0], float)[:, -1]
    title = flat(drawn["axes"][0]["title"])
    alive = norms[norms > 0]
    layers, low, high = found(
        r"gradients of (\d+) layers have norms from (\S+) \(.+ to (\S+) \(", title
    )
    assert int(layers) == len(alive)
    assert float(low) == pytest.approx(alive.min(), rel=0.06)
    assert float(high) == pytest.approx(alive.max(), rel=0.06)
    quarter = max(1, len(norms) // 4)
    far, close = (np.nanmedian(part) for part in (norms[:quarter], norms[-quarter:]))
    factor = max(far, close) / min(far, close)
    assert f"At step {drawn['axes'][0]['x'][-1]} the median norm is" in said
    way = found(r"the layers near the input get gradients that are (.+)\.", said)[0]
    if factor < 1.5:
        assert way == "about as large"
    else:
        times, word = found(r"(\S+) times as (large|small)", way)
        assert float(times) == pytest.approx(factor, rel=0.06)
        assert (word == "large") == (far > close)


def test_the_weights_have_moved_as_drawn(run):
    [drawn] = run.lessons[2].drawn("figures.weights(")
    body, head = lines(drawn["axes"][1], marker="o")
    title = flat(drawn["axes"][0]["title"])
    median, last = found(r"The median layer moved by (\S+)%, the head by (\S+)%", title)
    all_layers = np.nanmedian([*body["y"], *head["y"]])
    assert float(median.replace(",", "")) == pytest.approx(all_layers, rel=0.06)
    assert float(last.replace(",", "")) == pytest.approx(head["y"][0], rel=0.06)


def statuses(run: Lessons) -> dict[str, str]:
    """The verdicts on the main job."""
    rows = run.lessons[2].table("verdicts = debugger.verdicts(main)")
    return dict(zip(rows["rule"], rows["status"], strict=True))


def test_the_verdict_on_gradients_follows_from_the_dots(run):
    part = "figures.vanishing("
    said, [drawn] = run.lessons[2].said(part), run.lessons[2].drawn(part)
    axis = drawn["axes"][0]
    [line] = lines(axis, style="--")
    threshold, title = line["y"][0], flat(axis["title"])
    dots = np.array([line["y"] for line in lines(axis, marker=".")])
    zeros = sum(len(line["y"]) for line in lines(axis, marker="x"))
    gradients, steps = map(int, found(r"(\d+) gradients, saved at (\d+) steps", said))
    assert (gradients, steps) == (dots.shape[1], len(dots))
    for below, means, limit in re.findall(r"(\d+) of (\d+) means lie below (\S+)", said):
        assert int(means) == np.isfinite(dots).sum() + zeros
        assert int(below) == (dots < float(limit)).sum() + zeros
    small = bool((dots < threshold).any() or zeros)
    assert (statuses(run)["VanishingGradient"] == "IssuesFound") == small
    assert ("lie below the threshold" in title) == small
    if not small:
        least, times = found(r"The smallest mean is (\S+) \(.+\): (\S+) times the threshold", title)
        assert near(least, np.nanmin(dots))
        assert float(times.replace(",", "")) == pytest.approx(np.nanmin(dots) / threshold, rel=0.06)


def test_the_verdict_on_the_loss_follows_from_the_bars(run):
    [drawn] = run.lessons[2].drawn("figures.falling(")
    axis = drawn["axes"][0]
    falls, title = [value for bars in axis["bars"] for value in bars["height"]], flat(axis["title"])
    missed = [fall for fall in falls if not fall >= 0.1]
    assert (statuses(run)["LossNotDecreasing"] == "IssuesFound") == bool(missed)
    if missed:
        assert title.startswith(f"In {len(missed)} of {len(falls)} comparisons the loss did not")
    elif len(falls) > 1:
        assert title.startswith(f"In each of {len(falls)} comparisons the loss fell by at least ")
        least = float(found(r"at least (\S+) %", title)[0].replace(",", ""))
        assert least == pytest.approx(min(falls), rel=0.06)
    else:
        assert title.startswith("In the only comparison" if falls else "Nothing was compared")


def test_the_verdict_on_overfitting_follows_from_the_bars(run):
    [drawn] = run.lessons[2].drawn("figures.overfitting(")
    axis = drawn["axes"][0]
    ratios, title = [r for bars in axis["bars"] for r in bars["height"]], flat(axis["title"])
    limit = next(line["y"][0] for line in lines(axis, style="--"))
    longest = max(len(row) for row in "".join("x" if r > limit else " " for r in ratios).split(" "))
    assert (statuses(run)["Overfit"] == "IssuesFound") == (longest >= 2)
    number, size, side = found(r"in pass (\d+): the validation loss is (\d+)% (above|below)", title)
    most = max(ratios)
    assert ratios[int(number) - 1] == most
    assert abs(int(size) - 100 * abs(most)) <= 0.51 and (side == "above") == (most > 0)
    assert ("passes in a row" in title) == bool(longest)


def test_the_defaults_are_compared_with_the_course_s_parameters(run):
    part = "debugger.with_defaults("
    rows, said = run.lessons[2].table(part), run.lessons[2].said(part)
    accuracy, defaults, rules, ours = found(
        r"Test accuracy (\S+)\. Rules that find issues: (\d+) of (\d+) .*defaults, (\d+) with", said
    )
    assert near(accuracy, run.main.metrics["test_accuracy"])
    assert int(rules) == len(rows)
    assert int(defaults) == (rows["defaults"] == "IssuesFound").sum()
    assert int(ours) == (rows["ours"] == "IssuesFound").sum()
    assert dict(zip(rows["rule"], rows["ours"], strict=True)) == statuses(run)


def test_the_rules_of_each_verdict_are_those_of_the_table(run):
    ill = run.lessons[2].table("debugger.tested(", 0).set_index("rule")["ill run"].to_dict()
    for part, verdicts in (
        ("verdicts = debugger.verdicts(main)", statuses(run)),
        ("debugger.tested(", ill),
    ):
        said = run.lessons[2].said(part)
        told = re.findall(r"^(\w+): ((?:\w+(?:, )?)+)$", said, re.M)
        named = {rule: status for status, rules in told for rule in rules.split(", ")}
        assert named == verdicts
    without = re.findall(r"^(\w+) has no verdict: ", said, re.M)
    assert without == [rule for rule, status in ill.items() if status == "Error"]


def test_what_the_ill_run_has_tested_and_what_it_had(run):
    tested = run.lessons[2].table("debugger.tested(", 0).set_index("rule")
    assert tested["healthy run"].to_dict() == statuses(run)
    for healthy, ill, words in tested.itertuples(index=False):
        if (healthy, ill) == ("NoIssuesFound", "IssuesFound"):
            assert words == "quiet, then alarmed"
        elif healthy == "IssuesFound":
            assert words == "alarmed on the healthy run"
        else:
            assert words.startswith("not tested")
    rows = run.lessons[2].table("diagnosis = debugger.diagnosis(ill)", 1)
    assert set(rows["rule"]) == set(tested.index[tested["ill run"] == "IssuesFound"])
    for advice, names in zip(rows["advice"], rows["names the cause"], strict=True):
        assert names == str("learning rate" in advice)
    zeros = run.lessons[2].table("debugger.zero_gradients(").set_index("step")
    shares = zeros.map(lambda share: float(share.rstrip("%")))
    assert list(zeros) == ["healthy run", "ill run"] and shares.loc["0"].nunique() == 1
    assert ("VanishingGradient" in rows["rule"].to_list()) <= (shares["ill run"].max() > 10)
    ill = run.job("dog-breeds-ill-")
    said = run.lessons[2].said("The ill job is")
    curves = run.lessons[2].drawn('changed == ["lr"]')[0]["axes"][0]
    starts = [line["y"][0] for line in lines(curves, marker=".")]
    begin = run.lessons[2].said('changed == ["lr"]')
    told = found(r"The first saved training losses are ([\d.]+) and ([\d.]+)\.", begin)
    assert all(map(near, told, starts))
    step, steps, seconds, other = found(
        r"step (\d+) of (\d+)\. It trained for (\d+) s, the main job for (\d+) s", flat(said)
    )
    assert f"The ill job is {ill.status}." in said and int(step) < int(steps)
    assert abs(int(seconds) - ill.seconds) <= 1 and abs(int(other) - run.main.seconds) <= 1


def losses_at(axis: dict) -> dict[str, float]:
    """What the title of a figure of several runs says of each."""
    told = re.findall(r"([\d,.]+) \(([^()]+)\)", flat(axis["title"]).split("; ")[0])
    return {name: float(value.replace(",", "")) for value, name in told}


@pytest.mark.parametrize("part", ['changed == ["lr"]', "predictions.compared("])
def test_the_losses_of_two_runs_are_told_as_drawn(run, part):
    axis = run.lessons[2].drawn(part)[0]["axes"][0]
    step = float(found(r"raining loss near step (\d+):", axis["title"])[0])
    curves = [line for line in lines(axis, style="-", marker="None") if len(line["x"]) > 2]
    told = losses_at(axis)
    assert len(told) == len(curves) == 2
    if "lr" in part:
        rates = [float(job.given["lr"]) for job in (run.main, run.job("dog-breeds-ill-"))]
        assert list(told) == [f"lr {rate:.2g}" for rate in rates]
    assert step == pytest.approx(min(line["x"][-1] for line in curves), abs=0.51)
    for line, value in zip(curves, told.values(), strict=True):
        at = np.interp(min(each["x"][-1] for each in curves), line["x"], line["y"])
        assert value == pytest.approx(at, abs=0.51 if value >= 100 else 0.0051)


def test_the_accuracies_stand_beside_guessing(run):
    part = "answers.k * answers.chance"
    said, [drawn] = run.lessons[2].said(part), run.lessons[2].drawn(part)
    right, photos = run.main.scores
    assert f"most likely breed:       {right} of {photos} photos right" in said
    k = min(5, len(run.counts))
    assert run.main.test[f"top{k}"]["right"] == int(
        found(rf"among the {k} most likely: (\d+)", said)[0]
    )
    guessing = found(r"guessing: +(\S+%) and (\S+%)", said)
    assert near(guessing[0], run.chance) and near(guessing[1], k * run.chance)
    assert_beside_guessing(flat(drawn["axes"][0]["title"]), right, photos, run.chance)


def assert_beside_guessing(title: str, right: int, photos: int, guess: float) -> None:
    low, high = wilson(right, photos)
    assert title.startswith(f"{right / photos:.1%} of {photos} photos: ")
    assert title.endswith(f"guessing ({guess:.2%})")
    assert ("not told apart" in title) == (low <= guess <= high)
    assert ("worse than" in title) == (high < guess)
    if times := re.search(r"([\d.,]+) times as good", title):
        assert low > guess
        assert float(times[1].replace(",", "")) == pytest.approx(right / photos / guess, rel=0.06)


def test_how_far_the_accuracy_may_be_off(run):
    right, photos = run.main.scores
    low, high = wilson(right, photos)
    told = found(
        r"lies between (\S+%) and (\S+%), within (\S+) points of this test's (\S+%)\.",
        run.lessons[2].said("answers.k * answers.chance"),
    )
    reach = 100 * max(high - right / photos, right / photos - low)
    assert all(map(near, told, (low, high, reach, right / photos)))


def test_the_pairs_that_are_confused(run):
    answers = run.main.answers
    wrong = answers[(answers["label"] != answers["predicted"]) & (answers["predicted"] != "")]
    pairs = wrong.groupby(["label", "predicted"]).size().sort_values(ascending=False)
    said = run.lessons[2].said("answers.both_ways()")
    rows = run.lessons[2].table("answers.both_ways()")
    shares = [tuple(map(int, text.split(" of "))) for text in rows["photos"] if len(pairs)]
    counted, tested = [count for count, _ in shares], answers["label"].value_counts()
    assert counted == pairs.head(8).tolist()
    tested.index = tested.index.map(dataset.breed)
    assert [of for _, of in shares] == [tested[name] for name in rows["breed"] if len(pairs)]
    if pairs.empty:
        assert said.strip().endswith("No test photo was taken for another breed.")
        return
    if len(pairs) == 1:
        often = f"in one direction: {len(wrong)} photo{'s' if len(wrong) > 1 else ''}"
        assert f"Only this pair is mixed up, {often}, all of the mistakes." in said
        return
    mutual, shown, single, held, mistakes = found(
        r"(\d+) of these (\d+) pairs are mixed up in both directions, (\d+) in one only\. "
        r"Together they make (\d+) of the (\d+) mistakes",
        flat(said),
    )
    back = rows["the other way round"].astype(int).sum()
    assert (int(shown), int(held), int(mistakes)) == (len(rows), sum(counted) + back, len(wrong))
    assert int(mutual) == (rows["the other way round"].astype(int) > 0).sum()
    assert int(single) == int(shown) - int(mutual)


def test_the_two_starts_are_compared_as_they_came_out(run):
    first, second = run.main.scores, run.job("dog-breeds-scratch-").scores
    part = "predictions.compared("
    said, [_, drawn] = run.lessons[2].said(part), run.lessons[2].drawn(part)
    gap, low, high = newcombe(first, second)
    points, side, *ends = found(
        r"The first is ([\d.]+) points (above|below) the second .* ([+-][\d.]+) to ([+-][\d.]+)\)",
        said,
    )
    assert near(points, 100 * abs(gap)) and (side == "above") == (gap >= 0)
    assert near(ends[0], 100 * low) and near(ends[1], 100 * high)
    names = "from ImageNet's weights", "from random weights"
    better, worse = names if gap > 0 else names[::-1]
    assert ("does not tell the two apart" in said) == (low <= 0 <= high)
    assert (f"{better} is better than {worse}." in said) == (not low <= 0 <= high)
    assert f"{worse} is better than {better}" not in said
    poor = [n for n, of in zip(names, (first, second), strict=True) if wilson(*of)[0] <= run.chance]
    told = re.findall(r"Not better than guessing \((\S+)\): (.+)\.", said)
    assert told == ([(f"{run.chance:.1%}", ", ".join(poor))] if poor else [])
    title = flat(drawn["axes"][0]["title"])
    right, photos = max(first, second)
    assert title.startswith(f"Highest: {better}, {right / photos:.1%}" if gap else "Highest: ")
    assert ("not told apart" in title) == (low <= 0 <= high)


def test_the_networks_are_compared_as_they_came_out(run):
    [drawn] = run.lessons[2].drawn("figures.comparison(")
    said = run.lessons[2].said("figures.comparison(")
    *accuracy, seconds, megabytes = drawn["axes"]
    networks = [run.best["of"], *(job for job in run.jobs if "-frozen-" in job.name)]
    names = [f"{job.given['model']} ({job.weights})" for job in networks]
    alike = [job for job in networks if job.weights == "imagenet"]
    assert seconds["y"] == names
    assert seconds["bars"][0]["width"] == pytest.approx([job.seconds for job in networks], abs=1)
    sizes = [job.megabytes for job in networks]
    assert megabytes["bars"][0]["width"] == pytest.approx(sizes)
    assert f"{names[np.argmax(sizes)]} is largest" in said or "and is largest" in said
    assert f"{max(sizes):,.0f} MB." in said
    slow = names[np.argmax(seconds["bars"][0]["width"])]
    assert f"{slow} takes longest, {max(seconds['bars'][0]['width']):.0f} s" in said
    assert len(accuracy) == (len(alike) > 1)
    assert ("The accuracies are not comparable" in said) == (len(alike) < 2)
    count = len(alike) or "none"
    assert len(alike) > 1 or re.search(rf"{count} of {len(names)} bodies is pretrained", said)


def test_the_benchmark_stands_beside_the_run(run):
    measured = {
        each["weights"]: f"{each['accuracy']:.1%}"
        for each in json.loads(BENCHMARK.read_text())["rows"]
        if each["network"] == "EfficientNet-Lite0"
    }
    rows = run.lessons[2].table("measured.beside(")
    rows = rows[rows["network"] == "EfficientNet-Lite0"]
    assert dict(zip(rows["weights"], rows["test accuracy"], strict=True)) == measured
    right, photos = run.main.scores
    said = run.lessons[2].said("measured.beside(")
    assert f"Benchmark: {measured['ImageNet']}. Our main job: {right / photos:.1%}." in said
    assert "not comparable: the benchmark's photos are others" in said  # 133 breeds, not ours


def waits(drawn: dict) -> dict[str, float]:
    """The share of a step that waits for data in each profiled run, by the bars."""
    axis = drawn["axes"][0]
    total = np.sum([bars["width"] for bars in axis["bars"]], axis=0)
    waiting = [bars["width"] for bars in axis["bars"] if bars["label"] == "waiting for data"]
    return dict(zip(axis["y"], (waiting or [0 * total])[0] / total, strict=True))


@pytest.mark.parametrize("part", ["profiling.longest(", "profiling.outcome("])
def test_the_share_that_waits_is_that_of_the_bars(run, part):
    [drawn] = run.lessons[2].drawn(part)
    for name, share in waits(drawn).items():
        told = found(rf"{name}: ([\d.]+%)", drawn["axes"][0]["title"])[0]
        assert float(told[:-1]) == pytest.approx(100 * share, abs=1)  # thin parts are not drawn


def parts_of(drawn: dict) -> dict[str, np.ndarray]:
    """The milliseconds of each part, one value for each profiled run, by the bars."""
    return {bars["label"]: np.array(bars["width"]) for bars in drawn["axes"][0]["bars"]}


def test_the_longest_part_of_a_step_is_that_of_the_bars(run):
    said = run.lessons[2].said("profiling.longest(")
    [drawn] = run.lessons[2].drawn("profiling.longest(")
    parts = {name: values[0] for name, values in parts_of(drawn).items()}
    first, share, whole_step, second, other = found(
        r"training step is (.+): (\S+%) of its (\S+ \S+)\. Next comes (.+), (\S+%)\.", said
    )
    ranked, total = sorted(parts, key=parts.get, reverse=True), sum(parts.values())
    assert [first.strip("'"), second.strip("'")] == ranked[:2]
    assert milliseconds(whole_step) == pytest.approx(total, rel=0.02)
    assert float(share[:-1]) == pytest.approx(100 * parts[ranked[0]] / total, abs=1)
    assert float(other[:-1]) == pytest.approx(100 * parts[ranked[1]] / total, abs=1)


def test_what_each_change_brings_is_what_was_measured(run):
    said = run.lessons[2].said("profiling.outcome(")
    [drawn] = run.lessons[2].drawn("profiling.outcome(")
    was, *nows = sum(parts_of(drawn).values())
    waiting = parts_of(drawn)["waiting for data"]
    blocks = re.findall(r"^\S.*(?:\n  .*)+", said, re.M)  # a name, and indented lines below it
    assert len(blocks) == len(nows) == 2
    for place, (block, now) in enumerate(zip(blocks, nows, strict=True), start=1):
        after, before, whole, sign, wait, wait_sign = found(
            r"takes (\S+ \S+) instead of (\S+ \S+): (\S+ \S+) (less|more)\. "
            r"Waiting for data takes (\S+ \S+) (less|more)",
            block,
        )
        assert milliseconds(before) == pytest.approx(was, rel=0.02)
        assert milliseconds(after) == pytest.approx(now, rel=0.02)
        assert signed(whole, sign) == pytest.approx(was - now, abs=0.01 * was)
        less = waiting[0] - waiting[place]
        assert signed(wait, wait_sign) == pytest.approx(less, abs=0.02 * was)
        still = found(r"A step now waits ([\d.]+)% of its time", block)[0]
        assert float(still) == pytest.approx(100 * waiting[place] / now, abs=1.5)
        judged_by_its_limit(block, 1 - now / was, less / was)
    saved = {block.splitlines()[0]: 1 - now / was for block, now in zip(blocks, nows, strict=True)}
    best, last = max(saved, key=saved.get), said.strip().splitlines()[-1]
    if saved[best] < 0.015:
        assert last.startswith("No change made a training step shorter")
    elif saved[best] > 0.025:
        assert last.startswith(f"{best} saved the most: ")


def signed(time: str, word: str) -> float:
    return milliseconds(time) * (1 if word == "less" else -1)


def judged_by_its_limit(block: str, saved: float, by_waiting: float) -> None:
    """The judgement fits what was saved and, where one was given, the limit that was expected."""
    share, word = found(r"That is ([\d.]+)% (less|more)", block)
    assert saved == pytest.approx(float(share) / 100 * (1 if word == "less" else -1), abs=0.02)
    expected = re.search(r"at most ([\d.]+)% of a training step", block)
    assert expected or "cannot be predicted" in block
    judged = ["made the run slower", "made no difference", "the change helped"]
    [told] = [place for place, words in enumerate(judged) if words in block]
    least, most = (np.searchsorted((-0.02, 0.02), saved + off) for off in (-0.01, 0.01))
    assert least <= told <= most  # as rounded
    if told == 2:
        share = float(found(r"Less waiting saved ([-\d.]+)% of the step", block)[0]) / 100
        assert share == pytest.approx(by_waiting, abs=0.02)
        if expected and abs(gap := by_waiting - float(expected[1]) / 100 - 0.02) > 0.01:
            assert (", more than the expected limit" in block) == (gap > 0)


def test_what_03_has_made_and_what_it_cost(run):
    right, photos = run.main.scores
    times = right / photos / run.chance
    assert f"test accuracy {right / photos:.1%}, {times:.0f} x chance" in run.lessons[2].text
    rows = run.lessons[2].table("jobs.costs(ws, *trained")
    seconds = {job.name: job.seconds for job in run.jobs}
    assert len(rows) == 8
    for name, _, billed, dollars in rows.itertuples(index=False):
        assert int(billed) == seconds[name] and float(dollars) == 0


# ------------------------------------------------------------------------------------- notebook 04


def test_the_model_that_is_deployed_is_that_of_03(run):
    job = run.main
    said = run.lessons[3].said("job = jobs.latest_training_job(")
    assert job.name in said
    assert near(found(r"test accuracy (\S+%)", said)[0], job.metrics["test_accuracy"])


def test_the_answers_are_classes_of_the_photos(run):
    names = set(run.counts.index)
    three = re.findall(r"'([^']+)'", run.lessons[3].said("truths = "))
    assert len(three) == 3 and set(three) <= names
    rows = run.lessons[3].table("first = json.loads(")
    assert len(rows) == min(5, len(names)) and set(rows["class_name"]) <= names
    likely = rows["probability"].astype(float)
    assert likely.is_monotonic_decreasing and likely.sum() <= 1.001
    part = "top = steps.nlargest("
    said, logits = run.lessons[3].said(part), run.lessons[3].table(part)
    assert said.startswith(f"shape [1, {len(names)}], logits from ")
    assert f"The {len(names)} exponentials add up to" in said
    assert logits.iloc[:, 0].tolist() == rows["class_name"][: len(logits)].tolist()
    shown = logits["probability"].astype(float).tolist()
    assert shown == pytest.approx(likely[: len(logits)].tolist(), rel=0.01)
    apart, times = found(r"exp\((\S+)\) = (\S+) times as probable", said)
    assert float(times) == pytest.approx(math.exp(float(apart)), rel=0.01)
    as_it_was, _ = re.findall(r"^(?:as it was|mirrored) +([\d.]+)%  ", run.lessons[3].text, re.M)
    assert float(as_it_was) == pytest.approx(100 * likely[0], abs=1e-3)


def test_the_times_of_requests_are_told_as_drawn(run):
    [drawn] = run.lessons[3].drawn("figures.latency(")
    series, sizes = drawn["axes"]
    first, later = (np.array(line["y"]) for line in lines(series, marker="o"))
    said = run.lessons[3].said("later_ms = [")
    median, p95 = found(r"median (\d+) ms, p95 (\d+) ms", said)
    middle, slow = np.percentile(later, [50, 95])
    assert near(median, middle) and near(p95, slow)
    assert near(found(r"The first request took (\d+) ms", said)[0], first[0])
    count = (later > first[0]).sum()
    assert f"{count or 'None'} of the later ones took longer" in said
    times, title = first[0] / middle, flat(series["title"])
    assert ("no slower than" in title) == (times < 1.1)
    if times >= 1.1:
        assert float(found(r"took ([\d.,]+) times", title)[0]) == pytest.approx(times, rel=0.06)
    if slower := re.search(r"(\d+) of (\d+) later ones took longer", title):
        assert (int(slower[1]), int(slower[2])) == ((later > first[0]).sum(), len(later))
    [dots] = [line for line in lines(sizes, marker="o") if len(line["x"]) == 4]
    said = run.lessons[3].said("figures.latency(")
    ratio = float(found(r"take ([\d.]+) times as long as one, ", said)[0])
    assert ratio == pytest.approx(dots["y"][3] / dots["y"][0], abs=0.06)
    assert ("no less than eight" in said) == (dots["y"][3] >= 8 * dots["y"][0])
    slope, fixed = np.polyfit(dots["x"], dots["y"], 1, w=1 / np.array(dots["y"]))
    misses = np.abs(fixed + slope * np.array(dots["x"]) - dots["y"])
    rises = 7 * slope > 0.05 * min(dots["y"])
    poor = (misses > 0.25 * np.array(dots["y"])).any() or (rises and misses.max() > slope)
    assert ("fits poorly" in flat(sizes["title"])) == poor
    assert flat(sizes["title"]) in said
    if more := re.search(r"About ([\d.,]+) ms more for each", flat(sizes["title"])):
        assert float(more[1].replace(",", "")) == pytest.approx(slope, abs=0.06)


def test_none_of_these_is_told_as_drawn_and_in_the_tables(run):
    lesson = run.lessons[3]
    [drawn] = lesson.drawn("figures.none_of_these(")
    threshold = float(found(r"threshold ([\d.]+)", lesson.said('valid["probability"].quantile'))[0])
    for axis, name in zip(drawn["axes"], ("test photos", "pictures without a dog"), strict=False):
        passed, pictures = map(int, found(rf"(\d+) of (\d+) {name} pass", axis["title"]))
        heights, edges = axis["bars"][0]["height"], axis["bars"][0]["x"]
        assert sum(heights) == pictures
        bars = list(zip(heights, edges, strict=True))
        above = sum(height for height, left in bars if left >= threshold)
        cut = sum(height for height, left in bars if left < threshold <= left + 0.0251)
        assert above <= passed <= above + cut
    said, rows = lesson.said("figures.refusals_say("), lesson.table("figures.refusals_say(")
    refused, total = map(int, found(r"(\d+) of (\d+) pictures without a dog are refused", said))
    assert (total - refused, total) == (passed, pictures)
    highest = rows.set_index("kind")["max"].astype(float)
    assert (highest.max() >= threshold) == (passed > 0)
    if not passed:
        kind, limit, closest = found(r"kind '(.+)' comes closest .* of (\S+), with (\S+)\.", said)
        assert near(limit, threshold) and near(closest, highest[kind])
        assert highest[kind] == highest.max()
    else:
        most = re.findall(r"(\w+) \((\d+) of (\d+)\)", said)
        assert most or "All kinds pass equally often" in said
        assert all(highest[kind] >= threshold and int(n) <= passed for kind, n, _ in most)
    told = re.findall(
        r"^(kept|refused): (\d+) of (\d+) answers are wrong(?: \((\d+%)\))?", lesson.text, re.M
    )
    assert [group for group, *_ in told] == ["kept", "refused"]
    right, photos = run.main.scores  # fewer than the cell takes at most, so it asked about all
    assert sum(int(count) for _, _, count, _ in told) == photos
    assert sum(int(wrong) for _, wrong, *_ in told) == photos - right
    assert int(told[0][2]) == int(found(r"^(\d+) of", drawn["axes"][0]["title"])[0])
    for _, wrong, photos, share in told:
        assert int(wrong) <= int(photos) and bool(share) == (photos != "0")
        assert not share or near(share, int(wrong) / int(photos))
    said = lesson.said("figures.doubts(")
    if (gap := re.search(r"difference ([+-]\d+) to ([+-]\d+)", said)) is None:
        assert "0 of 0 answers" in said and "cannot be compared" in said
    else:
        low, high = map(int, gap.groups())
        assert ("may be chance" in said) == (low <= 0 <= high)
        assert ("refuses doubtful answers" in said) == (low > 0)


def test_the_write_up_has_the_numbers_of_the_lessons(run):
    told, job = sections(run.write_up), run.main
    model = dict(rows_of(told["Model"])[1:])
    assert model["training job"] == job.name and model["weights at the start"] == job.weights
    for name in ("valid_accuracy", "test_accuracy", "chance"):
        assert float(model[name]) == pytest.approx(job.metrics[name], abs=6e-5)
    names, *rows = rows_of(told["Training jobs"])
    assert [row[0] for row in rows] == [each.name for each in run.jobs]
    for row, each in zip(rows, run.jobs, strict=True):
        row = dict(zip(names, row, strict=True))
        assert row["status"] == each.status and int(row["billable s"]) == each.seconds
        assert row["weights"].split(" (")[0] == each.weights
        told_of = {name: each.given.get(name) for name in ("lr", "batch-size", "epochs")}
        told_of |= {name: each.metrics.get(name) for name in ("valid_accuracy", "test_accuracy")}
        for name, value in told_of.items():
            if value is None:
                assert row[name] == "-"
            else:  # four digits
                assert float(row[name]) == pytest.approx(float(value), rel=1e-3, abs=6e-5)
    values = {row[0]: row[1:] for row in rows_of(told["Hyperparameters"])[1:]}
    assert float(values["lr"][0]) == pytest.approx(run.best["lr"], rel=1e-3)
    assert values["batch-size"] == [str(run.best["batch-size"]), job.given["batch-size"]]
    assert values["epochs"] == [str(run.best["epochs"]), job.given["epochs"]]
    names, *rows = rows_of(told["Debugger's rules"])
    tested = run.lessons[2].table("debugger.tested(", 0).set_index("rule")
    assert names == ["rule", "deployed job", "ill run"]
    assert {row[0]: row[1:] for row in rows} == {
        rule: [row["healthy run"], row["ill run"]] for rule, row in tested.iterrows()
    }


def test_the_write_up_has_the_endpoint_s_numbers(run):
    told, lesson = sections(run.write_up), run.lessons[3]
    endpoint = dict(rows_of(told["The endpoint"])[1:])
    requests, refused, failed, answered = (
        int(endpoint[name]) for name in ("requests", "refused (4xx)", "failed (5xx)", "answered")
    )
    assert answered == requests - refused - failed
    assert f"Result: {answered} answers, {refused} refusals" in lesson.text
    shown = lesson.table("counted = {")
    assert shown.iloc[:4, 1].astype(int).tolist() == [requests, refused, failed, answered]
    query = dict(rows_of(told["A query and its answer"])[1:])
    first = lesson.table("first = json.loads(")
    for place, row in first.head(3).iterrows():
        breed, share = query[f"answer {place + 1}"].rsplit(", ", 1)
        assert breed == row["breed"] and near(share, float(row["probability"]))
    assert query["its breed"] in run.counts.index
    assert query["shape of the logits"] == f"[1, {len(run.counts)}]"
    *cleaned, (kept, _) = rows_of(told["Clean-up"])[1:]
    assert (
        all(value == "none left" for _, value in cleaned)
        and kept == "photos, archives, tensors, logs"
    )
    shown = run.write_up.replace("(profiler-report.html)", "(reports/profiler-report.html)")
    assert lesson.said("report.save(").endswith(shown)
    bill = dict(rows_of(told["Costs"])[1:])
    seconds = sum(job.seconds for job in run.jobs)
    assert bill["training"] == f"{seconds:,} billable seconds in {len(run.jobs)} jobs"
    assert bill["billed"].startswith("nothing")
    most = re.search(r"at most ([\d.]+) USD .*\(notebook (.*)\), if", lesson.said("whole_course"))
    parts = [float(part.split()[1]) for part in most[2].split(", ")]
    assert len(parts) == 4 and float(most[1]) == pytest.approx(sum(parts), abs=0.02)


# ----------------------------------------------------------------------------- what each run is for


def test_each_run_is_what_it_is_called(run):
    main, other, names = run.main, run.job("dog-breeds-scratch-"), set(run.counts.index)
    known = {breed.folder for breed in breeds.choose(133)}
    assert main.weights == ("random" if run.name == "upside down" else "imagenet")
    assert other.weights == ("imagenet" if run.name == "upside down" else "random")
    assert run.tuning["HyperParameterTuningJobConfig"]["RandomSeed"] == (
        17 if run.name == "another seed" else 6
    )
    if run.name == "upside down":
        said = run.lessons[2].said("predictions.compared(")
        assert re.search(r"The first is [\d.]+ points below the second", said)
        assert "from random weights is better than from ImageNet's weights." in said
        assert re.search(r"Not better than guessing \(\S+\): from ImageNet's weights\.", said)
    if run.name != "pictures without dogs":
        assert len(names) == BREEDS and names < known
        return
    assert names == set(NO_DOGS)
    said = "\n".join(lesson.text for lesson in run.lessons)
    assert re.findall(r"133 (?:breeds|class|expon)|\[1, 133\]", said) == []
    assert not [folder for folder in known if dataset.breed(folder) in said]
