"""`benchmarks/illnesses.py`: small networks, really trained; the course's rules on what they left.

The full runs are `make rules-matrix`'s.
"""

from dataclasses import replace

import pytest
import torch

from benchmarks import illnesses
from benchmarks.illnesses import HEALTHY, ILL, Plain, Run
from course.debugger import rules
from course.sample_photos import sample
from open_debugger import RULES, evaluate

OPTIONS = ["--image-size", "32", "--batch-size", "8", "--epochs", "6", "--lr", "3e-3"]
OPTIONS += ["--precision", "fp32", "--num-workers", "0"]
SMALL = {  # in the place of torchvision's networks
    "ResNet18": Plain,
    "zero initialisation": lambda classes: illnesses.zeroed(Plain(classes)),
    # Normalised, so small a network stays finite for so few steps.
    "learning rate 1e3": lambda classes: Plain(classes, normalised=False),
    "dead ReLU": lambda classes: illnesses.dead(Plain(classes)),
    "overfitted": Plain,
}
WELL = [
    HEALTHY[0],
    Run(
        "tanh",
        "healthy, with the activation that may saturate",
        # In so few steps it learns with few seeds, and without learning no run is healthy.
        options=("--seed", "1"),
        network=lambda n: Plain(n, "tanh"),
    ),
]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return sample.make(tmp_path_factory.mktemp("drawn") / "photos", 5, (14, 4, 1))


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Threads do not help networks so small, and hinder where others want the processor, too."""
    before = torch.get_num_threads()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def results_of(run, photos, folder):
    """Train the run's small form; return what the course's rules say, by rule."""
    small = replace(run, network=SMALL.get(run.name, run.network))
    illnesses.train(small, photos, folder / "tensors", OPTIONS)
    return evaluate(folder / "tensors", [configured(name) for name in RULES])


def configured(name):
    parameters = {"rule_to_invoke": name, **rules.parameters(name)}
    return {"RuleConfigurationName": name, "RuleParameters": parameters}


@pytest.mark.parametrize("run", WELL, ids=lambda run: run.name)
def test_no_rule_fires_on_a_healthy_run(run, photos, tmp_path):
    results = results_of(run, photos, tmp_path)
    assert {r.name: r.details for r in results if r.status == "IssuesFound"} == {}
    # What had nothing to look at is silent for no reason.
    absent = {result.name for result in results if result.datapoints == 0}
    kind = "SaturatedActivation" if run.name == "ResNet18" else "DeadRelu"
    assert absent == {"CheckInputImages", kind}


@pytest.mark.parametrize("run", ILL, ids=lambda run: run.name)
def test_an_illness_is_caught_by_its_rule(run, photos, tmp_path):
    result = results_of(run, photos, tmp_path)[run.rule]
    assert result.status == "IssuesFound", result.details
    assert result.verdicts


def test_each_illness_has_a_rule_of_its_own():
    assert all(run.rule is None for run in HEALTHY)
    assert len({run.rule for run in ILL}) == len(ILL) == 6
    assert {run.rule for run in ILL} < set(RULES)


def test_a_few_photos_are_as_many_of_each_class(photos, tmp_path):
    folder = illnesses._some(photos / "train", tmp_path / "few", 10)
    assert [len(list(kind.iterdir())) for kind in sorted(folder.iterdir())] == [2] * 5
