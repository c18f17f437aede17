"""What SageMaker's containers do silently, in every Python process of a container here.

A ``.pth`` file of its environment calls `install` at the start of each process. Nothing is imported
for it: each adjustment waits until a script imports the module that it is about.

- ``logging``: messages of level INFO are shown though the script configured nothing. The root
  logger gets no handler for this, so ``logging.basicConfig`` works as anywhere.
- ``smdebug``: networks and losses are registered with Debugger's hook (see `automatic_hook`).
- ``numpy``, ``torchvision`` and others: what they had when an old image was made (`old_defaults`).
- ``sagemaker``: scripts of jobs can import SDK 2 without using it (`absent_sdk`).
- ``torch.distributed``: a process group's store listens on its instance's own address alone, so
  that jobs at the same time may use the same port, as they would on machines of their own.
"""

from __future__ import annotations

import os
import sys

VERSION = "LOCAL_SAGEMAKER_PYTORCH"  # the variable with the version that the image's tag names
WITHOUT_SMDEBUG = (2, 1)  # from this version on, images have neither smdebug nor AWS's PyTorch
WITHOUT_SDK = (2, 11)  # from this version on, training images do not have SDK 2
WITHOUT_OLD_DEFAULTS = (2, 7)  # as PyTorch 2.13 does, for all that is known here
WITH_OLD_DEFAULTS = (
    "numpy",
    "PIL.Image",
    "torch.optim.lr_scheduler",
    "torch.utils.data.dataloader",
    "torchvision.models._utils",
    "torchvision.transforms",
)
LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")


def show_information(logging) -> None:
    """Show messages from INFO on where no handler was configured."""
    logging.root.setLevel(logging.INFO)
    logging.lastResort.setLevel(logging.INFO)


def register_losses(hooks) -> None:
    """Let smdebug's hook know the losses of a network that the script has registered."""
    from local_sagemaker.runtime.inside import automatic_hook

    automatic_hook.register_losses(hooks)


def register_networks(nn) -> None:
    """Let smdebug's hook know the first network that is called, and losses from functions."""
    from local_sagemaker.runtime.inside import automatic_hook

    automatic_hook.register_networks(nn)


def restore_old_defaults(module) -> None:
    """Give back what the module has lost since the image's PyTorch was new."""
    from local_sagemaker.runtime.inside import old_defaults

    old_defaults.restore(module, image_version())


def complete_sdk(package) -> None:
    """Let imports of names from SDK 2 succeed."""
    from local_sagemaker.runtime.inside import absent_sdk

    absent_sdk.complete(package)


class LastFinder:
    """A finder for what no other has found, in SageMaker's SDK."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] != "sagemaker":
            return None
        from local_sagemaker.runtime.inside import absent_sdk

        return absent_sdk.find_spec(name)


def listen_on_own_address(distributed) -> None:
    """Let a store's server listen on this instance's address instead of on all of them."""
    if not hasattr(distributed, "TCPStore"):
        return
    import re
    import socket

    host = socket.gethostname()
    own = socket.gethostbyname(host) if re.fullmatch(r"algo-\d+", host) else "127.0.0.1"
    given = distributed.TCPStore

    class TCPStore(given):
        __doc__ = given.__doc__

        def __init__(self, host_name, port, world_size=None, is_master=False, *rest, **members):
            if is_master and len(rest) < 4 and members.get("master_listen_fd") is None:
                try:
                    server = socket.create_server((own, port), backlog=2048)
                    port = server.getsockname()[1]
                    members["master_listen_fd"] = server.detach()
                except OSError:  # taken: the store itself shares its server, or says so
                    pass
            there = own if host_name in LOOPBACK else host_name
            super().__init__(there, port, world_size, is_master, *rest, **members)

    distributed.TCPStore = distributed.rendezvous.TCPStore = TCPStore


class AfterImport:
    """A finder that finds nothing itself: it calls an action once its module is imported."""

    def __init__(self, actions: dict) -> None:
        self.actions = actions

    def find_spec(self, name, path=None, target=None):
        action = self.actions.pop(name, None)
        if action is None:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in specs if spec), None)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def load_and_act(module) -> None:
                load(module)
                action(module)

            spec.loader.exec_module = load_and_act
        return spec


def image_version() -> tuple[int, ...] | None:
    """The version of PyTorch that the container's image names; None where it names none."""
    named = os.environ.get(VERSION)
    return tuple(map(int, named.split("."))) if named else None


def install() -> None:
    if any(isinstance(finder, AfterImport) for finder in sys.meta_path):
        return  # in a virtual environment, site reads each .pth file twice
    actions = {
        "logging": show_information,
        "smdebug.pytorch.hook": register_losses,
        "torch.distributed": listen_on_own_address,
    }
    version = image_version() or WITHOUT_SDK
    if version < WITHOUT_SMDEBUG:
        actions["torch.nn"] = register_networks
    if version < WITHOUT_OLD_DEFAULTS:
        actions |= dict.fromkeys(WITH_OLD_DEFAULTS, restore_old_defaults)
    if version < WITHOUT_SDK and "TRAINING_JOB_NAME" in os.environ:
        actions["sagemaker"] = complete_sdk
        sys.meta_path.append(LastFinder())
    for name in actions.keys() & sys.modules.keys():
        actions.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, AfterImport(actions))
