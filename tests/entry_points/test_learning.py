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


def test_the_rate_stays_where_it_is_told_to():
    model = torch.nn.Linear(1, 1, bias=False)
    learn = learner(model, 20, schedule="constant", warmup=0.0)
    rates = []
    for _ in range(20):
        rates.append(learn.optimizer.param_groups[0]["lr"])
        learn(model(torch.ones(1, 1)).sum())
    assert rates == [0.5] * 20


def test_each_group_has_its_own_rate_on_the_one_schedule():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1))
    groups = [
        {"params": list(model[0].parameters()), "lr": 0.5},
        {"params": list(model[1].parameters()), "lr": 0.05},
    ]
    learn = learning.Learner(options(), groups, 20, CPU)
    for _ in range(11):
        learn(model(torch.ones(1, 1)).sum())
    fast, slow = (group["lr"] for group in learn.optimizer.param_groups)
    assert 0 < fast < 0.5 and slow == pytest.approx(fast / 10)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_learner_goes_on_from_its_state_as_if_never_interrupted(optimizer, precision):
    machine, inputs = Machine(precision=precision), torch.randn(20, 3)

    def begun():
        torch.manual_seed(0)
        model = torch.nn.Linear(3, 1)
        changes = {"optimizer": optimizer, "momentum": 0.9, "lr": 0.01}
        return model, learner(model, 20, machine, **changes)

    def go_on(model, learn, steps):
        for step in steps:
            learn(model(inputs[step]).sum() * 3)

    whole, learn = begun()
    go_on(whole, learn, range(20))
    first, learn = begun()
    go_on(first, learn, range(11))
    second, other = begun()
    second.load_state_dict(first.state_dict())
    other.load_state_dict(learn.state_dict())
    go_on(second, other, range(11, 20))
    assert torch.equal(second.weight, whole.weight)
    assert not torch.equal(first.weight, whole.weight)


def test_in_fp16_losses_are_scaled_and_steps_that_overflow_are_left_out():
    model = torch.nn.Linear(1, 1, bias=False)
    learn = learner(model, 10, Machine(precision="fp16"), schedule="constant", warmup=0)
    before = model.weight.item()
    gradients = []
    model.weight.register_hook(lambda gradient: gradients.append(gradient.item()))
    learn(model(torch.ones(1, 1)).sum())
    assert gradients == [65536.0]  # PyTorch's first scale, of which the optimiser sees nothing
    assert model.weight.item() == pytest.approx(before - 0.5)
    after = model.weight.item()
    learn(model(torch.full((1, 1), 1e38)).sum())  # times the scale it is infinite
    assert model.weight.item() == after
    learn(model(torch.ones(1, 1)).sum())
    assert gradients[-1] == 32768.0


def test_a_loss_that_is_no_number_stops_before_it_reaches_the_weights():
    model = torch.nn.Linear(1, 1)
    learn = learner(model, 10)
    learn(model(torch.ones(1, 1)).sum())
    before = model.weight.item()
    with pytest.raises(learning.NotFinite, match=r"nan at step 2: lower --lr \(it is 0\.5\)"):
        learn(model(torch.full((1, 1), float("nan"))).sum())
    assert model.weight.item() == before
    on = learner(model, 10, nan_loss="continue")
    on(model(torch.full((1, 1), float("nan"))).sum())
    assert model.weight.isnan().all()


class Dropping(torch.nn.Module):
    """A network whose answers depend on dropout alone."""

    def __init__(self):
        super().__init__()
        self.layer, self.dropout = torch.nn.Linear(8 * 8 * 3, 2), torch.nn.Dropout(0.5)

    def forward(self, photos):
        return self.layer(self.dropout(photos.flatten(1)))


def batches(count):
    torch.manual_seed(5)
    photos = torch.randint(0, 256, (count, 4, 8, 8, 3), dtype=torch.uint8)
    return [(batch, torch.tensor([0, 1, 0, 1])) for batch in photos]


def test_a_pass_goes_on_in_the_middle_as_if_never_interrupted():
    data, criterion = batches(6), torch.nn.CrossEntropyLoss()

    def begun():
        torch.manual_seed(0)
        model = Dropping()
        return model, learner(model, 6, lr=0.01)

    whole, learn = begun()
    expected = learning.run_pass(whole, data, criterion, CPU, learn=learn, seed=3)
    model, learn = begun()
    tally, steps = learning.Tally(CPU), iter([False, False, True])
    passing = {"learn": learn, "seed": 3}
    learning.run_pass(model, data, criterion, CPU, tally=tally, stop=lambda: next(steps), **passing)
    assert tally.steps == 3
    restored = learning.Tally(CPU)
    restored.load_state_dict(tally.state_dict())
    torch.manual_seed(99)  # whatever happened in between
    result = learning.run_pass(model, data[3:], criterion, CPU, tally=restored, **passing)
    assert torch.equal(model.layer.weight, whole.layer.weight)
    assert (result.loss, result.images) == (expected.loss, 24)
    assert result.seconds > tally.seconds
    other, learn = begun()
    learning.run_pass(other, data, criterion, CPU, learn=learn, seed=4)
    assert not torch.equal(other.layer.weight, whole.layer.weight)


def test_each_step_drops_out_other_units():
    data, criterion = batches(1) * 4, torch.nn.CrossEntropyLoss(reduction="sum")
    model, losses = Dropping(), []
    criterion.register_forward_hook(lambda *given: losses.append(given[2].item()))
    learning.run_pass(model, data, criterion, CPU, learn=learner(model, 4, lr=1e-12), seed=3)
    assert len(set(losses)) == 4


def test_a_batch_without_photos_counts_for_nothing():
    empty = (torch.empty((0, 8, 8, 3), dtype=torch.uint8), torch.empty(0, dtype=torch.int64))
    data, model = batches(1), Dropping().eval()
    criterion = torch.nn.CrossEntropyLoss()
    expected = learning.run_pass(model, data, criterion, CPU)
    result = learning.run_pass(model, [*data, empty], criterion, CPU)
    assert (result.loss, result.accuracy, result.images) == (
        expected.loss,
        expected.accuracy,
        4,
    )


def test_processes_share_the_mean_by_their_photos():
    assert Machine().share(7) == 1.0  # of one process all is its own


class Set(list):
    """Batches with places, as a loader has them."""

    dataset = range(6)


def test_outputs_are_by_place_and_say_which_are_missing():
    model, data = Dropping().eval(), batches(2)
    places = [torch.tensor([5, 0, 2, 3]), torch.tensor([1])]
    loader = Set(
        [
            (data[0][0], data[0][1], places[0], {}),
            (data[1][0][:1], torch.tensor([1]), places[1], {4: "broken"}),
            (data[1][0][:0], torch.tensor([], dtype=torch.int64), torch.tensor([]), {}),
        ]
    )
    made = learning.outputs(model, loader, CPU, learning.Steps())
    assert made.seen.tolist() == [True, True, True, True, False, True]
    with torch.no_grad():
        expected = model(learning.normalise(data[0][0]))
    assert torch.equal(made.values[places[0]], expected)
    assert made.labels.tolist() == [1, 1, 0, 1, 0, 0]
    assert not made.values.requires_grad


class Asked:
    asked = False


def test_a_run_stops_when_it_is_asked_to():
    asked = Asked()
    stop = learning.Stop(CPU, asked)
    assert not stop() and not stop.asked
    asked.asked = True
    assert not stop.asked and stop() and stop.asked


def test_seeds_differ_and_stay_the_same_everywhere():
    assert learning.seed_of(1, 2, 3) == 733464669408481064
    seeds = {learning.seed_of(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900 and all(0 <= seed < 2**63 for seed in seeds)
