"""`entry_points/features.py`: outputs by photo, and batches of features for a head that learns."""

from argparse import Namespace

import pytest
import torch

import features
from data import Batches, Damage, DataError, Photos, list_photos, make_loader
from distributed import World
from extras import Extras
from features import FeatureBatches, Feed, Outputs, outputs
from preprocess import Preprocessing, normalise
from tests.support.tiny_photos import write_channels


class Flat(torch.nn.Module):
    """A network of a body and a head, which counts the photos that its body has seen."""

    head_name = "fc"

    def __init__(self):
        super().__init__()
        self.body, self.fc = torch.nn.Linear(32 * 32 * 3, 5), torch.nn.Linear(5, 2)
        self.body.register_forward_hook(self._count)
        self.seen = []

    def _count(self, module, inputs, output):
        self.seen.append(len(output))

    def forward(self, images):
        return self.fc(self.body(images.flatten(1)))


@pytest.fixture
def root(tmp_path):
    return write_channels(tmp_path, channels=["train", "valid"])


def loader_of(folder, *, augment=None, shuffle=False, damage=None):
    photos = Photos(folder, Preprocessing(32), augment=augment)
    damage = damage or Damage(limit=99)
    return make_loader(photos, 4, shuffle=shuffle, seed=0, num_workers=0, damage=damage)


@pytest.fixture
def loaders(root):
    return {
        "train": loader_of(list_photos(root / "train"), augment="crop", shuffle=True),
        "valid": loader_of(list_photos(root / "valid")),
    }


# Outputs


def test_outputs_are_by_place_and_say_which_are_missing(root):
    folder = list_photos(root / "train")
    for place in (4, 8, 9, 10, 11):  # the third batch is empty
        folder.files[place].write_bytes(b"")
    model = Flat().eval()
    made = outputs(model, loader_of(folder, shuffle=True), World())
    assert made.seen.nonzero().flatten().tolist() == [0, 1, 2, 3, 5, 6, 7, 12, 13, 14, 15]
    assert made.values.shape == (16, 2) and made.values.dtype == torch.float32
    assert not made.values.requires_grad
    assert made.labels[made.seen].tolist() == [folder.labels[n] for n in made.seen.nonzero()]
    photo = Photos(folder, Preprocessing(32), augment=None)
    for place in (0, 15):
        batch = photo.collate([photo[0, place]])
        expected = model(normalise(batch.photos, Preprocessing(32)))
        torch.testing.assert_close(made.values[place], expected[0])


def test_the_criterion_sees_each_batch(root):
    class Criterion(torch.nn.Module):
        calls = 0

        def forward(self, logits, labels):
            self.calls += 1
            assert (logits.shape, labels.shape) == ((4, 2), (4,))

    criterion = Criterion()
    outputs(Flat().eval(), loader_of(list_photos(root / "valid")), World(), criterion=criterion)
    assert criterion.calls == 2


def test_a_channel_of_damaged_photos_alone_is_named(root):
    folder = list_photos(root / "valid")
    for file in folder.files:
        file.write_bytes(b"")
    with pytest.raises(DataError, match=r"not one photo in .*valid can be decoded"):
        outputs(Flat().eval(), loader_of(folder), World())


# Batches of features


def test_features_come_in_the_order_of_the_photos_and_without_damaged_ones():
    values = torch.arange(6.0)[:, None]
    seen = torch.tensor([True, True, False, True, True, True])
    made = Outputs(values, torch.arange(6), seen)
    batches = FeatureBatches(made, Batches(6, 4, shuffle=False, seed=0, world=World()))
    found = [(v.flatten().tolist(), n.tolist()) for v, n in batches]
    assert found == [([0, 1, 3], [0, 1, 3]), ([4, 5], [4, 5])]
    assert len(batches) == 2


# The feed


def feed_of(model, loaders, extras=None, **changes):
    values = {"train_layers": "head", "head_epochs": 0, "feature_views": 2} | changes
    options = Namespace(**values)
    return Feed(model, loaders, options, World(), extras or Extras(options))


def places(batches):
    return torch.cat([batch.indices for batch in batches]).tolist()


@pytest.mark.parametrize(
    "changes", [{"feature_views": 0}, {"train_layers": "all"}, {"train_layers": "last-stage"}]
)
def test_a_feed_of_photos_is_the_network_and_its_loader(loaders, changes):
    model = Flat()
    feed = feed_of(model, loaders, **changes)
    network, batches = feed("train", 2, step=1)
    assert network is model and batches is loaders["train"]
    rest = places(batches)
    whole = places(feed("train", 2)[1])
    assert rest == whole[4:] and sorted(whole) == list(range(16))
    assert not model.seen


def test_a_feed_of_features_gives_the_head_what_the_network_sees(loaders):
    model = Flat().eval()
    feed = feed_of(model, loaders)
    head, batches = feed("valid", 1)
    assert head is model.fc
    with torch.no_grad():
        found = torch.cat([head(values) for values, _ in batches])
        photos, labels, *_ = zip(*loaders["valid"], strict=True)
        expected = model(normalise(torch.cat(photos), Preprocessing(32)))
    torch.testing.assert_close(found, expected)
    assert torch.equal(torch.cat([labels for _, labels in batches]), torch.cat(labels))


def test_the_body_runs_once_a_view(loaders):
    """Two views of 16 photos in five epochs, and one of 8 for the validation."""
    model = Flat().eval()
    feed, sums = feed_of(model, loaders), []
    for epoch in range(1, 6):
        _, batches = feed("train", epoch)
        sums.append(sum(values.double().sum().item() for values, _ in batches))
        feed("valid", epoch)
    assert sum(model.seen) == 2 * 16 + 8
    assert sums[0] == pytest.approx(sums[2]) == pytest.approx(sums[4])
    assert sums[1] == pytest.approx(sums[3]) != pytest.approx(sums[0])


def test_each_epoch_shuffles_the_features_anew_and_goes_on_at_its_step(loaders):
    model = Flat().eval()
    feed = feed_of(model, loaders, feature_views=1)

    def order(epoch, step=0):
        return torch.cat([values[:, 0] for values, _ in feed("train", epoch, step)[1]])

    first, second = order(1), order(2)
    assert not torch.equal(first, second)
    assert torch.equal(first.sort().values, second.sort().values)
    assert torch.equal(order(2, step=1), second[4:])


def test_the_features_are_dropped_when_the_body_begins_to_learn(loaders):
    model = Flat().eval()
    feed = feed_of(model, loaders, train_layers="all", head_epochs=1)
    assert feed("train", 1)[0] is model.fc
    assert feed.made
    assert feed("train", 2)[0] is model
    assert not feed.made


def test_debuggers_hook_gets_the_whole_network(loaders):
    class Saving(Extras):
        saves_tensors = True

    model = Flat()
    assert feed_of(model, loaders, extras=Saving(Namespace()))("train", 1)[0] is model


def test_the_error_for_damaged_photos_names_the_channels_folder(loaders, root):
    assert str(root / "valid") in str(features.damaged_channel_error(loaders["valid"]))
