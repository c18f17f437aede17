"""`entry_points/learning.py`: device and precision, a pass over data, optimisers, the schedule."""

from argparse import Namespace

import pytest
import torch

import learning
from learning import Machine

CPU = Machine()


def options(**changes):
    values = {"optimizer": "sgd", "lr": 0.5, "weight_decay": 0.0, "momentum": 0.0, "eps": 1e-8}
    values |= {"schedule": "cosine", "warmup": 0.1, "nan_loss": "stop"}
    return Namespace(**{**values, **changes})


def learner(model, steps, machine=CPU, **changes):
    groups = [{"params": [p for p in model.parameters() if p.requires_grad]}]
    return learning.Learner(options(**changes), groups, steps, machine)


def test_a_pass_averages_over_images_not_batches():
    class Bias(torch.nn.Module):  # says "class 0", more firmly the larger the value
        def forward(self, photos):
            return torch.stack([photos.mean((1, 2, 3)), torch.zeros(len(photos))], 1)

    photos = torch.full((3, 8, 8, 3), 255, dtype=torch.uint8)
    labels = torch.tensor([0, 0, 1])
    criterion = torch.nn.CrossEntropyLoss()
    whole = learning.run_pass(Bias(), [(photos, labels)], criterion, CPU)
    parts = [(photos[:2], labels[:2]), (photos[2:], labels[2:])]
    split = learning.run_pass(Bias(), parts, criterion, CPU)
    assert split.loss == pytest.approx(whole.loss)
    assert split.accuracy == whole.accuracy == pytest.approx(2 / 3)
    assert split.images == 3


def test_the_rate_warms_up_and_falls_to_zero():
    model = torch.nn.Linear(1, 1, bias=False)
    learn = learner(model, 20)
    sizes = []
    for _ in range(20):
        before = model.weight.item()
        learn(model(torch.ones(1, 1)).sum())  # a gradient of 1: the step is the rate
        sizes.append(before - model.weight.item())
    assert sizes[:2] == pytest.approx([0.25, 0.5], abs=1e-6)
    assert sizes[2] == pytest.approx(0.5, abs=1e-6)
    assert sizes[2:] == sorted(sizes[2:], reverse=True)
    assert 0 <= sizes[-1] < 0.01


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimizer_learns_and_leaves_frozen_parameters_alone(optimizer):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model[0].requires_grad_(False)
    before = [p.clone() for p in model.parameters()]
    learn = learner(model, 10, optimizer=optimizer, lr=0.1)
    losses = []
    for _ in range(10):
        loss = torch.nn.functional.cross_entropy(model(torch.ones(1, 4)), torch.tensor([1]))
        learn(loss)
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    same = [torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert same == [True, True, False, False]


def test_momentum_eps_and_weight_decay_reach_the_optimizer():
    parameters = [torch.nn.Parameter(torch.ones(1))]
    sgd = learning._make_optimizer(options(momentum=0.7, weight_decay=0.1), parameters)
    assert (sgd.defaults["momentum"], sgd.defaults["weight_decay"]) == (0.7, 0.1)
    adam = learning._make_optimizer(options(optimizer="adam", eps=1e-3), parameters)
    assert type(adam).__name__ == "Adam"
    assert adam.defaults["eps"] == 1e-3


@pytest.fixture(autouse=True)
def same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_the_precision_asked_for_is_used(precision, dtype):
    chosen = learning.choose_machine(precision)
    layer = torch.nn.Linear(4, 4).to(chosen.device)
    with chosen.autocast():
        assert layer(torch.ones(2, 4, device=chosen.device)).dtype == dtype
    assert f"precision={precision}" in str(chosen)


def test_threads_are_those_of_omp_num_threads_if_set(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    learning.choose_machine("auto")
    assert torch.get_num_threads() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    learning.choose_machine("auto")
    assert torch.get_num_threads() == learning.cpu_count()
