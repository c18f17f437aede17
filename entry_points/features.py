"""Keep what a frozen body makes of the photos, so that only the head runs in later epochs."""

from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from data import Batches, DataError, Loader
from distributed import DTYPES, World
from extras import Extras
from models import body, with_weights_in
from options import layers
from preprocess import normalise


@dataclass(frozen=True)
class Outputs:
    """What a network makes of each photo of a data set, on the device.

    `values` (N, F) float32 and `labels` (N,) are valid where `seen` (N,) is True; the other photos
    are damaged.
    """

    values: torch.Tensor
    labels: torch.Tensor
    seen: torch.Tensor


@torch.no_grad()
def outputs(
    network: nn.Module,
    loader: Loader,
    world: World,
    extras: Extras | None = None,
    criterion: nn.Module | None = None,
) -> Outputs:
    """Return what the network, in evaluation mode, makes of a loader's photos, in all processes.

    `criterion` is called on each batch, because Debugger's hook watches it.
    Raises DataError if no photo can be decoded.
    """
    extras = extras or Extras(Namespace())
    values: torch.Tensor | None = None
    count = len(loader.dataset)
    labels = torch.zeros(count, dtype=torch.int64, device=world.device)
    seen = torch.zeros(count, device=world.device)
    for photos, targets, indices, _ in extras.timed(loader, world.device):
        if not len(targets):
            continue
        photos, targets, indices = world.to_device(photos, targets, indices)
        extras.mark("HostToDevice")
        with world.autocast():
            found = network(normalise(photos, loader.dataset.preprocessing)).float()
            if criterion is not None:
                criterion(found, targets)
        values = found.new_zeros(count, found.shape[1]) if values is None else values
        values[indices], labels[indices], seen[indices] = found, targets, 1.0
        extras.mark("Forward")
    # A process whose photos are all damaged learns from the others how wide the outputs are.
    widths = torch.tensor([0.0, 0.0] if values is None else [values.shape[1], 1.0])
    widths = widths.to(world.device)
    world.all_reduce(widths)
    total, processes = widths.tolist()
    if not processes:
        raise damaged_channel_error(loader)
    if values is None:
        values = torch.zeros(count, int(total / processes), device=world.device)
    world.all_reduce(values, labels, seen)
    return Outputs(values, labels, seen > 0)


def damaged_channel_error(loader: Loader) -> DataError:
    """Return the error for a channel without a single photo that can be decoded."""
    root = loader.dataset.folder.root
    return DataError(f"not one photo in {root} can be decoded: replace the files")


class FeatureBatches:
    """Batches of features, instead of batches of photos."""

    def __init__(self, made: Outputs, batches: Batches):
        self.made, self.batches = made, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        made = self.made
        for keys in self.batches:
            places = torch.tensor([place for _, place in keys], dtype=torch.int64)
            places = places.to(made.seen.device)
            places = places[made.seen[places]]
            yield made.values[places], made.labels[places]


class Feed:
    """What is trained or evaluated in an epoch, and the batches that it gets.

    Usually that is the network and batches of photos. While the head learns alone, and
    `--feature-views` asks for it, that is the head and batches of features. Then each epoch is of
    one augmented view of the photos, in turn, and the first epoch of a view makes its features.
    """

    def __init__(
        self,
        model: nn.Module,
        loaders: dict[str, Loader],
        options: Any,
        world: World,
        extras: Extras,
    ):
        self.model, self.loaders, self.options = model, loaders, options
        self.world, self.extras = world, extras
        self.made: dict[tuple[str, int], Outputs] = {}

    def __call__(self, channel: str, epoch: int, step: int = 0) -> tuple[nn.Module, Any]:
        """Return the network and its batches in an epoch, from the given step of it on."""
        loader, views = self.loaders[channel], self.options.feature_views
        head_alone = layers(self.options, epoch) == "head"
        if not views or not head_alone or self.extras.saves_tensors:
            self.made.clear()  # it may hold gigabytes
            loader.batch_sampler.at(epoch, step)
            return self.model, loader
        augmented = channel == "train"
        view = (epoch - 1) % views + 1 if augmented else 0
        if (channel, view) not in self.made:
            loader.batch_sampler.at(view, shuffled=False)
            self.made[channel, view] = outputs(self._body(), loader, self.world, self.extras)
        loader.batch_sampler.at(epoch, step, shuffled=augmented)
        head = self.model.get_submodule(self.model.head_name)
        return head, FeatureBatches(self.made[channel, view], loader.batch_sampler)

    def _body(self) -> nn.Module:
        """Return the body, with its weights in the precision in which it computes."""
        bare, precision = body(self.model), self.world.precision
        return bare if precision == "fp32" else with_weights_in(bare, DTYPES[precision])
