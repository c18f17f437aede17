"""The command line: ``local-sagemaker start | stop | status | env | logs | reclaim | ...``."""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import shutil
import signal
import sys
import threading
from importlib.metadata import version
from pathlib import Path

from local_sagemaker import daemon, private_run
from local_sagemaker.client import log_lines, reclaims, shell_lines
from local_sagemaker.core import access_key, state_files, state_folder
from local_sagemaker.core.errors import ApiError
from local_sagemaker.core.state_lock import StateError
from local_sagemaker.daemon import DEFAULT_STATE, EngineError

IDLE_S = 3600
PACKAGE = "local-sagemaker"


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit code of the process."""
    options = _parser().parse_args(arguments)
    try:
        code = options.call(options)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # as in `local-sagemaker logs JOB | head`
        return _reader_has_gone()
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (EngineError, StateError, access_key.NoAccessKey) as error:
        print(f"local-sagemaker: {error}", file=sys.stderr)
        return 1


def _reader_has_gone() -> int:
    """End as a program ends that SIGPIPE ends; Python must not try to write the rest at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PACKAGE, description="Amazon SageMaker on this machine, at 127.0.0.1."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version(PACKAGE)}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, call, text: str | None) -> argparse.ArgumentParser:
        hidden = {} if text is None else {"help": text}
        sub = commands.add_parser(name, description=text, **hidden)
        sub.add_argument(
            "--state", type=Path, default=DEFAULT_STATE, help="state folder (default: %(default)s)"
        )
        sub.set_defaults(call=call)
        return sub

    sub = command("start", _start, "start an engine in the background")
    sub.add_argument("--port", type=int, default=0, help="TCP port (default: a free one)")
    sub.add_argument("--idle", type=float, default=IDLE_S, help="end after S idle seconds")
    command("stop", _stop, "stop the engine, its jobs and its endpoints")
    command("status", _status, "what runs, and where")
    sub = command("env", _env, "print shell lines that send boto3 and the SDKs to the engine")
    sub.add_argument("--unset", action="store_true", help="print lines that undo them")
    sub.add_argument(
        "--share",
        type=Path,
        metavar="FOLDER",
        help="let every user who can read FOLDER use the engine: it gets the files with its key",
    )
    sub = command("logs", _logs, "print the log of a training job or an endpoint")
    sub.add_argument("job", help="name of the training job or endpoint")
    sub.add_argument(
        "--follow", action="store_true", help="print new lines, too, until the job ends"
    )
    sub = command("reclaim", _reclaim, "take the instances of a spot job away; it goes on later")
    sub.add_argument("job", help="name of the training job")
    sub.add_argument(
        "--notice",
        type=float,
        default=reclaims.NOTICE_S,
        metavar="S",
        help="seconds between SIGTERM and SIGKILL (default: %(default)g)",
    )
    sub.add_argument(
        "--absence",
        type=float,
        default=reclaims.ABSENCE_S,
        metavar="S",
        help="seconds until the job gets other instances (default: %(default)g)",
    )
    sub.set_defaults(state=None)
    sub = command("clean", _clean, "free what no later start needs: leftovers, caches, old logs")
    sub.add_argument(
        "--all", action="store_true", help="remove the whole state, objects and jobs included"
    )
    sub = command("run", _run, "run a command against a private engine, then stop the engine")
    sub.add_argument("--port", type=int, default=0, help="TCP port (default: a free one)")
    _add_recording(sub)
    sub.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ARGUMENTS...")
    sub.set_defaults(state=None)
    sub = command("serve", _serve, None)  # what start and run execute
    sub.add_argument("--port", type=int, default=0)
    sub.add_argument("--idle", type=float)
    sub.add_argument("--life", type=int)
    sub.add_argument("--tell", type=int)
    sub.add_argument("--temporary", action="store_true")
    return parser


def _add_recording(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--record", type=Path, metavar="FILE", help="write each request to FILE")
    sub.add_argument(
        "--as-aws",
        action="store_true",
        help="with --record: the command sees AWS's own hosts, over TLS, and no other host",
    )
    sub.add_argument(
        "--deny",
        action="append",
        default=[],
        metavar="SERVICE:OPERATION",
        help="with --record: answer AccessDenied to this operation; may be given again",
    )


def _recording(options: argparse.Namespace) -> private_run.Recording | None:
    if options.record is None:
        if options.as_aws or options.deny:
            raise EngineError("--as-aws and --deny need --record FILE")
        return None
    return private_run.Recording(options.record, options.as_aws, tuple(options.deny))


def _start(options: argparse.Namespace) -> int:
    if running := daemon.find(options.state):
        raise EngineError(_taken(running))
    daemon.start(options.state, options.port, options.idle)
    running = daemon.find(options.state)
    print(f"{running.url}\nstate: {options.state}\nnext: {_next(options.state)}")
    return 0


def _next(state: Path) -> str:
    """The line by which a shell, in whatever folder, uses the engine on `state`."""
    words = [*_called_as(), "env"]
    if state != DEFAULT_STATE:
        words += ["--state", str(state.resolve())]
    return f'eval "$({shlex.join(words)})"'


def _called_as() -> list[str]:
    """The words that run this program again from the caller's shell."""
    found = shutil.which(PACKAGE)
    if found and Path(found).parent.samefile(Path(sys.executable).parent):
        return [PACKAGE]
    script = Path(sys.executable).with_name(PACKAGE)
    return [str(script)] if script.exists() else [sys.executable, "-m", "local_sagemaker.cli"]


def _taken(running: daemon.Running) -> str:
    return (
        f"an engine runs on {running.state} already, at {running.url}: use it, stop it "
        "(local-sagemaker stop), or name another folder with --state"
    )


def _stop(options: argparse.Namespace) -> int:
    running = daemon.find(options.state)
    print("stopped" if daemon.stop(options.state) else f"no engine runs on {options.state}")
    if running and running.url == os.environ.get("LOCAL_SAGEMAKER_URL"):
        line = f'eval "$({shlex.join([*_called_as(), "env", "--unset"])})"'
        print(f"this shell still leads to it; until its next start, undo that: {line}")
    return 0


def _found(state: Path) -> daemon.Running:
    running = daemon.find(state)
    if running is None:
        raise EngineError(f"no engine runs on {state}: local-sagemaker start --state {state}")
    return running


def _client(running: daemon.Running, service: str):
    import boto3
    from botocore.config import Config

    from local_sagemaker import REGION

    key = access_key.read(Path(running.state))
    return boto3.client(
        service,
        endpoint_url=running.url,
        region_name=REGION,
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(proxies={"http": ""}),  # an empty mapping would mean the environment's
    )


def _status(options: argparse.Namespace) -> int:
    running = daemon.find(options.state)
    if running is None:
        print(f"no engine runs on {options.state}")
        used = state_folder.usage(options.state)
        if any(used.values()):
            print(f"  disk          {_megabytes(used)}")
        return 1
    sagemaker = _client(running, "sagemaker")
    newest = {"MaxResults": 100, "SortOrder": "Descending"}
    jobs = sagemaker.list_training_jobs(**newest)["TrainingJobSummaries"]
    endpoints = sagemaker.list_endpoints(**newest)["Endpoints"]
    used = state_folder.usage(options.state)
    print(f"{running.url}  process {running.pid}  state {options.state}")
    print(f"  disk          {_megabytes(used)}")
    for job in jobs:
        print(f"  training job  {job['TrainingJobStatus']:<12}{job['TrainingJobName']}")
    for endpoint in endpoints:
        print(f"  endpoint      {endpoint['EndpointStatus']:<12}{endpoint['EndpointName']}")
    return 0


def _megabytes(sizes: dict[str, int]) -> str:
    parts = [f"{part} {size / 1e6:.1f} MB" for part, size in sizes.items() if size]
    return ", ".join([*parts, f"in all {sum(sizes.values()) / 1e6:.1f} MB"])


def _clean(options: argparse.Namespace) -> int:
    state = options.state
    if options.all:
        freed, foreign = state_folder.remove(state)
        if foreign:
            print(f"left in {state}, as no engine made them: {', '.join(foreign)}")
    else:
        freed = state_folder.clean(state)
        if running := daemon.find(state):
            print(f"an engine runs on {running.state}: stop it to free more than its old log")
    print(f"freed: {_megabytes(freed)}")
    return 0


def _env(options: argparse.Namespace) -> int:
    if options.unset:
        print("\n".join(shell_lines.leading_back(os.environ)))
        return 0
    try:
        running = _found(options.state)
    except EngineError:
        print("false")  # so that eval fails, and a script under set -e ends, before it reaches AWS
        raise
    state, folder = Path(running.state), Path(running.state)
    if options.share:
        folder = options.share.resolve()
        folder.mkdir(parents=True, exist_ok=True)
    for line in shell_lines.leading_to(running.url, state, running.identity, folder):
        print(line)
    if options.share:
        shell_lines.make_readable(folder)
    return 0


def _logs(options: argparse.Namespace) -> int:
    read = log_lines.followed if options.follow else log_lines.lines
    found = False
    for line in read(options.state, options.job):
        print(line, flush=options.follow)
        found = True
    if not found:
        raise EngineError(f"no log of '{options.job}': local-sagemaker status lists what there is")
    return 0


def _reclaim(options: argparse.Namespace) -> int:
    url = os.environ.get("LOCAL_SAGEMAKER_URL")
    if url and options.state is None:  # a shell that uses an engine means that one
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        key = access_key.AccessKey(*(os.environ[name] for name in names))
    else:
        running = _found(options.state or DEFAULT_STATE)
        url, key = running.url, access_key.read(Path(running.state))
    try:
        reclaims.ask(url, key, options.job, options.notice, options.absence)
    except ApiError as error:
        raise EngineError(error.message) from None
    print(f"{options.job} loses its instances within {options.notice:g} s")
    return 0


def _run(options: argparse.Namespace) -> int:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        raise EngineError("run needs a command: local-sagemaker run -- python SCRIPT")
    if shutil.which(command[0]) is None:
        raise EngineError(f"there is no command '{command[0]}'")
    if options.state and (running := daemon.find(options.state)):
        raise EngineError(_taken(running))
    return private_run.run(command, options.state, options.port, _recording(options))


def _serve(options: argparse.Namespace) -> int:
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

    from local_sagemaker.client import identity_proxy
    from local_sagemaker.server import serve
    from local_sagemaker.wsgi import PortTaken

    try:
        serve(options.state, options.port, ready, options.idle)
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


if __name__ == "__main__":
    sys.exit(main())
