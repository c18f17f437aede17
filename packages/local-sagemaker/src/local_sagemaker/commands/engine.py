"""Engines, and the way of a shell to one: ``start``, ``stop``, ``env``, ``run``."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from pathlib import Path

from local_sagemaker import daemon, private_run
from local_sagemaker.client import shell_lines
from local_sagemaker.daemon import DEFAULT_STATE, EngineError

PROGRAM = "local-sagemaker"


def start(options: argparse.Namespace) -> int:
    if running := daemon.find(options.state):
        raise EngineError(_taken(running))
    daemon.start(options.state, options.port, options.idle)
    running = daemon.find(options.state)
    print(f"{running.url}\nstate: {options.state}\nnext: {_next(options.state)}")
    return 0


def stop(options: argparse.Namespace) -> int:
    running = daemon.find(options.state)
    print("stopped" if daemon.stop(options.state) else f"no engine runs on {options.state}")
    if running and running.url == os.environ.get("LOCAL_SAGEMAKER_URL"):
        line = f'eval "$({shlex.join([*_called_as(), "env", "--unset"])})"'
        print(f"this shell still leads to it; until its next start, undo that: {line}")
    return 0


def env(options: argparse.Namespace) -> int:
    if options.unset:
        print("\n".join(shell_lines.leading_back(os.environ)))
        return 0
    try:
        lines = _lines(found(options.state), options.share)
    except Exception:
        print("false")  # so that eval fails, and a script under set -e ends, before it reaches AWS
        raise
    print("\n".join(lines))
    return 0


def _lines(running: daemon.Running, share: Path | None) -> list[str]:
    """The lines that lead a shell to an engine; with files in `share` that all users can read."""
    state, folder = Path(running.state), Path(running.state)
    if share:
        folder = share.resolve()
        folder.mkdir(parents=True, exist_ok=True)
    lines = list(shell_lines.leading_to(running.url, state, running.identity, folder))
    if share:
        shell_lines.make_readable(folder)
    return lines


def run(options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise EngineError("run needs a command: local-sagemaker run -- python SCRIPT")
    if shutil.which(command[0]) is None:
        raise EngineError(f"there is no command '{command[0]}'")
    if options.state and (running := daemon.find(options.state)):
        raise EngineError(_taken(running))
    return private_run.run(command, options.state, options.port, _recording(options))


def found(state: Path) -> daemon.Running:
    """The engine that runs on `state`.

    Raises:
        EngineError: none does.
    """
    running = daemon.find(state)
    if running is None:
        raise EngineError(f"no engine runs on {state}: local-sagemaker start --state {state}")
    return running


def _next(state: Path) -> str:
    """The line by which a shell, in whatever folder, uses the engine on `state`."""
    words = [*_called_as(), "env"]
    if state != DEFAULT_STATE:
        words += ["--state", str(state.resolve())]
    return f'eval "$({shlex.join(words)})"'


def _called_as() -> list[str]:
    """The words that run this program again from the caller's shell."""
    found = shutil.which(PROGRAM)
    if found and Path(found).parent.samefile(Path(sys.executable).parent):
        return [PROGRAM]
    script = Path(sys.executable).with_name(PROGRAM)
    return [str(script)] if script.exists() else [sys.executable, "-m", "local_sagemaker.cli"]


def _taken(running: daemon.Running) -> str:
    return (
        f"an engine runs on {running.state} already, at {running.url}: use it, stop it "
        "(local-sagemaker stop), or name another folder with --state"
    )


def _recording(options: argparse.Namespace) -> private_run.Recording | None:
    if options.record is None:
        if options.as_aws or options.deny:
            raise EngineError("--as-aws and --deny need --record FILE")
        return None
    return private_run.Recording(options.record, options.as_aws, tuple(options.deny))
