"""`docs/training.md`: its commands do what `course/searches.py` says, and run."""

import contextlib
import json
import re
import shutil

import pytest
from PIL import ImageFile

import arguments
import train
from course import searches
from course.workspace import ROOT
from tests.support.tiny_photos import write_channels

PAGE = (ROOT / "docs" / "training.md").read_text()
FOLDERS = ["--train-dir", "a", "--valid-dir", "b", "--model-dir", "m"]
# What makes a run small: a step or two of 32 pixels, the least a network takes here.
SMALL = {"weights": "random", "image-size": 32, "batch-size": 4}


@pytest.fixture(autouse=True)
def outside_sagemaker(monkeypatch, tmp_path):
    for variable in [v for v in arguments.os.environ if v.startswith("SM_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", False)  # to be restored afterwards


def rows(heading):
    """The cells of each row of the tables whose head begins with `heading`."""
    tables = [part.partition("\n\n")[0] for part in PAGE.split(f"\n| {heading} |")[1:]]
    lines = [line for table in tables for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def ends(ranges):
    """The numbers in a field of ranges, by option."""
    spans = [span.split("` ") for span in ranges.split("<br>")]
    return {span[0].strip("`-"): re.findall(r"[\d.]+(?:e-\d+)?", span[1]) for span in spans}


COMMANDS = {  # by name: the words after `python train.py`, and the ends of the ranges
    name: (command.strip("`").split()[2:], ends(ranges))
    for name, _, command, ranges in rows("name | what it is")
}


def parsed(words):
    known, unknown = arguments.parse([*FOLDERS, *map(str, words)])
    assert unknown == []
    return vars(known)


def options(values):
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def test_the_page_has_every_named_search():
    assert list(COMMANDS) == list(searches.NAMED)


def test_the_tables_are_what_the_code_would_write():
    between = re.search(r"searches writes the tables -->\n(.*)<!-- end of the tables", PAGE, re.S)[
        1
    ]
    tables = [part.strip() for part in between.split("\n\n") if part.startswith("| ")]
    assert "\n\n".join(tables) == searches.page_tables(), "run: python -m course.searches"


@pytest.mark.parametrize("name", searches.NAMED)
def test_a_command_says_exactly_what_the_search_fixes(name):
    fixed = searches.NAMED[name].hyperparameters
    expected = parsed([]) | {option.replace("-", "_"): value for option, value in fixed.items()}
    assert parsed(COMMANDS[name][0]) == expected


@pytest.mark.parametrize("name", searches.NAMED)
def test_both_ends_of_each_range_are_understood(name):
    words, ranges = COMMANDS[name]
    assert list(ranges) == list(searches.NAMED[name].ranges)
    for option, span in searches.NAMED[name].ranges.items():
        understood = [
            parsed([*words, f"--{option}", end])[option.replace("-", "_")] for end in ranges[option]
        ]
        assert understood == list(span.ends)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    return write_channels(root, photos=4, channels=("train", "valid"))


@pytest.mark.parametrize("name", searches.NAMED)
def test_it_runs_scaled_down(name, photos, capsys):
    search = searches.NAMED[name]
    lows = {option: span.ends[0] for option, span in search.ranges.items()}
    # As many stages as the recipe has, an epoch each.
    stages = {"head-epochs": 1, "epochs": 2} if "head-epochs" in search.hyperparameters else {}
    changed = {**lows, "epochs": 1, **SMALL, **stages}
    places = {"train-dir": photos / "train", "valid-dir": photos / "valid"}
    model = photos / name
    words = [*COMMANDS[name][0], *options(changed), *options({**places, "model-dir": model})]
    with contextlib.ExitStack() as after:
        after.callback(shutil.rmtree, model, ignore_errors=True)  # VGG16's is 537 MB
        results = train.main(words)
        card = json.loads((model / "model.json").read_text())
        assert (model / "model.safetensors").stat().st_size > 10e6
    assert results["epoch"] == changed["epochs"]
    assert 0 <= results["valid_accuracy"] <= 1
    assert "ignored arguments" not in capsys.readouterr().out
    wanted = {**search.hyperparameters, **changed}
    recorded = {option: card["hyperparameters"][option.replace("-", "_")] for option in wanted}
    assert recorded == wanted


def test_every_option_has_its_line_with_its_default_and_its_choices():
    actions = [a for a in arguments.build_parser()._actions if a.dest != "help"]
    lines = {line[0]: line[1:] for line in rows("option | default")}
    assert list(lines) == [f"`{action.option_strings[0]}`" for action in actions]
    for action in actions:
        default, text = lines[f"`{action.option_strings[0]}`"]
        if action.default is not None:
            assert default == str(action.default)
        elif action.dest.endswith("_dir") and action.dest != "checkpoint_dir":
            assert f"[${default.strip('`')}]" in action.help
        else:
            assert default in ("none", "by weights", "by size", "by the job")
        words = set(re.findall(r"[\w-]+", text))
        assert set(action.choices or ()) <= words
