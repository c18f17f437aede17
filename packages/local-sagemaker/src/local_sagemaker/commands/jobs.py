"""One job or endpoint of an engine: ``logs``, ``reclaim``."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from local_sagemaker.client import log_lines, reclaims
from local_sagemaker.commands.engine import found
from local_sagemaker.core import access_key
from local_sagemaker.core.errors import ApiError
from local_sagemaker.daemon import DEFAULT_STATE, EngineError


def logs(options: argparse.Namespace) -> int:
    read = log_lines.followed if options.follow else log_lines.lines
    any_line = False
    for line in read(options.state, options.job):
        print(line, flush=options.follow)
        any_line = True
    if not any_line:
        raise EngineError(f"no log of '{options.job}': local-sagemaker status lists what there is")
    return 0


def reclaim(options: argparse.Namespace) -> int:
    url = os.environ.get("LOCAL_SAGEMAKER_URL")
    if url and options.state is None:  # a shell that uses an engine means that one
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        key = access_key.AccessKey(*(os.environ[name] for name in names))
    else:
        running = found(options.state or DEFAULT_STATE)
        url, key = running.url, access_key.read(Path(running.state))
    try:
        reclaims.ask(url, key, options.job, options.notice, options.absence)
    except ApiError as error:
        raise EngineError(error.message) from None
    print(f"{options.job} loses its instances within {options.notice:g} s")
    return 0
