"""SageMaker Debugger in a training script: the hook, when a configuration asks for tensors.

Without one, smdebug is not even imported: it costs seconds and is installed in no container.
"""

import os
import re
from pathlib import Path
from typing import Any

import torch

from debugger import hookconfig
from debugger.compatibility import SmdebugMissing, load_smdebug
from distributed import is_first_process
from options import ConfigError, read_config

DEFAULT_FOLDER = "/opt/ml/output/tensors"


class Debugger:
    """The Debugger hook, or nothing: every method may be called in any case.

    `config` is what `--debug-config` gives, if it is given; else SageMaker's file counts. If the
    run `resumes`, its tensors of the steps before are kept. Raises ConfigError if both ask for
    tensors, or `config` finds no folder for them.
    """

    hook: Any = None
    scaled = False
    own: bool = False
    file: Path | None = None

    def __init__(
        self,
        config: dict[str, Any] | None = None,
        output_data_dir: Path | None = None,
        resumes: bool = False,
    ):
        if not is_first_process():
            return
        self.file = hookconfig.from_sagemaker()
        # smdebug would look through the checkpoints at every step, to find out at which step a
        # resumed run is. The run's own checkpoint says so (`state_dict`).
        os.environ["CHECKPOINT_CONFIG_FILE_PATH"] = ""
        if config is None:
            return
        if self.file is not None:
            raise ConfigError(
                "the job has a DebugHookConfig, and --debug-config besides: leave one of them out"
            )
        self.file, self.own = hookconfig.write(config, output_data_dir, resumes), True

    def register(self, model: Any, criterion: Any, scaler: Any = None) -> None:
        """Hook up the network and the loss, if a configuration asks for tensors.

        Where activations are among them, modules that overwrite their input stop doing so. Without
        smdebug, which no container holds by itself, the job trains all the same and says so.

        `scaler` is the GradScaler of the training. If it scales the loss, as for fp16, gradients
        are not saved where they arise, but by `save_gradients`.

        Raises RuntimeError if smdebug cannot be used, ConfigError if it cannot do as asked.
        """
        if self.file is None:
            return
        try:
            load_smdebug("Debugger tensors")
        except SmdebugMissing as error:
            print(f"debugger=off: {error}", flush=True)
            return
        import smdebug.pytorch as smd

        phases = {"train": smd.modes.TRAIN, "valid": smd.modes.EVAL, "test": smd.modes.PREDICT}
        self.hook, self.modes = _make_hook(self.file, self.own), phases
        self.scaled = scaler is not None and scaler.is_enabled()
        if self.scaled:
            self.hook.backward_hook = lambda name: lambda gradient: None
        _save_bfloat16(self.hook)
        _prepare(self.hook, model, criterion)
        self.hook.register_module(model)
        self.hook.register_loss(criterion)
        print(f"debugger=on tensors={self.hook.out_dir}", flush=True)

    def state_dict(self) -> dict[str, Any]:
        """Return how many steps the hook has seen, in all and of each mode.

        What it has seen is then in its files: smdebug writes a step when the next one begins.
        """
        if not self.hook:
            return {}
        self.hook._close_writers()
        steps = {mode.name: step for mode, step in self.hook.mode_steps.items()}
        return {"step": self.hook.step, "mode_steps": steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Number the steps on from there: what is done again replaces what was saved of it."""
        if not self.hook or not state:
            return
        modes = {mode.name: mode for mode in type(self.hook.mode)}
        self.hook.step = state["step"]
        self.hook.mode_steps = {modes[name]: step for name, step in state["mode_steps"].items()}

    def begin(self, phase: str) -> None:
        """Count the following steps as training, evaluation or (the test) prediction."""
        if self.hook:
            self.hook.set_mode(self.modes[phase])

    def save_gradients(self, model: Any) -> None:
        """Save gradients that were scaled, now that they are not any more.

        A step whose gradients overflowed has none: the scaler skips it.
        """
        if not self.hook or not self.scaled or not self.hook._get_collections_to_save_for_step():
            return
        prefix = model._get_name()
        found = [(n, p.grad) for n, p in model.named_parameters() if p.grad is not None]
        if all(torch.isfinite(gradient).all() for _, gradient in found):
            for name, gradient in found:
                self.hook._save_for_tensor(f"gradient/{prefix}_{name}", gradient)

    def close(self) -> None:
        """Write what is outstanding and mark the end of the job."""
        if not self.hook:
            return
        self.hook.close()
        if self.own:  # in a job of SageMaker's, smdebug leaves this file to SageMaker
            Path(self.hook.out_dir, hookconfig.END_OF_JOB).touch()


def _make_hook(file: Path, own: bool = False) -> Any:
    """smdebug's hook for a configuration file; ConfigError if it would have none.

    Its folder must be new, unless it is our `own`, which `hookconfig.write` has prepared.
    """
    import smdebug.pytorch as smd

    folder = Path(read_config(file).get("LocalPath") or DEFAULT_FOLDER)
    if folder.exists() and not own:  # in words that smdebug lacks, whose error drowns in another
        raise ConfigError(f"{folder}, for the tensors, is there already: remove it")
    hook = smd.get_hook(json_config_path=str(file), create_if_not_exists=True)
    if hook is None:
        raise ConfigError("the job asks for Debugger tensors, and USE_SMDEBUG turns smdebug off")
    return hook


def _prepare(hook: Any, model: Any, criterion: Any) -> None:
    """Check the collections against the network, and make its activations fit to be saved.

    Says which collection matches nothing. Raises ConfigError for one that smdebug could not use.
    """
    activations, others = _activations(model), _parameters(model) + _losses(criterion)
    for collection in _chosen(hook):
        regexes = _regexes(collection)
        if any(_matches(name, regexes) for name in activations):
            _keep_inputs(model)
        elif regexes and not any(_matches(name, regexes) for name in others):
            print(f"debugger: the collection {collection.name!r} matches no tensor", flush=True)


def _chosen(hook: Any) -> list[Any]:
    """The collections that the hook will save."""
    known = hook.get_collections()
    return [c for name, c in known.items() if {name, "all"} & set(hook.include_collections)]


def _regexes(collection: Any) -> list[str]:
    """A collection's expressions; ConfigError names what smdebug would only trip over later."""
    name, regexes = collection.name, collection.include_regex
    if not regexes and name not in ("all", "default"):
        raise ConfigError(
            f"the Debugger collection {name!r} is none of smdebug's own: give it an include_regex"
        )
    for regex in regexes:
        try:
            re.compile(regex)
        except re.error as error:
            raise ConfigError(
                f"the Debugger collection {name!r} cannot use {regex!r} as its include_regex: "
                f"{error} (a comma separates two expressions)"
            ) from error
    return regexes


def _matches(name: str, regexes: list[str]) -> bool:
    return any(re.search(regex, name) for regex in regexes)


def _activations(model: Any) -> list[str]:
    """The names by which smdebug saves what goes into the network's modules and comes out."""
    modules = [name or model._get_name() for name, _ in model.named_modules()]
    return [f"{name}_{way}_0" for name in modules for way in ("input", "output")]


def _losses(criterion: Any) -> list[str]:
    """The names by which smdebug saves predictions, labels and loss."""
    return [f"{criterion._get_name()}_{what}" for what in ("input_0", "input_1", "output_0")]


def _parameters(model: Any) -> list[str]:
    """The names by which smdebug saves the network's parameters and their gradients."""
    found = model.named_parameters()
    names = [f"{model._get_name()}_{name}" for name, _ in found]
    return names + [f"gradient/{name}" for name in names]


def _keep_inputs(model: Any) -> None:
    """Have no module overwrite its input, as torchvision's ReLUs do.

    The hook sees a module's input when its output is there, and would save that instead.
    """
    for module in model.modules():
        if getattr(module, "inplace", False):
            module.inplace = False


def _save_bfloat16(hook: Any) -> None:
    """NumPy has no bfloat16: have the hook save such activations as float32."""
    to_numpy = hook._make_numpy_array

    def widened(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
            value = value.float()
        return to_numpy(value)

    hook._make_numpy_array = widened
