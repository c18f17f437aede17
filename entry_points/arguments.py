"""The command line of `train.py`; no PyTorch here, so that `--help` and mistakes answer at once.

What one may tune is an option with a fixed default. What SageMaker provides (channels and output
folders) defaults to the environment variable which SageMaker sets, read when the parser is built.
"""

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from networks import ARCHITECTURES
from records import hookconfig
from sampler import DEFAULT_INTERVAL_MS, INTERVALS_MS

OPTIMIZERS = ("sgd", "adam", "adamw")
WEIGHTS = ("auto", "imagenet", "random")
TRAIN_LAYERS = ("auto", "head", "last-stage", "all")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
DECODING = ("reduced", "full")
SCHEDULES = ("cosine", "constant")
AUGMENTATIONS = ("none", "flip", "crop", "colour")  # each with those before it
BATCH_NORMS = ("auto", "train", "frozen")
NAN_LOSSES = ("stop", "continue")
# What only watches a run, and so does not make it another one.
WATCHING = ("debug_config", "monitor", "profile_steps", "num_workers", "max_damaged", "nan_loss")
NO_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")
ONE_PHOTO = "Expected more than 1 value per channel"
IMAGE_SIZE = {"imagenet": 224, "random": 64}  # the defaults, by starting weights


def _unquoted(text: str) -> str:
    # A tuner's categorical values reach a job as JSON strings: "\"adamw\"", "\"32\"".
    return text.strip().strip("\"'")


def _number(kind: type, minimum: float, *, above: bool = False, below: float = math.inf):
    """Return an argparse type: a `kind` of at least `minimum` (more than it with `above`)."""
    bound = f"{'more than' if above else 'at least'} {minimum:g}"
    bound += "" if below == math.inf else f" and less than {below:g}"

    def parse(text: str):
        try:
            value = kind(_unquoted(text))
        except ValueError:
            value = None
        # NaN fails both comparisons, as it should.
        if value is None or not (value > minimum if above else value >= minimum) or value >= below:
            name = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {name} of {bound}")
        return value

    return parse


def _folder(text: str) -> Path:
    return Path(_unquoted(text))


def _debug_config(text: str) -> dict[str, Any]:
    try:
        return hookconfig.parse(text)
    except hookconfig.ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _monitor(text: str) -> int | None:
    """Return the milliseconds between two samples, or None for `false`."""
    value, (shortest, longest) = _unquoted(text).lower(), INTERVALS_MS
    if value in ("true", "false"):
        return DEFAULT_INTERVAL_MS if value == "true" else None
    if not value.isdecimal() or not shortest <= int(value) <= longest:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither true nor false nor {shortest} to {longest} milliseconds"
        )
    return int(value)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; its `SM_*` defaults are those of this moment's environment."""
    parser = argparse.ArgumentParser(
        description="Fine-tune a torchvision network on folders of photos, one folder a class.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    _add_hyperparameters(parser.add_argument_group("hyperparameters (what one may tune)"))
    _add_debugger(parser.add_argument_group("Debugger, for accounts to which AWS has closed it"))
    _add_profiler(parser.add_argument_group("profiler (step times are always recorded)"))
    _add_folders(parser.add_argument_group("folders (SageMaker provides them as SM_* variables)"))
    return parser


def _add_hyperparameters(group) -> None:
    whole, part, share = _number(int, 1), _number(float, 0), _number(float, 0, below=1)

    def choice(flag: str, values: Sequence[str], default: str, text: str) -> None:
        group.add_argument(flag, type=_unquoted, choices=values, default=default, help=text)

    def number(flag: str, kind, default, text: str) -> None:
        group.add_argument(flag, type=kind, default=default, help=text)

    choice("--model", ARCHITECTURES, "resnet50", "the network: resnet50, resnet18 or vgg16")
    choice("--optimizer", OPTIMIZERS, "adamw", "adamw, adam, or sgd with momentum")
    number("--lr", _number(float, 0, above=True), 1e-3, "peak learning rate, see --warmup")
    number("--eps", _number(float, 0, above=True), 1e-8, "denominator's floor (adam, adamw)")
    number("--weight-decay", part, 1e-2, "weight decay (L2 penalty for sgd and adam)")
    number("--momentum", part, 0.9, "share of the last step that the next one keeps (sgd)")
    choice("--schedule", SCHEDULES, "cosine", "after the warm-up: cosine falls, constant stays")
    number("--warmup", share, 0.1, "share of the steps in which the rate rises to --lr")
    number("--label-smoothing", share, 0.0, "share of the target given to all classes alike")
    number("--batch-size", whole, 32, "photos a step, over all processes together")
    number("--epochs", whole, 5, "passes over the training photos")
    number(
        "--image-size",
        _number(int, 32),
        None,
        "pixels a side; default: 224 on ImageNet's weights, else 64",
    )
    choice(
        "--train-layers",
        TRAIN_LAYERS,
        "auto",
        "what learns: the head, the last-stage with it, or all; auto: the head on ImageNet's "
        "weights, else all",
    )
    number("--head-epochs", _number(int, 0), 0, "the first epochs, in which the head learns alone")
    number("--body-lr", part, 1.0, "learning rate of what is not the head, as a multiple of --lr")
    choice(
        "--batch-norm",
        BATCH_NORMS,
        "auto",
        "whether its statistics train or stay frozen; auto: frozen on ImageNet's weights, else "
        "train",
    )
    number(
        "--feature-views",
        _number(int, 0),
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
        "of VGG16's head; default: 0.5 on ImageNet's weights, else 0",
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
        "auto",
        "start from imagenet's weights or random ones; auto: ImageNet's where they can be had",
    )
    choice(
        "--precision",
        PRECISIONS,
        "auto",
        "fp32, bf16 or fp16; auto: bf16 where the processor or GPU has it natively, else fp16 on a "
        "GPU, else fp32",
    )
    number("--seed", _number(int, 0), 0, "of the weights, the order and the augmentation")
    number("--num-workers", _number(int, 0), None, "loader processes; default: none for small sets")
    number("--max-damaged", _number(int, 0), 10, "training stops if more photos cannot be decoded")
    choice("--nan-loss", NAN_LOSSES, "stop", "what a loss that is no number does: stop or continue")
    choice(
        "--decode",
        DECODING,
        "reduced",
        "reduced: at the size needed, small sets once; full: whole photos, anew in each epoch",
    )


def _add_debugger(group) -> None:
    group.add_argument(
        "--debug-config",
        type=_debug_config,
        metavar="JSON|FILE",
        help="the tensors to save: JSON with CollectionConfigurations and HookParameters as in "
        "SageMaker's DebugHookConfig, or a file of it beside this script; they go to debug-output "
        "below LocalPath, or else the job's checkpoints (CheckpointConfig), or --output-data-dir",
    )


def _add_profiler(group) -> None:
    group.add_argument(
        "--monitor",
        type=_monitor,
        nargs="?",
        const=DEFAULT_INTERVAL_MS,
        metavar="true|false|MS",
        help="sample the machine's processors, memory, disks, network and GPUs as SageMaker "
        f"Debugger would, where AWS has closed it; every {DEFAULT_INTERVAL_MS} ms, or so many. "
        "Needs requirements-debugger.txt (psutil; nvidia-ml-py for GPUs). What is recorded goes to "
        "profiler-output in the job's checkpoints (CheckpointConfig), or else in --output-data-dir",
    )
    group.add_argument(
        "--profile-steps",
        type=_number(int, 0),
        default=0,
        metavar="N",
        help="trace the operators of so many training steps, from the fourth on",
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
    folder("--weights-dir", "SM_CHANNEL_WEIGHTS", "ImageNet weights as torchvision names the files")
    folder("--model-dir", "SM_MODEL_DIR", "where the model is saved")
    folder("--output-data-dir", "SM_OUTPUT_DATA_DIR", "where the results go, optional")
    group.add_argument(
        "--checkpoint-dir",
        type=_folder,
        metavar="DIR",
        help="where an interrupted run finds its last epoch, optional; default: the job's own "
        "folder among its checkpoints, if it has a CheckpointConfig",
    )


def parse(argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, list[str]]:
    """Return the arguments and those that were not understood; a wrong value exits with 2.

    SageMaker adds hyperparameters of its own (`_tuning_objective_metric`), so that unknown names
    must not stop a job. Underscores are as good as hyphens: `--batch_size` is `--batch-size`.
    """
    parser = build_parser()
    arguments, unknown = parser.parse_known_args(_with_hyphens(argv))
    for flag in ("train_dir", "valid_dir", "model_dir"):
        if getattr(arguments, flag) is None:
            name, channel = flag.replace("_", "-"), flag.removesuffix("_dir").upper()
            variable = "SM_MODEL_DIR" if flag == "model_dir" else f"SM_CHANNEL_{channel}"
            parser.error(f"--{name} is missing, and so is {variable}: pass the folder")
    return arguments, unknown


def make_folders(arguments: argparse.Namespace) -> None:
    """Make the output folders; ConfigError now, and not after the training, where that fails."""
    for flag in ("model_dir", "output_data_dir"):
        folder = getattr(arguments, flag)
        if folder is None:
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(f"{folder} is not writable")
        except OSError as error:
            name = flag.replace("_", "-")
            raise hookconfig.ConfigError(f"--{name}: {error}; name another folder") from error


def settle(arguments: argparse.Namespace, weights: str) -> None:
    """Replace the arguments whose default depends on the starting weights: imagenet or random."""
    if arguments.image_size is None:
        arguments.image_size = IMAGE_SIZE[weights]
    if arguments.train_layers == "auto":
        arguments.train_layers = "head" if weights == "imagenet" else "all"
    if arguments.batch_norm == "auto":
        arguments.batch_norm = "frozen" if weights == "imagenet" else "train"


def layers(arguments: argparse.Namespace, epoch: int) -> str:
    """Return what learns in an epoch, the first of which is 1: head, last-stage or all."""
    return "head" if epoch <= arguments.head_epochs else arguments.train_layers


def hyperparameters(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what makes a run another one, by name."""
    names = [n for n in vars(arguments) if not n.endswith("_dir") and n not in WATCHING]
    return {name: getattr(arguments, name) for name in names}


def advice(error: Exception, arguments: argparse.Namespace) -> str | None:
    """Return what to change, where the choice of options explains an error of PyTorch's."""
    size, text = arguments.batch_size, str(error)
    if isinstance(error, MemoryError) or any(part in text for part in NO_MEMORY):
        way_out = f"try --batch-size {max(1, size // 2)}, or a smaller --image-size"
        return f"out of memory with --batch-size {size} at {arguments.image_size} pixels: {way_out}"
    if ONE_PHOTO in text:
        return (
            f"batch normalisation learns nothing from a single photo a process: --batch-size is "
            f"{size}; raise it, or choose --batch-norm frozen"
        )
    return None


def _with_hyphens(argv: Sequence[str] | None) -> list[str] | None:
    if argv is None:
        import sys

        argv = sys.argv[1:]

    def fixed(word: str) -> str:
        if not word.startswith("--") or word.startswith("--_"):
            return word
        name, equals, value = word.partition("=")
        return name.replace("_", "-") + equals + value

    return [fixed(word) for word in argv]
