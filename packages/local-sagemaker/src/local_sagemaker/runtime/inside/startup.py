"""What SageMaker's containers do silently, in every Python process of a container here.

A ``.pth`` file of its environment calls `install` at the start of each process. Nothing is imported
for it: each adjustment waits until a script imports the module that it is about.

- ``logging``: messages of level INFO are shown though the script configured nothing. The root
  logger gets no handler for this, so ``logging.basicConfig`` works as anywhere.
- ``smdebug``: once a network is registered with a hook, a loss module is registered at its first
  call, unless the script registers losses itself.
- ``torch.distributed``: a process group's store listens on its instance's own address alone, so
  that jobs at the same time may use the same port, as they would on machines of their own.
"""

from __future__ import annotations

import sys

LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")


def show_information(logging) -> None:
    """Show messages from INFO on where no handler was configured."""
    logging.root.setLevel(logging.INFO)
    logging.lastResort.setLevel(logging.INFO)


def register_losses(hooks) -> None:
    """Let smdebug's `Hook` know the loss modules that are called after a network is registered."""
    register_module = hooks.Hook.register_module

    def register_and_watch(hook, module):
        _watch_losses(hook)
        return register_module(hook, module)

    hooks.Hook.register_module = register_and_watch


def _watch_losses(hook) -> None:
    from torch.nn.modules.loss import _Loss
    from torch.nn.modules.module import Module

    found = hook.__dict__.setdefault("losses_found", set())

    def call(loss, *values, **members):
        by_script = hook.has_registered_loss_module and not found
        if not by_script and loss not in hook.module_set:
            hook.register_loss(loss)
            found.add(loss)
        return Module.__call__(loss, *values, **members)

    _Loss.__call__ = call


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


def install() -> None:
    actions = {
        "logging": show_information,
        "smdebug.pytorch.hook": register_losses,
        "torch.distributed": listen_on_own_address,
    }
    for name in actions.keys() & sys.modules.keys():
        actions.pop(name)(sys.modules[name])
    sys.meta_path.insert(0, AfterImport(actions))
