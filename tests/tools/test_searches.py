"""`tools/searches.py`: named search spaces, as train.py, the SDK and SageMaker take them."""

import inspect
import math
from types import SimpleNamespace

import nbformat
import pytest
import torch
from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter

import models
import options
from course.workspace import ROOT
from local_sagemaker.tuning import ranges as engine
from tools import searches

NAMES = list(searches.NAMED)


def asked(search):
    """The search's ranges as a tuning job's request has them."""
    request = {}
    for name, parameter in searches.ranges(search).items():
        kind = f"{parameter.__name__}ParameterRanges"
        request.setdefault(kind, []).append(parameter.as_tuning_range(name))
    return request


def parsed(words):
    """What `train.py` makes of its options."""
    folders = ["--train-dir", "a", "--valid-dir", "b", "--model-dir", "m"]
    return vars(options.parse([*folders, *map(str, words)]))


def ends(name):
    return {option: span.ends for option, span in searches.NAMED[name].ranges.items()}


@pytest.mark.parametrize("name", NAMES)
class TestEach:
    def test_the_sdk_s_ranges_have_its_kinds_ends_and_scales(self, name):
        spans = searches.NAMED[name].ranges
        found = searches.ranges(searches.NAMED[name])
        assert list(found) == list(spans)
        for option, span in spans.items():
            if isinstance(span, searches.Categorical):
                assert type(found[option]) is CategoricalParameter
                assert found[option].values == [str(value) for value in span.values]
                continue
            whole = isinstance(span, searches.Integer)
            assert type(found[option]) is (IntegerParameter if whole else ContinuousParameter)
            low, high, scale = vars(found[option]).values()
            assert (low, high, scale) == (*span.ends, span.scale)

    def test_a_tuning_job_may_have_these_ranges(self, name):
        assert list(engine.of(asked(searches.NAMED[name])))  # what AWS would refuse raises

    def test_an_option_is_fixed_or_varied_and_what_is_usual_is_there(self, name):
        search = searches.NAMED[name]
        assert not search.hyperparameters.keys() & search.ranges.keys()
        assert set(search.usual) <= search.hyperparameters.keys() | search.ranges.keys()
        assert "model" in search.hyperparameters

    def test_its_command_says_exactly_what_it_fixes(self, name):
        search = searches.NAMED[name]
        fixed = {option.replace("-", "_"): v for option, v in search.hyperparameters.items()}
        words = searches.command(search).removeprefix("python train.py").split()
        assert parsed(words) == parsed([]) | fixed

    def test_train_py_understands_both_ends_of_each_range(self, name):
        for option, span in searches.NAMED[name].ranges.items():
            found = [parsed([f"--{option}", end])[option.replace("-", "_")] for end in span.ends]
            assert found == list(span.ends)

    def test_notebook_03_finds_the_best_batch_size(self, name):
        sizes = searches.NAMED[name].ranges["batch-size"]
        assert isinstance(sizes, searches.Categorical)
        assert all(isinstance(size, int) for size in sizes.values)


def test_names_are_unique():
    groups = (*searches.PUBLISHED, searches.COURSE, *searches.RECOMMENDED)
    assert [search.name for search in groups] == NAMES


def cell(beginning):
    """The source of notebook 02's code cell that begins so."""
    cells = nbformat.read(ROOT / "notebooks" / "02-hpo.ipynb", as_version=4).cells
    (found,) = (c.source for c in cells if c.source.startswith(beginning))
    return found


def plain(parameters):
    return {name: (type(found), vars(found)) for name, found in parameters.items()}


def test_notebook_02_searches_as_the_page_says():
    names = {kind.__name__: kind for kind in (ContinuousParameter, IntegerParameter)}
    names |= {"CategoricalParameter": CategoricalParameter, "NETWORK": "resnet50"}
    names["ws"] = SimpleNamespace(image_size=224)
    exec(cell("ranges = {"), names)
    exec(cell("settings = {"), names)
    assert plain(names["ranges"]) == plain(searches.ranges(searches.COURSE))
    assert names["settings"].pop("image-size") == 224  # the network's own, on AWS
    assert names["settings"] == searches.COURSE.hyperparameters


@pytest.mark.parametrize("network", ["resnet50", "efficientnet_lite0"])
def test_notebook_02_normalises_as_the_script_does(network):
    names = {"NETWORK": network}
    exec(cell("MEAN, STD = "), names)
    asked = models.preprocessing_of(network)
    assert (tuple(names["MEAN"]), tuple(names["STD"])) == (asked.mean, asked.std)


def test_five_projects_are_searched_as_they_were_published():
    assert [search.name for search in searches.PUBLISHED] == NAMES[:5]
    assert ends("vgg16-adam") == {
        "lr": (0.001, 0.1),
        "batch-size": (128, 256),
        "epochs": (5, 7, 10),
    }
    assert ends("resnet50-short") == {
        "lr": (0.001, 0.1),
        "batch-size": (32, 64, 128),
        "epochs": (1, 2),
    }
    large = ends("large-batches")
    assert (large["lr"], large["batch-size"]) == ((0.001, 0.1), (128, 256, 512))
    assert isinstance(searches.NAMED["large-batches"].ranges["epochs"], searches.Integer)
    assert ends("resnet50-sgd") == {
        "lr": (0.01, 0.1),
        "momentum": (0.5, 0.9),
        "batch-size": (32, 64),
        "epochs": (5, 10),
    }
    models = {search.name: search.hyperparameters["model"] for search in searches.PUBLISHED}
    assert models.pop("vgg16-adam") == "vgg16"
    assert set(models.values()) == {"resnet50"}


def defaults(optimizer):
    return {name: p.default for name, p in inspect.signature(optimizer).parameters.items()}


def test_adamw_s_ranges_are_multiples_of_pytorch_s_defaults():
    found, default = ends("resnet50-adamw"), defaults(torch.optim.AdamW)
    assert found["lr"] == pytest.approx((0.01 * default["lr"], 100 * default["lr"]))
    decay = default["weight_decay"]
    assert found["weight-decay"] == pytest.approx((0.1 * decay, 10 * decay))
    assert found["eps"] == (1e-9, 1e-8)
    assert found["batch-size"] == (64, 128)
    assert searches.NAMED["resnet50-adamw"].hyperparameters["head-layers"] == 2


@pytest.mark.parametrize("search", searches.PUBLISHED, ids=lambda search: search.name)
def test_a_published_project_takes_pytorch_s_optimiser_as_it_comes(search):
    fixed = search.hyperparameters
    assert (fixed["schedule"], fixed["warmup"], fixed["label-smoothing"]) == ("constant", 0, 0)
    assert fixed["train-layers"] == "head"
    if "weight-decay" not in search.ranges:
        kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[fixed["optimizer"]]
        assert fixed["weight-decay"] == defaults(kind)["weight_decay"]


@pytest.mark.parametrize("search", searches.RECOMMENDED, ids=lambda search: search.name)
def test_each_choice_of_ours_has_a_reason(search):
    fixed = search.hyperparameters
    assert fixed.keys() | search.ranges.keys() <= searches.REASONS.keys()
    short = search.name == "efficientnet_lite0"  # two epochs
    assert fixed["augmentation"] == ("crop" if short else "colour")
    assert fixed["schedule"] == "cosine"
    assert 0 < fixed["warmup"] < 1
    assert fixed["label-smoothing"] > 0
    if fixed.get("weights") == "random":
        assert fixed["train-layers"] == "all"
        assert not {"head-epochs", "body-lr", "batch-norm"} & fixed.keys()
        return
    assert fixed["body-lr"] < 1
    assert fixed["batch-norm"] == "frozen"
    if short:
        assert fixed["train-layers"] == "all"
    else:  # head first, then the last stage
        assert fixed["train-layers"] == "last-stage"
        assert fixed["head-epochs"] < fixed["epochs"]


def test_no_reason_is_left_over():
    chosen = set()
    for search in searches.RECOMMENDED:
        chosen |= search.hyperparameters.keys() | search.ranges.keys()
    assert searches.REASONS.keys() == chosen


def test_the_best_published_rate_is_the_middle_of_resnet50_s():
    low, high = ends("resnet50")["lr"]
    assert math.sqrt(low * high) == pytest.approx(3e-4, rel=0.1)
    assert searches.NAMED["resnet50"].ranges["lr"].scale == "Logarithmic"


def test_the_command_names_what_is_fixed_and_nothing_that_varies():
    words = searches.command(searches.NAMED["resnet50-sgd"]).split()
    assert words[:4] == ["python", "train.py", "--model", "resnet50"]
    assert "--momentum" not in words and "--optimizer" in words
