"""Fine-tune a network pretrained on ImageNet: the training script used by every job in the course.

It runs as a SageMaker training job (channels `train`, `valid`, optionally `test` and `weights`), or
anywhere: `python train.py --train-dir ... --valid-dir ... --model-dir ...`. options.py lists all
options. `torchrun train.py ...` splits the work across GPUs or machines. An interrupted run goes on
from its last checkpoint as if nothing had happened: random numbers depend only on the seed, the
epoch, and the photo (augmentation) or the step (dropout).

It prints one line of metrics per epoch (wrapped here), and one for the test channel:

    epoch=1 train_loss=2.3141 train_accuracy=0.2104 valid_loss=2.2010 valid_accuracy=0.2500
        seconds=4.21 images_per_second=114.0
    test_loss=1.9120 test_accuracy=0.4375 test_top5_accuracy=0.8333 test_macro_f1=0.4127
        chance=0.0833 images=48

`train_loss=([0-9.]+)` works as a metric regex, and so do the others: no other line contains these
names. Losses are mean cross-entropies (natural logarithm), accuracies are fractions. The training
metrics are averaged over the epoch while the weights are still changing, on augmented photos; the
training loss uses smoothed labels. `seconds` includes the validation, `images_per_second` does not.
"""

from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

import models
import pretrained
from checkpoint import Checkpoints, Progress, Stop, accuracy
from data import Loader, make_loaders, read_channels
from distributed import AverageMeter, World, joined, print_once
from features import Feed, damaged_channel_error, outputs
from optim import check_finite, clip_gradients, make_optimizer, make_scheduler, parameter_groups
from options import exit_with_advice, hyperparameters, make_folders, parse
from preprocess import Preprocessing, normalise
from report import Predictions, finite, print_metrics, write_history, write_results

if find_spec("debugger"):  # this optional folder adds SageMaker Debugger's hook and the profiler
    from debugger import JobExtras as Extras
else:
    from extras import Extras


@dataclass(frozen=True)
class Run:
    """What every function of a run needs."""

    options: Namespace
    preprocessing: Preprocessing
    world: World
    extras: Extras
    stop: Stop
    output_dir: Path | None = None  # in the first process only


def build(options: Namespace, classes: int) -> tuple[nn.Module, str]:
    """Return the pretrained network with a new head, and a text that names its weights."""
    torch.manual_seed(options.seed)
    model = models.create(options.model, options.dropout)  # as torchvision or timm builds it
    head = models.new_head(model, classes, options.head_layers, options.hidden_units)
    model.set_submodule(model.head_name, head)  # in place of the layer for ImageNet's 1,000 classes
    source = pretrained.load_weights(model, options)  # into all layers but the head
    models.set_trainable(model, options.model, options.train_layers)  # head, last-stage or all
    return model, source


def train_one_epoch(
    model: nn.Module,
    feed: Feed,
    criterion: nn.CrossEntropyLoss,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
    scaler: torch.amp.GradScaler,
    progress: Progress,
    run: Run,
    save_checkpoint: Callable[[], None],
) -> None:
    """Train for one epoch, or for the rest of it after a restart.

    `progress` accumulates the loss and the accuracy. `run.stop` may end the epoch early.
    """
    options, world, extras = run.options, run.world, run.extras
    models.set_training(model, options, progress.epoch)  # frozen layers stay in eval mode
    criterion.label_smoothing = options.label_smoothing
    extras.begin("train", progress.epoch)
    progress.start_clock()
    # The model and batches of photos; or, with --feature-views, its head and batches of features.
    network, batches = feed("train", progress.epoch, progress.step)
    network = world.parallel(network)  # in each epoch: the layers that train may have changed
    for images, labels, *_ in extras.timed(batches, world.device):
        world.reseed(options.seed, progress.epoch, progress.step)  # the same dropout on resuming
        images, labels = world.to_device(images, labels)
        extras.mark("HostToDevice")
        with world.autocast():
            logits = network(normalise(images, run.preprocessing))
            loss = criterion(logits, labels)
        extras.mark("Forward")
        check_finite(loss, progress.step, options)
        optimizer.zero_grad()
        scaler.scale(loss * world.weight(len(labels))).backward()
        extras.mark("Backward")
        scaler.unscale_(optimizer)  # fp16 only; clipping needs the true gradients
        extras.gradients_ready(model)
        clip_gradients(model, options.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        extras.mark("Optimizer")
        progress.update(loss, logits, labels)
        run.stop.check()
        if run.stop.reason:  # SIGTERM, or --stop-after
            return
        if run.stop.save_due:  # --checkpoint-seconds
            save_checkpoint()


@torch.no_grad()
def evaluate(
    model: nn.Module, feed: Feed, criterion: nn.CrossEntropyLoss, epoch: int, run: Run
) -> tuple[float, float]:
    """Return the mean loss and the accuracy on the validation photos."""
    world, extras = run.world, run.extras
    world.average_batch_norm(model)
    model.eval()
    criterion.label_smoothing = 0.0
    extras.begin("valid", epoch)
    network, batches = feed("valid", epoch)
    losses, accuracies = AverageMeter(world), AverageMeter(world)
    for images, labels, *_ in extras.timed(batches, world.device):
        if not len(labels):  # all photos of this batch are damaged
            continue
        images, labels = world.to_device(images, labels)
        extras.mark("HostToDevice")
        with world.autocast():
            logits = network(normalise(images, run.preprocessing))
            loss = criterion(logits, labels)
        extras.mark("Forward")
        losses.update(loss, len(labels))
        accuracies.update(accuracy(logits, labels), len(labels))
    if not losses.count():
        raise damaged_channel_error(feed.loaders["valid"])
    return losses.mean(), accuracies.mean()


def test(
    model: nn.Module, loader: Loader, criterion: nn.Module, card: dict, run: Run
) -> dict[str, float]:
    """Classify the test photos, write the results and a model card, and return the metrics."""
    model.eval()
    run.extras.begin("test", card["metrics"]["epoch"])
    found = outputs(model, loader, run.world, run.extras, criterion)  # logits, without gradients
    photos = loader.dataset.folder
    predictions = Predictions.of(photos.names, found.values, found.labels, found.seen)
    about = {**card, "damaged": loader.damage.names}
    metrics = write_results(run.output_dir, predictions, photos.classes, about)
    return {**metrics, "images": len(predictions.files)}


def fine_tune(options: Namespace, world: World, extras: Extras, stop: Stop) -> dict[str, float]:
    """Train, test and save; return the metrics of the last or best epoch, and of the test."""
    channels = read_channels(options)
    classes = channels["train"].classes
    make_folders(options)
    model, weights = build(options, len(classes))
    preprocessing = models.preprocessing_for(model, options)
    options.image_size = preprocessing.image_size  # the network's own, unless it was given
    model = model.to(world.device, memory_format=torch.channels_last)
    print_once(f"weights={weights} {world} image_size={options.image_size}")
    loaders = make_loaders(options, channels, preprocessing, world)
    photos = {name: len(channel.files) for name, channel in channels.items()}
    print_once(f"photos={' '.join(f'{n}:{k}' for n, k in photos.items())} classes={len(classes)}")
    criterion = nn.CrossEntropyLoss()
    body_lr = options.lr * options.body_lr  # the option is a factor
    optimizer = make_optimizer(parameter_groups(model, options.lr, body_lr), options)
    scheduler = make_scheduler(optimizer, options, options.epochs * len(loaders["train"]))
    scaler = torch.amp.GradScaler(world.device.type, enabled=world.precision == "fp16")
    progress = Progress(world)
    extras.describe(world, loaders)
    extras.register(model, criterion, scaler)
    card = models.card(options, classes, weights, preprocessing, world.precision)
    card |= {"hyperparameters": hyperparameters(options), "photos": photos}
    checkpoints = Checkpoints(options.checkpoint_dir, card)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    parts["progress"] = progress  # epoch, step, metrics so far; with --keep best, its weights
    parts["extras"] = extras  # at which steps the tensors are
    if (state := world.broadcast(checkpoints.newest())) is not None:
        for name, part in parts.items():
            part.load_state_dict(state.get(name, {}))
        print_once(f"resumed=epoch {progress.epoch}, step {progress.step}")

    def save_checkpoint() -> None:
        state = {name: part.state_dict() for name, part in parts.items()}
        if world.rank == 0:
            checkpoints.save(state, progress.epoch, progress.step)

    output_dir = options.output_data_dir if world.rank == 0 else None
    run = Run(options, preprocessing, world, extras, stop, output_dir)
    feed = Feed(model, loaders, options, world, extras)
    training = (criterion, optimizer, scheduler, scaler)
    while not progress.is_over(options.epochs, options.patience) and not stop.reason:
        train_one_epoch(model, feed, *training, progress, run, save_checkpoint)
        if not stop.reason:
            check_finite(progress.loss.mean(), progress.step, options)
            valid = evaluate(model, feed, criterion, progress.epoch, run)
            loaders["train"].damage.agree(world)
            metrics = progress.end_epoch(*valid, model, keep_best=options.keep == "best")
            print_metrics(metrics)
            extras.write_scalars(metrics, metrics["epoch"])
            write_history(output_dir, progress.history)
            stop.check()
        save_checkpoint()
    results = progress.kept()
    if progress.best_weights is not None:
        model.load_state_dict(progress.best_weights)
        print_once(f"kept=epoch {results['epoch']}")
    if stop.reason:
        done = f"after {len(progress.history)} complete epochs"
        print_once(f"stopped={stop.reason} {done}, checkpoint={options.checkpoint_dir or 'none'}")
    elif "test" in loaders:
        tested = test(model, loaders["test"], criterion, {**card, "metrics": results}, run)
        print_metrics(tested)
        extras.write_scalars(tested, results["epoch"], "test")
        results = results | tested
    extras.close_tensors()
    if world.rank == 0:
        with extras.span("checkpoint"):
            card |= {"metrics": finite(results), "complete": not stop.reason}
            models.save_model(model, card, options.model_dir)
    return results


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Run the command line. Exit with 2 for wrong arguments, and with 1 for other errors."""
    options = parse(argv, Extras)
    with (
        exit_with_advice(options),
        Extras(options) as extras,
        joined(options.precision) as world,
        Stop(world, options.stop_after, options.checkpoint_seconds) as stop,
    ):
        return fine_tune(options, world, extras, stop)


if __name__ == "__main__":
    main()
