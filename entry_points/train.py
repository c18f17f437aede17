"""Fine-tune a network on dog breeds: the one training script, for tuning and for the final job.

Runs as a SageMaker training job (channels `train`, `valid`, and optionally `test` and `weights`),
or anywhere: `python train.py --train-dir ... --valid-dir ... --model-dir ...`.

Metrics go to standard output, one line an epoch (here broken in two), and one at the end if there
is a test channel:

    epoch=1 train_loss=2.3141 train_accuracy=0.2104 valid_loss=2.2010 valid_accuracy=0.2500
        seconds=4.21 images_per_second=114.0
    test_loss=1.9120 test_accuracy=0.4375 test_top5_accuracy=0.8333 chance=0.0833 images=48

No name occurs in another line or as a part of another name. So these are the metric regexes:

    train_loss=([0-9.]+)    train_accuracy=([0-9.]+)    seconds=([0-9.]+)
    valid_loss=([0-9.]+)    valid_accuracy=([0-9.]+)    images_per_second=([0-9.]+)
    test_loss=([0-9.]+)  test_accuracy=([0-9.]+)  test_top5_accuracy=([0-9.]+)  chance=([0-9.]+)

Losses are mean cross-entropies in nats, accuracies shares in 0..1. Those of training are averages
over the epoch: of augmented photos, of weights still changing, of smoothed labels. `seconds` is the
epoch with its validation, `images_per_second` the speed of training alone.

`torchrun train.py ...` shares the work among GPUs or machines; their first process writes. A run
that was interrupted goes on from its last checkpoint as if nothing had happened; SIGTERM has it
write one and end. Whatever is random is drawn by seed, epoch, and photo or step.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from arguments import advice, hyperparameters, layers, make_folders, parse, settle
from photos import DataError, read_channels
from records.hookconfig import ConfigError, checkpoint_folder
from records.lines import report, say
from records.profiling import describe, profiled

# PyTorch takes seconds to import. What needs it is imported inside functions, so that --help and
# mistakes in arguments and folders answer at once.


@dataclass
class Run:
    """What a training run consists of."""

    options: Any
    machine: Any
    model: Any
    loaders: dict[str, Any]
    debugger: Any
    steps: Any
    checkpoints: Any
    stop: Any
    card: dict[str, Any]
    history: list[dict[str, float]] = field(default_factory=list)
    features: Any = None
    criterion: Any = None


def fit(run: Run) -> Iterator[dict[str, float]]:
    """Train from where the last checkpoint leaves off, and yield each epoch's metrics."""
    import torch

    import networks
    from learning import Learner, Tally
    from loading import FeatureCache

    options, machine = run.options, run.machine
    groups = networks.parameter_groups(run.model, options)
    steps = options.epochs * len(run.loaders["train"])
    learner, tally = Learner(options, groups, steps, machine, run.steps.mark), Tally(machine)
    run.criterion = torch.nn.CrossEntropyLoss()
    run.debugger.register(run.model, run.criterion)
    if options.feature_views and not run.debugger.hook:  # which looks into the body
        body = networks.body(run.model, options.model)
        run.features = FeatureCache(options.feature_views, body, machine, run.steps)
    begin = 1
    if (state := machine.from_first(run.checkpoints.newest())) is not None:
        for part, name in ((run.model, "model"), (learner, "learner"), (tally, "tally")):
            part.load_state_dict(state[name])
        begin, run.history = state["epoch"], state["history"]
        say(f"resumed=epoch {begin}, step {tally.steps}")
    for epoch in range(begin, options.epochs + 1):
        start = time.perf_counter() - tally.seconds
        train = train_epoch(run, learner, epoch, tally)
        if run.stop.asked:
            save_checkpoint(run, learner, epoch, tally)
            return
        valid = evaluate(run, epoch)
        metrics = {
            "epoch": epoch,
            **train.named("train"),
            **valid.named("valid"),
            "seconds": time.perf_counter() - start,
            "images_per_second": train.images / train.seconds,
        }
        run.history.append(metrics)
        yield metrics
        tally = Tally(machine)
        save_checkpoint(run, learner, epoch + 1, tally)
        if run.stop():
            return


def train_epoch(run: Run, learner: Any, epoch: int, tally: Any) -> Any:
    """Train for an epoch, from the step on at which `tally` is; return its result."""
    import networks
    from learning import run_pass, seed_of

    options = run.options
    parts = networks.learning_parts(run.model, options.model, layers(options, epoch))
    networks.set_training(run.model, parts, batch_norm=options.batch_norm == "train")
    run.criterion.label_smoothing = options.label_smoothing
    run.debugger.training()
    run.steps.begin("train", epoch)
    network, loader = feed(run, "train", epoch, tally)
    network = run.machine.parallel(network)
    passing = {"tally": tally, "seed": seed_of(options.seed, epoch), "stop": run.stop}
    return run_pass(network, loader, run.criterion, run.machine, run.steps, learner, **passing)


def evaluate(run: Run, epoch: int) -> Any:
    """Return the result on the validation photos."""
    from learning import Tally, run_pass

    run.model.eval()
    run.criterion.label_smoothing = 0.0
    run.debugger.evaluating()
    run.steps.begin("valid", epoch)
    network, loader = feed(run, "valid", epoch, Tally(run.machine))
    return run_pass(network, loader, run.criterion, run.machine, run.steps)


def feed(run: Run, channel: str, epoch: int, tally: Any) -> tuple[Any, Any]:
    """Return what learns or is measured in an epoch, and the loader of what it is fed with.

    That is the network and photos or, with `--feature-views`, the head and features.
    """
    from networks import head_name

    loader = run.loaders[channel]
    if run.features is None or layers(run.options, epoch) != "head":
        run.features = None  # it may hold gigabytes
        loader.batch_sampler.at(epoch, tally.steps)
        return run.model, loader
    head = run.model.get_submodule(head_name(run.options.model))
    return head, run.features.loader(loader, epoch, tally)


def save_checkpoint(run: Run, learner: Any, epoch: int, tally: Any) -> None:
    """Write all that the next step depends on: that of `epoch` at which `tally` is."""
    state = {"epoch": epoch, "step": tally.steps, "tally": tally.state_dict()}
    if run.machine.rank == 0:
        state |= {"model": run.model.state_dict(), "learner": learner.state_dict()}
        run.checkpoints.save({**state, "history": run.history})


def test(run: Run) -> dict[str, float]:
    """Measure on the test photos, print and write what came out; return the metrics."""
    from learning import outputs
    from records.results import tested, write_results

    loader, files = run.loaders["test"], run.loaders["test"].dataset.folder
    run.model.eval()
    run.debugger.testing()
    run.steps.begin("test", run.options.epochs)
    made = outputs(run.model, loader, run.machine, run.steps, run.criterion)
    answers = tested(files, made.values.cpu(), made.labels.cpu(), made.seen.cpu())
    about = {**run.card, "metrics": run.history[-1], "damaged": loader.damage.names}
    folder = None if run.machine.rank else run.options.output_data_dir
    metrics = write_results(folder, answers, files.classes, about)
    report({**metrics, "images": len(answers.files)})
    return metrics


def train(options: Any, steps: Any) -> dict[str, float]:
    """Train, test and save as the arguments say; return the last epoch's and the test's metrics."""
    channels = read_channels(options)
    classes = channels["train"].classes
    make_folders(options)

    import torch

    import networks
    from checkpoints import Checkpoints, Interruption
    from learning import Stop, choose_machine, joined
    from loading import make_loaders
    from records.debugging import Debugger
    from records.results import finite, write_history
    from records.scalars import Scalars

    debugger, scalars = Debugger(options.debug_config, options.output_data_dir), Scalars()
    with joined(choose_machine(options.precision)) as machine, Interruption() as interruption:
        torch.manual_seed(options.seed)
        model, start, weights = networks.start(options, len(classes))
        settle(options, start)
        say(f"weights={weights} {machine} image_size={options.image_size}")
        loaders = make_loaders(options, channels, machine)
        sizes = {name: len(channel.files) for name, channel in channels.items()}
        found = " ".join(f"{name}:{size}" for name, size in sizes.items())
        say(f"photos={found} classes={len(classes)}")
        card = networks.card(options, classes, weights, hyperparameters(options))
        card["photos"] = sizes
        folder = options.checkpoint_dir or checkpoint_folder()
        checkpoints, stop = Checkpoints(folder, card), Stop(machine, interruption)
        model = model.to(machine.device, memory_format=torch.channels_last)
        run = Run(options, machine, model, loaders, debugger, steps, checkpoints, stop, card)
        describe(steps, options, machine, loaders)
        for metrics in fit(run):
            report(metrics)
            scalars.write(metrics, metrics["epoch"])
            if options.output_data_dir is not None and machine.rank == 0:
                write_history(options.output_data_dir, run.history)
        results = dict(run.history[-1]) if run.history else {}
        if run.stop.asked:
            say(f"stopped=SIGTERM after {len(run.history)} epochs, checkpoint={folder or 'none'}")
        elif "test" in loaders:
            results |= (tested := test(run))
            scalars.write(tested, options.epochs, "test")
        debugger.close()
        if machine.rank == 0:
            with steps.span("checkpoint"):
                networks.save_model(model, {**card, "metrics": finite(results)}, options.model_dir)
        return results


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Run the command line; exits with 2 on wrong arguments, with 1 on what stops the training."""
    options, ignored = parse(argv)
    if ignored:
        say(f"ignored arguments: {' '.join(ignored)}")
    try:
        with profiled(options) as steps:
            return train(options, steps)
    except (DataError, ConfigError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except (RuntimeError, MemoryError, ValueError) as error:
        if (known := advice(error, options)) is None:
            raise
        sys.exit(f"error: {known}")


if __name__ == "__main__":
    main()
