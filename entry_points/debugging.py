"""SageMaker Debugger in a training script: the hook, when a configuration asks for tensors.

Without one, smdebug is not even imported: it costs seconds and is installed in no container.
"""

import json
import os
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

DEFAULT_CONFIG = "/opt/ml/input/config/debughookconfig.json"


def config_file() -> Path | None:
    """Return the hook configuration that asks for something, or None.

    SageMaker writes the file into every job; it asks for tensors if it names collections or hook
    parameters. Raises ValueError if it is not JSON.
    """
    path = Path(os.environ.get("SMDEBUG_CONFIG_FILE_PATH") or DEFAULT_CONFIG)
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text() or "{}")
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name}, the Debugger configuration, is no JSON: {error}") from error
    wanted = config and (config.get("CollectionConfigurations") or config.get("HookParameters"))
    return path if wanted else None


class Debugger:
    """The Debugger hook, or nothing: every method may be called in any case."""

    hook: Any = None

    def register(self, model: Any, criterion: Any) -> None:
        """Hook up the network and the loss, if a configuration asks for tensors.

        Where activations are among them, modules that overwrite their input stop doing so.
        Raises RuntimeError if smdebug cannot be imported, or the configuration not be honoured.
        """
        if config_file() is None:
            return
        # The hook logs one line for each parameter at its default level.
        os.environ.setdefault("SMDEBUG_LOG_LEVEL", "warning")
        _allow_newer_protobuf()
        try:
            import smdebug.pytorch as smd
        except ImportError as error:
            raise RuntimeError(
                f"the job asks for Debugger tensors, and smdebug cannot be imported ({error}): "
                "name requirements-debugger.txt as the job's requirements"
            ) from error
        _allow_newer_numpy()
        self.modes = smd.modes
        self.hook = smd.get_hook(create_if_not_exists=True)
        _save_bfloat16(self.hook)
        _prepare(self.hook, model)
        self.hook.register_module(model)
        self.hook.register_loss(criterion)
        print(f"debugger=on tensors={self.hook.out_dir}", flush=True)

    def training(self) -> None:
        """Steps from here on count as training."""
        if self.hook:
            self.hook.set_mode(self.modes.TRAIN)

    def evaluating(self) -> None:
        """Steps from here on count as evaluation."""
        if self.hook:
            self.hook.set_mode(self.modes.EVAL)

    def testing(self) -> None:
        """Steps from here on count as neither: the test must not look like one more evaluation."""
        if self.hook:
            self.hook.set_mode(self.modes.PREDICT)

    def close(self) -> None:
        """Write what is outstanding and mark the end of the job."""
        if self.hook:
            self.hook.close()


def _prepare(hook: Any, model: Any) -> None:
    """Check the collections against the network, and make its activations fit to be saved.

    Says which collection matches nothing. Raises RuntimeError for one that smdebug could not use.
    """
    activations, parameters = _activations(model), _parameters(model)
    for collection in _chosen(hook):
        regexes = _regexes(collection)
        if any(_matches(name, regexes) for name in activations):
            _keep_inputs(model)
        elif any(_matches(name, regexes) for name in parameters):
            continue
        elif regexes and collection.name != "losses":  # the loss is no part of the network
            print(f"debugger: the collection {collection.name!r} matches no tensor", flush=True)


def _chosen(hook: Any) -> list[Any]:
    """The collections that the hook will save."""
    known = hook.get_collections()
    return [c for name, c in known.items() if {name, "all"} & set(hook.include_collections)]


def _regexes(collection: Any) -> list[str]:
    """A collection's expressions; RuntimeError names what smdebug would only trip over later."""
    name, regexes = collection.name, collection.include_regex
    if not regexes and name not in ("all", "default"):
        raise RuntimeError(
            f"the Debugger collection {name!r} is none of smdebug's own: give it an include_regex"
        )
    for regex in regexes:
        try:
            re.compile(regex)
        except re.error as error:
            raise RuntimeError(
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


def _allow_newer_protobuf() -> None:
    """Have protobuf 4 and later, as the containers hold it, take smdebug's older descriptors.

    Only its implementation in Python does, which is chosen when protobuf is first imported.
    Raises RuntimeError if another one has been by then.
    """
    try:
        if int(version("protobuf").partition(".")[0]) < 4:
            return
    except PackageNotFoundError:
        return  # the import of smdebug will say so
    chosen = sys.modules.get("google.protobuf.internal.api_implementation")
    if chosen is not None and chosen.Type() != "python":
        raise RuntimeError(
            "the job asks for Debugger tensors, but protobuf has been imported in the form that "
            "smdebug cannot use: set PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=python in the job's "
            "environment"
        )
    os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"


def _allow_newer_numpy() -> None:
    """Give smdebug's writer arrays with `tostring`, which NumPy 2.3 dropped."""
    import numpy as np
    from smdebug.core import writer

    class Array(np.ndarray):
        def tostring(self) -> bytes:
            return self.tobytes()

    make_tensor_proto = writer.make_tensor_proto

    def with_tostring(nparray_data: Any, tag: str) -> Any:
        return make_tensor_proto(np.asarray(nparray_data).view(Array), tag)

    writer.make_tensor_proto = with_tostring


def _save_bfloat16(hook: Any) -> None:
    """NumPy has no bfloat16: have the hook save such activations as float32."""
    import torch

    to_numpy = hook._make_numpy_array

    def widened(value: Any) -> Any:
        if isinstance(value, torch.Tensor) and value.dtype == torch.bfloat16:
            value = value.float()
        return to_numpy(value)

    hook._make_numpy_array = widened
