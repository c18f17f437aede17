"""The command line of `train.py`, and the configuration files that SageMaker writes into a job.

Each hyperparameter is an option with a fixed default. The folders that SageMaker provides default
to the environment variables that it sets, read when the parser is built.
"""

import argparse
import contextlib
import difflib
import json
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from extras import Extras

CONFIG_DIR = "/opt/ml/input/config"
OPTIMIZERS = ("sgd", "adam", "adamw")
WEIGHTS = ("imagenet", "auto", "random")
TRAIN_LAYERS = ("head", "last-stage", "all")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DECODING = ("reduced", "full")
SCHEDULES = ("cosine", "constant")
AUGMENTATIONS = ("none", "flip", "crop", "colour")  # each with those before it
KEPT = ("last", "best")
BATCH_NORMS = ("train", "frozen")
NAN_LOSSES = ("stop", "continue")
# These do not change what a run computes: it may be resumed with other values.
WATCHING = (
    "debug_config",
    "system_metrics",
    "profile_steps",
    "num_workers",
    "max_damaged",
    "nan_loss",
)
WATCHING += ("stop_after", "checkpoint_seconds")
SAGEMAKERS = ("--_", "--sagemaker")  # options that SageMaker and its SDK add
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
ONE_PHOTO = "Expected more than 1 value per channel"


class ConfigError(ValueError):
    """A configuration that cannot be followed; the message says what is wrong, and what to do."""


def unquoted(text: str) -> str:
    """Return a value without the quotes that a tuner adds to categorical ones."""
    return text.strip().strip("\"'")


def number_type(kind: type, minimum: float, *, above: bool = False, below: float = math.inf):
    """Return an argparse type: a `kind` of at least `minimum` (more than it with `above`)."""
    bound = f"{'more than' if above else 'at least'} {minimum:g}"
    bound += "" if below == math.inf else f" and less than {below:g}"

    def parse(text: str):
        try:
            value = kind(unquoted(text))
        except ValueError:
            value = None
        # NaN fails both comparisons, as it should.
        if value is None or not (value > minimum if above else value >= minimum) or value >= below:
            name = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {name} of {bound}")
        return value

    return parse


def _folder(text: str) -> Path:
    return Path(unquoted(text))


def build_parser(extras: type[Extras] = Extras) -> argparse.ArgumentParser:
    """Return the parser, with the arguments of what watches the run; reads `SM_*` now."""
    parser = argparse.ArgumentParser(
        description="Fine-tune an ImageNet network on folders of photos, one folder per class.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    _add_hyperparameters(parser.add_argument_group("hyperparameters (what one may tune)"))
    extras.add_arguments(parser)
    _add_folders(parser.add_argument_group("folders (SageMaker provides them as SM_* variables)"))
    return parser


def _add_hyperparameters(group) -> None:
    whole, part, share = number_type(int, 1), number_type(float, 0), number_type(float, 0, below=1)

    def choice(flag: str, values: Sequence[str], default: str, text: str) -> None:
        group.add_argument(flag, type=unquoted, choices=values, default=default, help=text)

    def number(flag: str, kind, default, text: str) -> None:
        group.add_argument(flag, type=kind, default=default, help=text)

    group.add_argument(
        "--model",
        type=unquoted,
        default="resnet50",
        metavar="NAME",
        help="the network: resnet50, vgg16, resnet18, efficientnet_lite0, or any other for "
        "classification that torchvision or timm knows by name",
    )
    choice("--optimizer", OPTIMIZERS, "adamw", "adamw, adam, or sgd with momentum")
    number("--lr", number_type(float, 0, above=True), 1e-3, "peak learning rate, see --warmup")
    number("--eps", number_type(float, 0, above=True), 1e-8, "denominator's floor (adam, adamw)")
    number("--weight-decay", part, 1e-2, "weight decay (L2 penalty for sgd and adam)")
    number("--momentum", part, 0.9, "share of the last step that the next one keeps (sgd)")
    choice("--schedule", SCHEDULES, "cosine", "after the warm-up: cosine falls, constant stays")
    number("--warmup", share, 0.1, "share of the steps in which the rate rises to --lr")
    number("--label-smoothing", share, 0.0, "share of the target given to all classes alike")
    number("--clip-norm", part, 0.0, "scale gradients down to this total norm; 0: leave them alone")
    number("--batch-size", whole, 32, "photos a step, over all processes together")
    number("--epochs", whole, 5, "passes over the training photos")
    choice(
        "--keep",
        KEPT,
        "last",
        "the weights to test and save: those of the last epoch, or of the best one, "
        "which has the lowest validation loss",
    )
    number(
        "--patience",
        number_type(int, 0),
        0,
        "end after so many epochs without a lower validation loss; 0: never",
    )
    number(
        "--image-size",
        number_type(int, 32),
        None,
        "pixels a side; default: the size at which the network's ImageNet weights were trained",
    )
    choice(
        "--train-layers",
        TRAIN_LAYERS,
        "all",
        "the layers to train: the new head, the last-stage with it, or all",
    )
    number("--head-epochs", number_type(int, 0), 0, "first epochs, in which only the head learns")
    number("--body-lr", part, 1.0, "learning rate of what is not the head, as a multiple of --lr")
    choice(
        "--batch-norm",
        BATCH_NORMS,
        "train",
        "whether the statistics of batch normalisation adapt to the photos or stay frozen",
    )
    number(
        "--feature-views",
        number_type(int, 0),
        0,
        "while the head learns alone, keep what the body makes of so many augmented views of each "
        "photo, an epoch a view, and go round them; 0: never keep",
    )
    number("--head-layers", whole, 1, "fully connected layers of the head")
    number("--hidden-units", whole, 512, "units of each hidden layer of the head")
    number(
        "--dropout",
        share,
        None,
        "rate of the network's dropout layers, or of one before the head if it has none; default: "
        "the network's own",
    )
    choice(
        "--augmentation",
        AUGMENTATIONS,
        "crop",
        "of training photos, each with those before it: none, flip, crop (random resized), colour",
    )
    choice(
        "--weights",
        WEIGHTS,
        "imagenet",
        "the weights to start from: imagenet's, which must be available; random ones; auto: "
        "ImageNet's if they are available, else random ones",
    )
    choice(
        "--precision",
        PRECISIONS,
        "auto",
        "fp32, bf16 or fp16; auto: bf16 where the processor or GPU has it natively, else fp16 on a "
        "GPU, else fp32",
    )
    number("--seed", number_type(int, 0), 0, "of the weights, the order and the augmentation")
    number(
        "--num-workers", number_type(int, 0), None, "loader processes; default: by set and device"
    )
    number("--max-damaged", number_type(int, 0), 10, "stop if more photos cannot be decoded")
    choice("--nan-loss", NAN_LOSSES, "stop", "what a loss that is no number does: stop or continue")
    choice(
        "--decode",
        DECODING,
        "reduced",
        "reduced: at the size needed, small sets once; full: whole photos, anew in each epoch",
    )


def _add_folders(group) -> None:
    def folder(flag: str, variable: str, text: str) -> None:
        default = os.environ.get(variable) or None
        group.add_argument(
            flag, type=_folder, default=default, metavar="DIR", help=f"{text} [${variable}]"
        )

    folder("--train-dir", "SM_CHANNEL_TRAIN", "training photos")
    folder("--valid-dir", "SM_CHANNEL_VALID", "validation photos")
    folder("--test-dir", "SM_CHANNEL_TEST", "test photos, optional")
    folder("--weights-dir", "SM_CHANNEL_WEIGHTS", "files of ImageNet weights, by their own names")
    folder("--model-dir", "SM_MODEL_DIR", "where the model is saved")
    folder("--output-data-dir", "SM_OUTPUT_DATA_DIR", "where the results go, optional")
    group.add_argument(
        "--stop-after",
        type=number_type(float, 0, above=True),
        metavar="SECONDS",
        help="write a checkpoint and end so many seconds after the script began: a little before "
        "the job's MaxRuntimeInSeconds, which ends it without a signal",
    )
    group.add_argument(
        "--checkpoint-seconds",
        type=number_type(float, 0, above=True),
        default=300.0,
        metavar="SECONDS",
        help="write a checkpoint so often within an epoch, besides the one after it: what a killed "
        "run loses at most",
    )
    group.add_argument(
        "--checkpoint-dir",
        type=_folder,
        metavar="DIR",
        help="where an interrupted run finds its last epoch, optional; default: the job's own "
        "folder among its checkpoints, if it has a CheckpointConfig",
    )


def parse(argv: Sequence[str] | None = None, extras: type[Extras] = Extras) -> argparse.Namespace:
    """Return the options; an unknown name or a wrong value exits with 2.

    SageMaker adds hyperparameters of its own (`_tuning_objective_metric`), which are ignored.
    Underscores are as good as hyphens: `--batch_size` is `--batch-size`.
    """
    parser = build_parser(extras)
    options, unknown = parser.parse_known_args(_with_hyphens(argv))
    if unknown := _not_sagemakers(unknown):
        parser.error(_advise(unknown[0], parser))
    for flag in ("train_dir", "valid_dir", "model_dir"):
        if getattr(options, flag) is None:
            name, channel = flag.replace("_", "-"), flag.removesuffix("_dir").upper()
            variable = "SM_MODEL_DIR" if flag == "model_dir" else f"SM_CHANNEL_{channel}"
            parser.error(f"--{name} is missing, and so is {variable}: pass the folder")
    try:
        own = job_checkpoints()
    except ConfigError as error:
        parser.error(str(error))
    if options.checkpoint_dir is None and own is not None:
        options.checkpoint_dir = own / "checkpoints"
    if options.checkpoint_dir is None:
        options.checkpoint_seconds = None
    return options


def job_file(name: str) -> Path:
    """Return the path of a configuration file that SageMaker may have written into the job."""
    return Path(os.environ.get("SM_INPUT_CONFIG_DIR") or CONFIG_DIR) / name


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of such a file, or nothing if it does not exist.

    Raises ConfigError if it is not JSON.
    """
    if not path.is_file():
        return {}
    try:
        return json.loads(path.read_text() or "{}") or {}
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path.name}, SageMaker's configuration, is no JSON: {error}") from error


def job_checkpoints() -> Path | None:
    """Return the job's own folder below its CheckpointConfig's LocalPath; None without one."""
    folder = read_config(job_file("checkpointconfig.json")).get("LocalPath")
    return Path(folder) / os.environ.get("TRAINING_JOB_NAME", "job") if folder else None


def _not_sagemakers(words: Sequence[str]) -> list[str]:
    """Return the words without SageMaker's own options and their values."""
    kept, own = [], False
    for word in words:
        own = word.startswith(SAGEMAKERS) if word.startswith("--") else own
        kept += [] if own else [word]
    return kept


def _advise(word: str, parser: argparse.ArgumentParser) -> str:
    """Say that an argument is unknown, and which one may be meant: training must not go on."""
    name = word.partition("=")[0]
    flags = [flag for action in parser._actions for flag in action.option_strings]
    initials = "--" + "".join(part[:1] for part in name.strip("-").split("-"))
    near = [initials] if initials in flags else difflib.get_close_matches(name, flags, n=1)
    return f"unknown argument {name}: " + (f"did you mean {near[0]}?" if near else "see --help")


def make_folders(options: argparse.Namespace) -> None:
    """Make the output folders; ConfigError now, and not after the training, where that fails."""
    for flag in ("model_dir", "output_data_dir"):
        folder = getattr(options, flag)
        if folder is None:
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} is not writable")
        except OSError as error:
            name = flag.replace("_", "-")
            raise ConfigError(f"--{name}: {error}; name another folder") from error


def layers(options: argparse.Namespace, epoch: int) -> str:
    """Return what learns in an epoch, the first of which is 1: head, last-stage or all."""
    return "head" if epoch <= options.head_epochs else options.train_layers


def hyperparameters(options: argparse.Namespace) -> dict[str, Any]:
    """Return what makes a run another one, by name."""
    names = [n for n in vars(options) if not n.endswith("_dir") and n not in WATCHING]
    return {name: getattr(options, name) for name in names}


@contextlib.contextmanager
def exit_with_advice(options: argparse.Namespace) -> Iterator[None]:
    """Turn errors that the options explain into a message and the exit code 1."""
    try:
        yield
    except (ConfigError, FloatingPointError) as error:
        sys.exit(f"error: {error}")
    except (RuntimeError, MemoryError, ValueError) as error:
        if (known := _advice(error, options)) is None:
            raise
        sys.exit(f"error: {known}")


def _advice(error: Exception, options: argparse.Namespace) -> str | None:
    """Return what to change, if the choice of options explains an error of PyTorch's."""
    size, text = options.batch_size, str(error)
    if isinstance(error, MemoryError) or any(part in text for part in NO_MEMORY):
        way_out = f"try --batch-size {max(1, size // 2)}, or a smaller --image-size"
        return f"out of memory with --batch-size {size} at {options.image_size} pixels: {way_out}"
    if ONE_PHOTO in text:
        return (
            f"batch normalisation learns nothing from one photo per process: --batch-size is "
            f"{size}; raise it, or choose --batch-norm frozen"
        )
    return None


def _with_hyphens(argv: Sequence[str] | None) -> list[str] | None:
    if argv is None:
        argv = sys.argv[1:]

    def fixed(word: str) -> str:
        if not word.startswith("--") or word.startswith("--_"):
            return word
        name, equals, value = word.partition("=")
        return name.replace("_", "-") + equals + value

    return [fixed(word) for word in argv]
