"""``local-sagemaker run``: one command against an engine of its own, and nothing left of either."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker import daemon
from local_sagemaker.client import callers_way, identity_proxy
from local_sagemaker.client.environment import (
    LOCAL_ONLY,
    client_environment,
    recorded_environment,
    removed,
)
from local_sagemaker.core import state_files
from local_sagemaker.runtime.isolation import SUPERVISOR


@dataclass(frozen=True)
class Recording:
    """How `run` records its command's requests.

    Attributes:
        file: gets a line of JSON for each request.
        as_aws: let the command believe that it is on AWS: AWS's own hosts, over TLS.
        deny: operations, as ``iam:GetRole``, that are answered with AccessDenied.
    """

    file: Path
    as_aws: bool = False
    deny: tuple[str, ...] = ()


def run(
    command: list[str],
    state: Path | None = None,
    port: int = 0,
    recording: Recording | None = None,
) -> int:
    """Start an engine, run `command` with its environment, end both; the command's exit code.

    Whatever ends this process, SIGKILL included, a pipe closes: the engine stops then, and the
    command's supervisor kills the command with all that it started.

    Args:
        state: folder to keep; None takes one that is removed at the end.
        port: the engine's TCP port; 0 takes a free one.
        recording: record the command's requests; None does not.
    """
    life, held = os.pipe()  # `held` stays open as long as this process lives
    started: list[subprocess.Popen] = []
    _hand_on_signals(started)
    temporary = state is None
    state = state or Path(tempfile.mkdtemp(prefix="local-sagemaker-"))
    server = daemon.start(state, port, life=life, temporary=temporary)
    try:
        environment = _environment(daemon.find(state).url, state.resolve(), recording)
        started.append(_supervised(command, environment, life, state))
        return started[0].wait()
    finally:
        os.close(held)
        server.wait()


def _environment(url: str, state: Path, recording: Recording | None) -> dict[str, str]:
    """The caller's environment, changed so that it leads to the engine and nowhere else."""
    gone, own = removed(os.environ), callers_way.restored(os.environ)
    inherited = {name: value for name, value in own.items() if name not in gone}
    if recording is None:
        return inherited | client_environment(url, state) | _identity(url, state)
    from local_sagemaker.client.recording_proxy import RecordingProxy  # two seconds of imports

    proxy = RecordingProxy(url, recording.file, recording.deny)
    if not recording.as_aws:
        url = proxy.url
        return inherited | client_environment(url, state) | _identity(url, state)
    certificate = proxy.authority.write(state / state_files.CERTIFICATE)
    kept = {name: value for name, value in inherited.items() if name not in LOCAL_ONLY}
    return kept | recorded_environment(proxy.url, certificate, state)


def _identity(url: str, state: Path) -> dict[str, str]:
    """Variables by which AWS's own STS hosts lead to the engine at `url`, and no other host."""
    way, proxy = callers_way.of(os.environ), identity_proxy.IdentityProxy(url)
    authority = proxy.authority.write(state / state_files.IDENTITY)
    bundle = state / state_files.AUTHORITIES
    try:
        return identity_proxy.variables(proxy.server_port, proxy.secret, authority, way, bundle)
    except callers_way.UnusableProxy as error:
        print(f"local-sagemaker: {callers_way.unanswered(error)}", file=sys.stderr)
        return {}


def _hand_on_signals(started: list[subprocess.Popen]) -> None:
    """Signals to this process end the command; before there is one, they end this process."""

    def hand_on(number: int, _frame) -> None:
        if not started:
            raise SystemExit(128 + number)
        if number != signal.SIGINT or not _holds_the_terminal():
            started[0].send_signal(signal.SIGTERM)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, hand_on)


def _holds_the_terminal() -> bool:
    """Whether Ctrl-C reaches the command by itself; then it decides, and we clean up after it."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


def _supervised(
    command: list[str], environment: dict[str, str], life: int, state: Path
) -> subprocess.Popen:
    spec = {
        "namespaces": "none",
        "own_session": False,  # the command keeps its terminal
        "command": command,
        "cwd": str(Path.cwd()),
    }
    file = state / state_files.COMMAND
    file.write_text(json.dumps(spec))
    words = [sys.executable, "-I", "-S", str(SUPERVISOR), str(file), str(life)]
    # The environment is handed on, not written down: it may hold the caller's secrets.
    return subprocess.Popen(words, env=environment, pass_fds=[life])
