"""`train.train_one_epoch` and `train.evaluate`, on small networks and batches made for them."""

from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch

import train
from checkpoint import Progress, Stop
from data import DataError
from distributed import World
from extras import Extras
from optim import NotFinite, make_optimizer, make_scheduler
from preprocess import Preprocessing, normalise


class Dropping(torch.nn.Module):
    """A network whose outputs depend on dropout alone."""

    def __init__(self):
        super().__init__()
        self.layer, self.dropout = torch.nn.Linear(8 * 8 * 3, 2), torch.nn.Dropout(0.5)

    def forward(self, images):
        return self.layer(self.dropout(images.flatten(1)))


class Scale(torch.nn.Module):
    """Multiplies features by its weights, in float32 even where autocast is on."""

    def __init__(self, *weights):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([weights]))

    def forward(self, values):
        return values * self.weight


class Sum(torch.nn.Module):
    """The loss is the sum of the logits: the gradients are the features themselves."""

    def forward(self, logits, labels):
        return logits.sum()


class Feed:
    """Gives the model and its batches, as `features.Feed` does."""

    def __init__(self, model, batches):
        self.model, self.batches = model, batches
        folder = SimpleNamespace(root="photos/valid")
        self.loaders = {"valid": SimpleNamespace(dataset=SimpleNamespace(folder=folder))}

    def __call__(self, channel, epoch, step=0):
        return self.model, self.batches[step:]


def batches(count):
    """Batches of four photos."""
    generator = torch.Generator().manual_seed(5)
    photos = torch.randint(0, 256, (count, 4, 8, 8, 3), dtype=torch.uint8, generator=generator)
    return [(batch, torch.tensor([0, 1, 0, 1])) for batch in photos]


def features(*values):
    """A batch of one photo's features."""
    return torch.tensor([values]), torch.tensor([0])


class Training:
    """A model with all that `train_one_epoch` needs, for a run of so many steps."""

    def __init__(self, model, steps, *, precision="fp32", criterion=None, **changes):
        values = {"optimizer": "sgd", "lr": 0.5, "weight_decay": 0.0, "momentum": 0.0, "eps": 1e-8}
        values |= {"schedule": "cosine", "warmup": 0.1, "nan_loss": "stop", "clip_norm": 0.0}
        values |= {"model": "small", "train_layers": "all", "batch_norm": "train", "head_epochs": 0}
        values |= {"label_smoothing": 0.0, "seed": 3}
        options = Namespace(**values | changes)
        self.model, self.criterion = model, criterion or torch.nn.CrossEntropyLoss()
        groups = [{"params": list(model.parameters()), "lr": options.lr}]
        self.optimizer = make_optimizer(groups, options)
        self.scheduler = make_scheduler(self.optimizer, options, steps)
        self.scaler = torch.amp.GradScaler("cpu", enabled=precision == "fp16")
        world = World(precision=precision)
        self.progress = Progress(world)
        self.stop = Stop(world)
        self.run = train.Run(options, Preprocessing(), world, Extras(options), self.stop)
        self.saved_at = []

    def train(self, given):
        train.train_one_epoch(
            self.model,
            Feed(self.model, given),
            self.criterion,
            self.optimizer,
            self.scheduler,
            self.scaler,
            self.progress,
            self.run,
            lambda: self.saved_at.append(self.progress.step),
        )

    def evaluate(self, given):
        return train.evaluate(self.model, Feed(self.model, given), self.criterion, 1, self.run)

    def parts(self):
        return (self.model, self.optimizer, self.scheduler, self.scaler, self.progress)

    def go_on_from(self, other):
        for part, before in zip(self.parts(), other.parts(), strict=True):
            part.load_state_dict(before.state_dict())

    def stop_after(self, steps):
        """Have the run asked to stop after so many more steps."""

        def check():
            self.left -= 1
            self.stop.reason = "" if self.left else "SIGTERM"

        self.left, self.stop.check = steps, check


# Training


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_an_interrupted_epoch_goes_on_as_if_never_interrupted(optimizer, precision):
    data = batches(6)

    def begin(seed=3):
        torch.manual_seed(0)
        settings = {"optimizer": optimizer, "momentum": 0.9, "lr": 0.01, "seed": seed}
        return Training(Dropping(), 6, precision=precision, **settings)

    whole = begin()
    whole.train(data)
    first = begin()
    first.stop_after(3)
    first.train(data)
    assert first.progress.step == 3
    second = begin()
    second.go_on_from(first)
    torch.manual_seed(99)  # whatever happened in between
    second.train(data)
    assert torch.equal(second.model.layer.weight, whole.model.layer.weight)
    assert not torch.equal(first.model.layer.weight, whole.model.layer.weight)
    ours, theirs = second.progress, whole.progress
    assert (ours.loss.mean(), ours.accuracy.mean()) == (theirs.loss.mean(), theirs.accuracy.mean())
    assert (ours.step, ours.loss.count()) == (6, 24)
    assert ours.train_seconds > first.progress.train_seconds
    other = begin(seed=4)
    other.train(data)
    assert not torch.equal(other.model.layer.weight, whole.model.layer.weight)


def test_each_step_drops_out_other_units():
    training, losses = Training(Dropping(), 4, lr=1e-12), []
    training.criterion.register_forward_hook(lambda *given: losses.append(given[2].item()))
    training.train(batches(1) * 4)
    assert len(set(losses)) == 4


def test_each_epoch_drops_out_other_units():
    training, losses = Training(Dropping(), 4, lr=1e-12), []
    training.criterion.register_forward_hook(lambda *given: losses.append(given[2].item()))
    for epoch in (1, 2, 1):
        training.progress.begin_epoch(epoch)
        training.train(batches(1))
    assert losses[0] == pytest.approx(losses[2]) != pytest.approx(losses[1])


def test_in_fp16_losses_are_scaled_and_steps_that_overflow_are_skipped():
    settings = {"precision": "fp16", "criterion": Sum(), "schedule": "constant", "warmup": 0}
    training, gradients = Training(Scale(1.0, 1.0), 10, **settings), []
    weight = training.model.weight
    weight.register_hook(lambda gradient: gradients.append(gradient[0, 0].item()))
    training.train([features(1.0, 1.0)])
    assert gradients == [65536.0]  # PyTorch's first scale, of which the optimiser sees nothing
    assert weight.tolist() == [[0.5, 0.5]]
    training.train([features(1.0, 1.0), features(1e36, 1.0)])  # times the scale it is infinite
    assert training.progress.step == 2
    assert weight.tolist() == [[0.5, 0.5]]
    training.train([features(1.0, 1.0)] * 3)
    assert gradients[-1] == 32768.0
    assert weight.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("norm", "length"), [(0.0, 10.0), (2.0, 2.0), (50.0, 10.0)])
def test_gradients_are_clipped_to_the_given_norm(norm, length, precision):
    settings = {"lr": 1.0, "schedule": "constant", "warmup": 0.0, "clip_norm": norm}
    training = Training(Scale(0.0, 0.0), 1, criterion=Sum(), precision=precision, **settings)
    training.train([features(6.0, 8.0)])  # a gradient of norm 10
    assert training.model.weight.norm().item() == pytest.approx(length, rel=1e-5)


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights():
    bad = [features(1.0, 1.0), features(float("nan"), 1.0)]
    training = Training(Scale(1.0, 1.0), 10)
    with pytest.raises(NotFinite, match=r"nan at step 2 of the epoch: lower --lr \(it is 0\.5\)"):
        training.train(bad)
    assert training.progress.step == 1
    assert training.model.weight.isfinite().all()
    on = Training(Scale(1.0, 1.0), 10, nan_loss="continue")
    on.train(bad)
    assert on.model.weight.isnan().all()


def test_an_epoch_ends_when_the_run_is_asked_to_stop():
    training = Training(Dropping(), 6)
    training.stop_after(2)
    training.train(batches(6))
    assert training.progress.step == 2
    assert training.saved_at == []  # the caller saves it


def test_a_checkpoint_is_saved_when_it_is_due():
    training = Training(Dropping(), 6)
    due = iter([False, True, False, True, False, False])

    def check():
        training.stop.save_due = next(due)

    training.stop.check = check
    training.train(batches(6))
    assert training.saved_at == [2, 4]


def test_training_smooths_the_labels_and_validation_does_not():
    """Losses of different smoothing cannot be compared: a search compares those of validation."""
    torch.manual_seed(0)
    training = Training(Dropping(), 4, label_smoothing=0.3)
    training.train(batches(1))
    assert training.criterion.label_smoothing == 0.3
    loss, _ = training.evaluate(batches(1))
    photos, labels = batches(1)[0]
    logits = training.model.eval()(normalise(photos, Preprocessing()))
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item())


def test_the_body_learns_after_the_epochs_of_the_head():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 2))
    model.head_name = "1"
    training = Training(model, 4, head_epochs=1)
    body, head = model[0], model[1].weight
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given = [(torch.tensor([[1.0, 2.0], [3.0, 5.0]]), torch.tensor([0, 1]))]
    training.train(given)
    assert not torch.equal(head, before["1.weight"])
    for name, value in body.state_dict().items():
        assert torch.equal(value, before[f"0.{name}"]), name
    training.progress.begin_epoch(2)
    training.train(given)
    for name, value in body.state_dict().items():
        assert not torch.equal(value, before[f"0.{name}"]), name


# Evaluation


class Bias(torch.nn.Module):
    """Chooses class 0, the more firmly the brighter the photo."""

    def forward(self, images):
        return torch.stack([images.mean((1, 2, 3)), torch.zeros(len(images))], 1)


def evaluate(model, given):
    training = Training(Dropping(), 1)
    return train.evaluate(model, Feed(model, given), training.criterion, 1, training.run)


def test_an_evaluation_averages_over_photos_not_batches():
    photos, labels = torch.full((3, 8, 8, 3), 255, dtype=torch.uint8), torch.tensor([0, 0, 1])
    whole = evaluate(Bias(), [(photos, labels)])
    split = evaluate(Bias(), [(photos[:2], labels[:2]), (photos[2:], labels[2:])])
    assert split == pytest.approx(whole)
    assert split[1] == pytest.approx(2 / 3)


def test_an_evaluation_leaves_a_batch_without_photos_out():
    empty = (torch.empty((0, 8, 8, 3), dtype=torch.uint8), torch.empty(0, dtype=torch.int64))
    data, model = batches(2), Dropping()
    assert evaluate(model, [data[0], empty, data[1]]) == evaluate(model, data)
    with pytest.raises(DataError, match="not one photo in photos/valid can be decoded"):
        evaluate(model, [empty])


def test_an_evaluation_drops_no_units_out_and_changes_nothing():
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3), Dropping()).train()
    model.register_forward_hook(lambda *_: tracked.append(torch.is_grad_enabled()))
    tracked = []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert evaluate(model, batches(2)) == evaluate(model, batches(2))
    assert not model.training
    assert tracked == [False] * 4
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
