"""What `local-sagemaker env` prints: lines for sh, bash or zsh that send its clients to the engine.

The lines may be kept in a file and be read by another shell later. So what depends on the shell's
own variables is left to the shell: which addresses of single services must go, and which exceptions
from its proxy it has.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from local_sagemaker.client import callers_way, identity_proxy
from local_sagemaker.client.environment import (
    LOCAL_ONLY,
    LOOPBACK,
    ONE_SERVICE,
    REMOVED,
    client_environment,
)
from local_sagemaker.core import access_key
from local_sagemaker.core.state_files import (
    AUTHORITIES,
    AWS_CONFIG,
    AWS_CREDENTIALS,
    IDENTITY,
    SDK_CONFIG,
)

PAST = ("NO_PROXY", "no_proxy")
OWN = "local_sagemaker_word"  # the lines' own variable
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
FILES = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")
# Exceptions that would lead past the identity proxy to AWS's own STS; for their other hosts that
# proxy keeps to them itself.
FOR_STS = r"\*|\.*([a-z0-9.-]+\.)?amazonaws\.com(\.cn)?|\.*([a-z0-9.-]+\.)?api\.aws|\.*(com|cn|aws)"


def leading_to(url: str, state: Path, identity: int, folder: Path) -> Iterator[str]:
    """The lines for clients of the engine at `url`.

    Args:
        state: the engine's folder.
        identity: the port of the engine's identity proxy; 0 if it has none.
        folder: gets the files that the lines name; another one than `state` is for other users.

    Raises:
        NoAccessKey: the engine's key cannot be read in `state`.
    """
    proxied, warning = _proxied(identity, state, folder)
    if warning:
        yield f"echo {shlex.quote(f'local-sagemaker: {warning}')} >&2"
    for name in REMOVED:
        yield f"unset {name}"
    yield (
        f"for {OWN} in $(env | sed -n 's/^\\({ONE_SERVICE}[A-Z0-9_]*\\)=.*/\\1/p'); "
        f'do unset "${OWN}"; done'
    )
    found = {**client_environment(url, state, folder), **proxied}
    for name, value in found.items():
        if name not in PAST:
            yield f"export {name}={shlex.quote(value)}"
    known = found["NO_PROXY"] if folder == state else ",".join(LOOPBACK)
    yield from _past_proxies(known, bool(proxied))


def _proxied(port: int, state: Path, folder: Path) -> tuple[dict[str, str], str]:
    """Variables by which the shell asks the engine at STS's own hosts, too, or why there are none.

    An engine of `run` has no identity proxy, as the command of `run` has one of its own.
    """
    way = callers_way.of(os.environ)
    if folder != state:
        way = way.for_others()
    secret = identity_proxy.secret_for(access_key.read(state))
    authority, bundle = state / IDENTITY, folder / AUTHORITIES
    try:
        found = identity_proxy.variables(port, secret, authority, way, bundle) if port else {}
    except callers_way.UnusableProxy as error:
        return {}, callers_way.unanswered(error)
    return found, ""


def _past_proxies(known: str, identity: bool) -> Iterator[str]:
    """Lines for the exceptions from proxies: those that are `known`, and the shell's own others."""
    entries = 'printf "%s,%s" "${no_proxy-}" "${NO_PROXY-}" | tr -d " " | tr , "\\n"'
    dropped = f"grep -vixE '|{FOR_STS}'" if identity else "grep -v '^$'"
    unknown = " ".join(["grep -vixF", *(f"-e {shlex.quote(each)}" for each in known.split(","))])
    joined = "awk '!seen[$0]++' | paste -sd , -"
    yield f"{OWN}=$({entries} | {dropped} | {unknown} | {joined}) || :"
    for name in PAST:
        yield f"export {name}={shlex.quote(known)}"
    yield f'test -z "${OWN}" || {{ NO_PROXY="$NO_PROXY,${OWN}"; no_proxy="$NO_PROXY"; }}'
    if not identity:  # it counts only where it stands alone
        yield 'case ",$NO_PROXY," in *,\\*,*) NO_PROXY="*"; no_proxy="*" ;; esac'
    yield f"unset {OWN}"


def leading_back(environ: Mapping[str, str]) -> Iterator[str]:
    """The lines by which a shell forgets the engine that it was sent to."""
    for name in [*LOCAL_ONLY, *KEYS, *FILES, *callers_way.SET]:
        yield f"unset {name}"
    before = callers_way.restored(environ)
    for name in callers_way.SET:
        if name in before:
            yield f"export {name}={shlex.quote(before[name])}"


def make_readable(folder: Path) -> None:
    """Let everybody read the files of lines that are for others, too, the engine's key included."""
    for name in (SDK_CONFIG, AWS_CONFIG, AWS_CREDENTIALS, AUTHORITIES):
        if (folder / name).exists():
            (folder / name).chmod(0o644)
