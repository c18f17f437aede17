"""Fine-tune an ImageNet network on dog breeds: the training script of every job of the course.

It runs as a SageMaker training job (channels `train`, `valid`, optionally `test` and `weights`), or
anywhere: `python train.py --train-dir ... --valid-dir ... --model-dir ...`. `torchrun train.py ...`
shares the work among GPUs or machines. An interrupted run continues from its last checkpoint, with
the same result: random numbers depend only on the seed, the epoch, and the photo or step.

It prints one line of metrics per epoch (here broken in two), and one for the test channel:

    epoch=1 train_loss=2.3141 train_accuracy=0.2104 valid_loss=2.2010 valid_accuracy=0.2500
        seconds=4.21 images_per_second=114.0
    test_loss=1.9120 test_accuracy=0.4375 test_top5_accuracy=0.8333 test_macro_f1=0.4127
        chance=0.0833 images=48

No other line contains these names, so `train_loss=([0-9.]+)` is a metric regex; the others are
alike. Losses are mean cross-entropies in nats, accuracies are shares in 0..1. Those of training are
averages over the epoch, while the weights still change, on augmented photos and smoothed labels.
`seconds` includes the validation, `images_per_second` is the speed of training alone.
"""

import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import nn

import models
import pretrained
from checkpoint import Checkpoints, Progress, Stop, accuracy
from data import DataError, Loader, make_loaders, read_channels
from distributed import AverageMeter, World, joined, print_once, seed_of
from features import Feed, all_damaged, outputs
from optim import check_finite, make_optimizer, make_scheduler, parameter_groups
from options import ConfigError, advice, hyperparameters, make_folders, parse
from preprocess import Preprocessing, normalise
from report import Predictions, finite, print_metrics, write_history, write_results

if find_spec("debugger"):  # Debugger's hook, step times, the profiler: the folder is optional
    from debugger import JobExtras as Extras
else:
    from extras import Extras


@dataclass(frozen=True)
class Run:
    """What stays the same throughout a run."""

    options: Namespace
    preprocessing: Preprocessing
    world: World
    extras: Extras
    stop: Stop


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

    `progress` sums up the loss and the accuracy. The epoch ends early if `run.stop` has a reason.
    """
    options, world, extras = run.options, run.world, run.extras
    models.set_training(model, options, progress.epoch)  # layers that are frozen stay in eval mode
    criterion.label_smoothing = options.label_smoothing
    extras.begin("train", progress.epoch)
    progress.start_clock()
    network, batches = feed("train", progress.epoch, progress.step)
    network = world.parallel(network)
    for images, labels, *_ in extras.timed(batches, world.device):
        # Dropout depends on the step alone, so that a restarted run draws the same.
        torch.manual_seed(seed_of(options.seed, progress.epoch, progress.step, world.rank))
        images, labels = world.to_device(images, labels)
        extras.mark("HostToDevice")
        with world.autocast():
            logits = network(normalise(images, run.preprocessing))
            loss = criterion(logits, labels)
        extras.mark("Forward")
        check_finite(loss, progress.step, options)
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss * world.weight(len(labels))).backward()
        extras.mark("Backward")
        scaler.unscale_(optimizer)  # only fp16 gradients are scaled
        extras.gradients_ready(model)
        if options.clip_norm:
            nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
        scaler.step(optimizer)
        scaler.update()
        scheduler.step()
        extras.mark("Optimizer")
        progress.update(loss, logits, labels)
        run.stop.look()
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
        if not len(labels):  # damaged photos only
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
        raise all_damaged(feed.loaders["valid"])
    return losses.mean(), accuracies.mean()


def test(
    model: nn.Module, loader: Loader, criterion: nn.Module, card: dict, run: Run
) -> dict[str, float]:
    """Measure on the test photos, write the results and the model card, return the metrics."""
    model.eval()
    run.extras.begin("test", run.options.epochs)
    made = outputs(model, loader, run.world, run.extras, criterion)
    folder = loader.dataset.folder
    predictions = Predictions.of(folder.names, made.values, made.labels, made.seen)
    output = None if run.world.rank else run.options.output_data_dir
    about = {**card, "damaged": loader.damage.names}
    metrics = write_results(output, predictions, folder.classes, about)
    return {**metrics, "images": len(predictions.files)}


def fine_tune(options: Namespace, world: World, extras: Extras, stop: Stop) -> dict[str, float]:
    """Train, test and save as the options say; return the metrics of the saved weights."""
    channels = read_channels(options)
    classes = channels["train"].classes
    make_folders(options)
    torch.manual_seed(options.seed)
    model, weights = pretrained.start(options, len(classes))  # ImageNet's weights, a new head
    preprocessing = models.preprocessing_of(options.model).resized(options.image_size)
    options.image_size = preprocessing.image_size
    models.check_size(model, options.model, options.image_size)
    model = model.to(world.device, memory_format=torch.channels_last)
    models.set_trainable(model, options.model, options.train_layers)
    print_once(f"weights={weights} {world} image_size={options.image_size}")

    loaders = make_loaders(options, channels, preprocessing, world)
    photos = {name: len(channel.files) for name, channel in channels.items()}
    counts = (f"{name}:{count}" for name, count in photos.items())
    print_once(f"photos={' '.join(counts)} classes={len(classes)}")

    criterion = nn.CrossEntropyLoss()
    optimizer = make_optimizer(parameter_groups(model, options), options)
    scheduler = make_scheduler(optimizer, options, options.epochs * len(loaders["train"]))
    scaler = torch.amp.GradScaler(world.device.type, enabled=world.precision == "fp16")
    progress = Progress(world)
    extras.describe(world, loaders)
    extras.register(model, criterion, scaler)

    card = models.card(options, classes, weights, preprocessing, world.precision)
    card |= {"hyperparameters": hyperparameters(options), "photos": photos}
    checkpoints = Checkpoints(options.checkpoint_dir, card)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    parts["progress"] = progress  # the epoch, the step, and the metrics of the epochs before
    if (state := world.broadcast(checkpoints.newest())) is not None:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        print_once(f"resumed=epoch {progress.epoch}, step {progress.step}")

    def save_checkpoint() -> None:
        state = {name: part.state_dict() for name, part in parts.items()}
        if world.rank == 0:
            checkpoints.save(state, progress.epoch, progress.step)

    run = Run(options, preprocessing, world, extras, stop)
    feed = Feed(model, loaders, options, world, extras)
    learning = (criterion, optimizer, scheduler, scaler)
    while not progress.is_over(options.epochs, options.patience) and not stop.reason:
        train_one_epoch(model, feed, *learning, progress, run, save_checkpoint)
        if not stop.reason:
            check_finite(progress.loss.mean(), progress.step, options)
            valid = evaluate(model, feed, criterion, progress.epoch, run)
            loaders["train"].damage.agree(world)
            metrics = progress.end_epoch(*valid, model, keep_best=options.keep == "best")
            print_metrics(metrics)
            extras.write_scalars(metrics, metrics["epoch"])
            if options.output_data_dir is not None and world.rank == 0:
                write_history(options.output_data_dir, progress.history)
            stop.look()
        save_checkpoint()

    kept = progress.kept()
    if progress.best_weights is not None:
        model.load_state_dict(progress.best_weights)
        print_once(f"kept=epoch {kept['epoch']}")
    tested = {}
    if stop.reason:
        done, folder = len(progress.history), options.checkpoint_dir or "none"
        print_once(f"stopped={stop.reason} after {done} epochs, checkpoint={folder}")
    elif "test" in loaders:
        tested = test(model, loaders["test"], criterion, {**card, "metrics": kept}, run)
        print_metrics(tested)
        extras.write_scalars(tested, options.epochs, "test")
    extras.close_tensors()
    results = kept | tested
    if world.rank == 0:
        with extras.span("checkpoint"):
            models.save_model(model, {**card, "metrics": finite(results)}, options.model_dir)
    return results


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Run the command line. Exit with 2 on wrong arguments, with 1 on what stops the training."""
    options = parse(argv, Extras)
    try:
        with (
            Extras(options) as extras,
            joined(options.precision) as world,
            Stop(world, options.stop_after, options.checkpoint_seconds) as stop,
        ):
            return fine_tune(options, world, extras, stop)
    except (DataError, ConfigError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except (RuntimeError, MemoryError, ValueError) as error:
        if (known := advice(error, options)) is None:
            raise
        sys.exit(f"error: {known}")


if __name__ == "__main__":
    main()
