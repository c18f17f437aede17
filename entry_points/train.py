"""Fine-tune a network on dog breeds: the one training script, for tuning and for the final job.

Runs as a SageMaker training job (channels `train`, `valid`, and optionally `test` and `weights`),
or anywhere: `python train.py --train-dir ... --valid-dir ... --model-dir ...`.

Metrics go to standard output, one line an epoch (here broken in two), and one at the end if there
is a test channel:

    epoch=1 train_loss=2.3141 train_accuracy=0.2104 valid_loss=2.2010 valid_accuracy=0.2500
        seconds=4.21 images_per_second=114.0
    test_loss=1.9120 test_accuracy=0.4375 chance=0.0833 images=48

No name occurs in another line or as a part of another name. So these are the metric regexes:

    train_loss=([0-9.]+)    train_accuracy=([0-9.]+)    seconds=([0-9.]+)
    valid_loss=([0-9.]+)    valid_accuracy=([0-9.]+)    images_per_second=([0-9.]+)
    test_loss=([0-9.]+)     test_accuracy=([0-9.]+)     chance=([0-9.]+)

Losses are mean cross-entropies in nats, accuracies shares in 0..1. Those of training are averages
over the epoch: of augmented photos, and of weights still changing. `seconds` is the epoch with its
validation, `images_per_second` the speed of training alone. A loss that is no number prints `nan`,
which the regexes leave out.

How long each step and its parts take is recorded besides (`steps.py`), in `profiler-output` below
the output folder; `--monitor` and `--profile-steps` add the machine's metrics and a trace.
"""

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from arguments import parse
from photos import DataError, PhotoFolder, check_same_classes, list_photos
from records.hookconfig import ConfigError
from records.profiling import describe, profiled

# PyTorch takes seconds to import. What needs it is imported inside functions, so that --help and
# mistakes in arguments and folders answer at once.

IMAGE_SIZE = {"imagenet": 224, "random": 64}  # the defaults, by starting weights
NO_HYPERPARAMETERS = ("debug_config", "monitor", "profile_steps")  # what only watches a run


def read_channels(arguments: Any) -> dict[str, PhotoFolder]:
    """List the photos of train, valid and, if given, test; DataError unless their classes agree."""
    folders = {"train": arguments.train_dir, "valid": arguments.valid_dir}
    if arguments.test_dir is not None:
        folders["test"] = arguments.test_dir
    channels = {name: list_photos(folder) for name, folder in folders.items()}
    for name, channel in channels.items():
        check_same_classes(channels["train"], channel, name)
    return channels


def start_network(arguments: Any, classes: int) -> tuple[Any, str, str]:
    """Return the network, its starting weights (imagenet or random) and a line about them."""
    import networks
    from networks import WeightsDamaged, WeightsUnavailable, load_imagenet

    def build(dropout: float) -> Any:
        head = (arguments.head_layers, arguments.hidden_units)
        return networks.build(arguments.model, classes, *head, dropout=dropout)

    about = "weights=random (as asked)"
    if arguments.weights != "random":
        try:
            state, file = load_imagenet(arguments.model, arguments.weights_dir)
            model = build(dropout=0.5)
            networks.load_body(model, arguments.model, state)
            return model, "imagenet", f"weights=imagenet ({file})"
        except ValueError as error:
            raise DataError(f"{file}: {error}; give torchvision's own file") from error
        except WeightsDamaged as error:  # whoever put it there does not want to start from scratch
            raise DataError(str(error)) from error
        except WeightsUnavailable as reason:
            about = f"weights=random (ImageNet weights could not be had: {reason})"
            if arguments.weights == "imagenet":
                raise DataError(
                    f"ImageNet weights could not be had: {reason}; give a folder with torchvision's"
                    " file as --weights-dir (channel 'weights'), or --weights random"
                ) from reason
    # Dropout pays in long training; in a few epochs from scratch it drowns what VGG16 learns.
    return build(dropout=0.0), "random", about


def settle(arguments: Any, weights: str) -> None:
    """Replace the arguments whose default depends on the starting weights."""
    if arguments.image_size is None:
        arguments.image_size = IMAGE_SIZE[weights]
    if arguments.train_layers == "auto":
        arguments.train_layers = "head" if weights == "imagenet" else "all"


def make_loaders(arguments: Any, channels: dict[str, PhotoFolder]) -> dict[str, Any]:
    """Return a loader for each channel; only that of train augments and shuffles."""
    from loading import Photos, make_loader

    loaders = {}
    for name, folder in channels.items():
        learns = name == "train"
        loaders[name] = make_loader(
            Photos(folder, arguments.image_size, augment=learns, whole=arguments.decode == "full"),
            arguments.batch_size,
            shuffle=learns,
            seed=arguments.seed,
            num_workers=arguments.num_workers,
        )
    return loaders


def fit(
    arguments: Any, model: Any, criterion: Any, loaders: dict, machine: Any, hook: Any, steps: Any
) -> Iterator[dict[str, float]]:
    """Train, and yield each epoch's metrics."""
    from learning import make_learner, run_pass
    from networks import learning_parts, set_training

    parts = learning_parts(model, arguments.model, arguments.train_layers)
    hook.register(model, criterion)
    learn = make_learner(arguments, model, arguments.epochs * len(loaders["train"]), steps.mark)
    for epoch in range(1, arguments.epochs + 1):
        begin = time.perf_counter()
        set_training(model, parts)
        hook.training()
        steps.begin("train", epoch)
        train = run_pass(model, loaders["train"], criterion, machine, steps, learn)
        model.eval()
        hook.evaluating()
        steps.begin("valid", epoch)
        valid = run_pass(model, loaders["valid"], criterion, machine, steps)
        yield {
            "epoch": epoch,
            "train_loss": train.loss,
            "train_accuracy": train.accuracy,
            "valid_loss": valid.loss,
            "valid_accuracy": valid.accuracy,
            "seconds": time.perf_counter() - begin,
            "images_per_second": train.images / train.seconds,
        }


def report(metrics: dict[str, float]) -> None:
    """Print one line of metrics in the form which the module's docstring fixes."""
    digits = {"epoch": 0, "images": 0, "seconds": 2, "images_per_second": 1}
    words = [f"{name}={value:.{digits.get(name, 4)}f}" for name, value in metrics.items()]
    print(" ".join(words), flush=True)


def train(arguments: Any, steps: Any) -> dict[str, float]:
    """Train, test and save as the arguments say; return the last epoch's and the test's metrics."""
    channels = read_channels(arguments)
    classes = channels["train"].classes

    import torch
    from torch import nn

    from learning import choose_machine, run_pass
    from networks import require_safetensors
    from records.debugging import Debugger
    from records.scalars import Scalars

    require_safetensors()
    debugger, scalars = Debugger(arguments.debug_config, arguments.output_data_dir), Scalars()
    machine = choose_machine(arguments.precision)
    torch.manual_seed(arguments.seed)
    model, weights, about = start_network(arguments, len(classes))
    settle(arguments, weights)
    print(about, machine, f"image_size={arguments.image_size}", flush=True)
    loaders = make_loaders(arguments, channels)
    sizes = " ".join(f"{name}:{len(channel.files)}" for name, channel in channels.items())
    print(f"photos={sizes} classes={len(classes)}", flush=True)
    model = model.to(machine.device, memory_format=torch.channels_last)
    criterion = nn.CrossEntropyLoss()
    describe(steps, arguments, machine, loaders)
    history = []
    for metrics in fit(arguments, model, criterion, loaders, machine, debugger, steps):
        report(metrics)
        scalars.write(metrics, metrics["epoch"])
        history.append(metrics)
    results = dict(history[-1])
    if "test" in loaders:
        debugger.testing()
        steps.begin("test", arguments.epochs)
        test = run_pass(model, loaders["test"], criterion, machine, steps)
        chance = 1 / len(classes)
        tested = {"test_loss": test.loss, "test_accuracy": test.accuracy, "chance": chance}
        report({**tested, "images": test.images})
        scalars.write(tested, arguments.epochs, "test")
        results.update(tested)
    debugger.close()
    with steps.span("checkpoint"):
        save(arguments, model, classes, about, results, history)
    return results


def save(
    arguments: Any, model: Any, classes: list[str], weights: str, results: dict, history: list
) -> None:
    """Write the model, and the epochs' metrics as `history.json` into the output folder, if any."""
    from networks import save_model
    from photos import MEAN, STD

    card = {
        "architecture": arguments.model,
        "head_layers": arguments.head_layers,
        "hidden_units": arguments.hidden_units,
        "class_names": classes,
        "image_size": arguments.image_size,
        "mean": MEAN,
        "std": STD,
        "weights": weights.removeprefix("weights="),
        "metrics": _finite(results),
        "hyperparameters": {
            name: value
            for name, value in vars(arguments).items()
            if not name.endswith("_dir") and name not in NO_HYPERPARAMETERS
        },
    }
    save_model(model, card, arguments.model_dir)
    if arguments.output_data_dir is not None:
        arguments.output_data_dir.mkdir(parents=True, exist_ok=True)
        file = Path(arguments.output_data_dir) / "history.json"
        file.write_text(json.dumps([_finite(epoch) for epoch in history], indent=2) + "\n")


def _finite(metrics: dict[str, float]) -> dict[str, float | None]:
    # JSON knows no NaN.
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    """Run the command line; exits with 2 on wrong arguments and with 1 on data unfit for use."""
    arguments, ignored = parse(argv)
    if ignored:
        print(f"ignored arguments: {' '.join(ignored)}", flush=True)
    try:
        with profiled(arguments) as steps:
            return train(arguments, steps)
    except (DataError, ConfigError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
