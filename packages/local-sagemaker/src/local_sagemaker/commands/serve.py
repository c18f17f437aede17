"""The engine's own process, which ``start`` and ``run`` execute: ``serve``."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import threading

from local_sagemaker import daemon
from local_sagemaker.core import state_files
from local_sagemaker.core.state_lock import StateError


def serve(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if options.life is not None:
        threading.Thread(target=_end_with, args=(options.life,), daemon=True).start()

    def ready(url: str) -> None:
        # The command of `run` has a proxy of its own.
        identity = identity_proxy.answer(options.state, url) if options.life is None else 0
        daemon.note(options.state, url, identity)
        _tell(options.tell, url)
        options.tell = None  # it is closed

    from local_sagemaker import server
    from local_sagemaker.client import identity_proxy
    from local_sagemaker.wsgi import PortTaken

    try:
        server.serve(options.state, options.port, ready, options.idle)
    except (StateError, PortTaken) as error:
        _tell(options.tell, str(error))
        return 1
    (options.state / state_files.RUNNING).unlink(missing_ok=True)
    if options.temporary:
        shutil.rmtree(options.state, ignore_errors=True)
    return 0


def _end_with(life: int) -> None:
    """Ask for an orderly end when the other end of the pipe closes."""
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def _tell(descriptor: int | None, text: str) -> None:
    if descriptor is not None:
        os.write(descriptor, (text + "\n").encode())
        os.close(descriptor)
