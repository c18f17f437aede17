"""`entry_points/optim.py`: parameter groups, optimisers, the schedule, non-finite losses."""

from argparse import Namespace

import pytest
import torch

import models
import optim


def options(**changes):
    values = {"optimizer": "sgd", "lr": 0.5, "weight_decay": 0.0, "momentum": 0.0, "eps": 1e-8}
    values |= {"schedule": "cosine", "warmup": 0.1, "nan_loss": "stop", "body_lr": 1.0}
    return Namespace(**{**values, **changes})


def make(model, steps, **changes):
    """Return an optimiser of the model's trainable parameters, and its schedule."""
    chosen = options(**changes)
    groups = [{"params": [p for p in model.parameters() if p.requires_grad], "lr": chosen.lr}]
    optimizer = optim.make_optimizer(groups, chosen)
    return optimizer, optim.make_scheduler(optimizer, chosen, steps)


def step(loss, optimizer, scheduler):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scheduler.step()


# Parameter groups


def trained(layers, **changes):
    """Return a ResNet18 that trains these layers, and its parameter groups."""
    model = models.build("resnet18", 3)
    models.set_trainable(model, "resnet18", layers)
    return model, optim.parameter_groups(model, **{"head_lr": 0.1, "body_lr": 0.01, **changes})


def test_the_head_has_its_own_rate():
    model, (head, head_bias, body, body_norms) = trained("last-stage")
    assert [p.shape for group in (head, head_bias) for p in group["params"]] == [(3, 512), (3,)]
    assert (head["lr"], head_bias["lr"]) == (0.1, 0.1)
    assert (body["lr"], body_norms["lr"]) == (pytest.approx(0.01), pytest.approx(0.01))
    stage = {id(parameter) for parameter in model.layer4.parameters()}
    assert {id(p) for group in (body, body_norms) for p in group["params"]} == stage


def test_only_parameters_that_train_are_in_a_group():
    _, head = trained("head")
    assert [len(group["params"]) for group in head] == [1, 1]
    model, everything = trained("all")
    assert sum(len(group["params"]) for group in everything) == len(list(model.parameters()))


def test_biases_and_normalisation_are_not_decayed():
    model, groups = trained("all")
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    kept = {names[id(p)] for g in groups if g.get("weight_decay") == 0 for p in g["params"]}
    assert kept == {n for n in names.values() if "bn" in n or "downsample.1" in n or "bias" in n}
    decays = [
        g["weight_decay"]
        for g in optim.make_optimizer(groups, options(weight_decay=0.1)).param_groups
    ]
    assert decays == [0.1, 0.0, 0.1, 0.0]


# Optimisers


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_every_optimizer_learns_and_leaves_frozen_parameters_alone(optimizer):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    model.head_name = "1"
    model[0].requires_grad_(False)
    before = [p.clone() for p in model.parameters()]
    chosen = options(optimizer=optimizer, lr=0.1)
    steps = optim.make_optimizer(optim.parameter_groups(model, 0.1, 0.1), chosen)
    scheduler = optim.make_scheduler(steps, chosen, 10)
    losses = []
    for _ in range(10):
        loss = torch.nn.functional.cross_entropy(model(torch.ones(1, 4)), torch.tensor([1]))
        step(loss, steps, scheduler)
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    same = [torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert same == [True, True, False, False]


def test_momentum_eps_and_weight_decay_reach_the_optimizer():
    parameters = [{"params": [torch.nn.Parameter(torch.ones(1))]}]
    sgd = optim.make_optimizer(parameters, options(momentum=0.7, weight_decay=0.1))
    assert (sgd.defaults["momentum"], sgd.defaults["weight_decay"]) == (0.7, 0.1)
    adam = optim.make_optimizer(parameters, options(optimizer="adam", eps=1e-3))
    assert type(adam) is torch.optim.Adam
    assert adam.defaults["eps"] == 1e-3
    adamw = optim.make_optimizer(parameters, options(optimizer="adamw", weight_decay=0.1))
    assert type(adamw) is torch.optim.AdamW
    assert adamw.defaults["weight_decay"] == 0.1


def test_a_first_step_that_overflows_leaves_no_trace_in_the_momentum():
    """In fp16 it is skipped. Fused SGD would take uninitialised memory for its momentum."""
    weight = torch.nn.Parameter(torch.zeros(1000))
    optimizer = optim.make_optimizer([{"params": [weight]}], options(momentum=0.9))
    scaler = torch.amp.GradScaler("cpu")
    for factor in (1e38, 1.0, 1.0):
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
    expected = torch.full((1000,), -0.5 * (1.0 + 1.9))
    torch.testing.assert_close(weight.detach(), expected)


# The schedule


def test_the_rate_warms_up_and_falls_to_zero():
    model = torch.nn.Linear(1, 1, bias=False)
    made = make(model, 20)
    sizes = []
    for _ in range(20):
        before = model.weight.item()
        step(model(torch.ones(1, 1)).sum(), *made)  # the gradient is 1: the step is the rate
        sizes.append(before - model.weight.item())
    assert sizes[:2] == pytest.approx([0.25, 0.5], abs=1e-6)
    assert sizes[2] == pytest.approx(0.5, abs=1e-6)
    assert sizes[2:] == sorted(sizes[2:], reverse=True)
    assert 0 <= sizes[-1] < 0.01


def test_a_constant_rate_stays():
    model = torch.nn.Linear(1, 1, bias=False)
    optimizer, scheduler = make(model, 20, schedule="constant", warmup=0.0)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        step(model(torch.ones(1, 1)).sum(), optimizer, scheduler)
    assert rates == [0.5] * 20


def test_each_group_has_its_own_rate_on_the_one_schedule():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1))
    groups = [
        {"params": list(model[0].parameters()), "lr": 0.5},
        {"params": list(model[1].parameters()), "lr": 0.05},
    ]
    optimizer = optim.make_optimizer(groups, options())
    scheduler = optim.make_scheduler(optimizer, options(), 20)
    for _ in range(11):
        step(model(torch.ones(1, 1)).sum(), optimizer, scheduler)
    fast, slow = (group["lr"] for group in optimizer.param_groups)
    assert 0 < fast < 0.5 and slow == pytest.approx(fast / 10)


# Losses that are not finite


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), torch.tensor(float("nan"))])
def test_a_loss_that_is_not_finite_stops_the_run(loss):
    with pytest.raises(optim.NotFinite, match=r"at step 2 of the epoch: lower --lr \(it is 0\.5\)"):
        optim.check_finite(loss, 1, options())
    optim.check_finite(loss, 1, options(nan_loss="continue"))
    optim.check_finite(torch.tensor(1e30), 1, options())


def test_a_gpus_loss_is_read_every_50_steps():
    """Reading it makes the GPU wait."""

    class Loss(torch.Tensor):
        device = torch.device("cuda")
        reads = 0

        def item(self):
            Loss.reads += 1
            return 1.0

    for number in range(101):
        optim.check_finite(torch.ones(()).as_subclass(Loss), number, options())
    assert Loss.reads == 3
