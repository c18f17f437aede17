"""The command line: ``local-sagemaker start | stop | status | env | logs | reclaim | ...``."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from importlib.metadata import version
from pathlib import Path

from local_sagemaker.client import reclaims
from local_sagemaker.commands import engine, jobs, serve, state
from local_sagemaker.commands.engine import PROGRAM
from local_sagemaker.core import access_key
from local_sagemaker.core.state_lock import StateError
from local_sagemaker.daemon import DEFAULT_STATE, EngineError

IDLE_S = 3600


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
    except PermissionError as error:
        print(f"local-sagemaker: {_of_another_user(error)}", file=sys.stderr)
        return 1


def _of_another_user(error: PermissionError) -> str:
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{what}; only the user who started an engine can use its state folder"


def _reader_has_gone() -> int:
    """End as a program ends that SIGPIPE ends; Python must not try to write the rest at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Amazon SageMaker on this machine, at 127.0.0.1."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version(PROGRAM)}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, call, text: str | None) -> argparse.ArgumentParser:
        hidden = {} if text is None else {"help": text}
        sub = commands.add_parser(name, description=text, **hidden)
        sub.add_argument(
            "--state", type=Path, default=DEFAULT_STATE, help="state folder (default: %(default)s)"
        )
        sub.set_defaults(call=call)
        return sub

    sub = command("start", engine.start, "start an engine in the background")
    sub.add_argument("--port", type=int, default=0, help="TCP port (default: a free one)")
    sub.add_argument("--idle", type=float, default=IDLE_S, help="end after S idle seconds")
    command("stop", engine.stop, "stop the engine, its jobs and its endpoints")
    command("status", state.status, "what runs, and where")
    sub = command("env", engine.env, "print shell lines that send boto3 and the SDKs to the engine")
    sub.add_argument("--unset", action="store_true", help="print lines that undo them")
    sub.add_argument(
        "--share",
        type=Path,
        metavar="FOLDER",
        help="let every user who can read FOLDER use the engine: it gets the files with its key",
    )
    sub = command("logs", jobs.logs, "print the log of a training job or an endpoint")
    sub.add_argument("job", help="name of the training job or endpoint")
    sub.add_argument(
        "--follow", action="store_true", help="print new lines, too, until the job ends"
    )
    sub = command(
        "reclaim", jobs.reclaim, "take the instances of a spot job away; it goes on later"
    )
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
    sub = command(
        "clean", state.clean, "free what no later start needs: leftovers, caches, old logs"
    )
    sub.add_argument(
        "--all", action="store_true", help="remove the whole state, objects and jobs included"
    )
    sub = command("run", engine.run, "run a command against a private engine, then stop the engine")
    sub.add_argument("--port", type=int, default=0, help="TCP port (default: a free one)")
    _add_recording(sub)
    sub.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND ARGUMENTS...")
    sub.set_defaults(state=None)
    sub = command("serve", serve.serve, None)  # what start and run execute
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


if __name__ == "__main__":
    sys.exit(main())
