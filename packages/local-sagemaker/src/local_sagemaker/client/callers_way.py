"""How a caller reaches the network without the engine: its own proxy, and exceptions from it.

A shell that `local-sagemaker env` has set up asks all hosts by the engine's identity proxy, so that
proxy has to know by which way the shell would have gone. The address of the proxy says it: the way
is the user name in it. So it is known wherever the address is, and whoever sets a shell up again,
or starts an engine from one, finds the way that was there before.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

PREFIX = "local."  # of the user names that say a way
SET = ("HTTPS_PROXY", "https_proxy", "AWS_CA_BUNDLE")  # what leads to the identity proxy


class UnusableProxy(ValueError):
    """The caller's own proxy is of a kind that cannot be asked for a tunnel."""


@dataclass(frozen=True)
class Way:
    """The caller's own proxy for TLS, hosts that need none, and the authorities it trusts."""

    proxy: str = ""
    exceptions: str = ""
    trusted: str = ""  # a file

    @property
    def upstream(self) -> SplitResult:
        """The proxy's address.

        Raises:
            UnusableProxy: it does not speak HTTP.
        """
        found = urlsplit(self.proxy if "://" in self.proxy else f"http://{self.proxy}")
        if self.proxy and found.scheme != "http":
            raise UnusableProxy(f"a proxy of the kind {found.scheme}://")
        return found

    def for_others(self) -> Way:
        """The same for other users: without the caller's password for the proxy, or files."""
        scheme, found, address = self.proxy.rpartition("://")
        return Way(scheme + found + address.rpartition("@")[2], self.exceptions)

    @property
    def user_name(self) -> str:
        """The way as a user name."""
        text = json.dumps(asdict(self), sort_keys=True)
        return PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unanswered(error: UnusableProxy) -> str:
    """What it means for a caller that its own proxy cannot be asked for a tunnel."""
    return (
        f"{error} is set, so STS at its own address is not answered here: "
        "get_execution_role() will fail, $SAGEMAKER_ROLE holds it"
    )


def from_user_name(name: str) -> Way | None:
    """The way that a user name says, if it is one of ours."""
    if not name.startswith(PREFIX):
        return None
    text = name.removeprefix(PREFIX)
    try:
        return Way(**json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (ValueError, TypeError):
        return None


def of(environ: Mapping[str, str]) -> Way:
    """The way of a caller, also of one that has been set up already."""
    named = environ.get("https_proxy") or environ.get("HTTPS_PROXY") or ""
    if way := _said_by(named):
        return way
    proxy = named or environ.get("all_proxy") or environ.get("ALL_PROXY") or ""
    exceptions = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    trusted = environ.get("AWS_CA_BUNDLE") or ""
    return Way(proxy, exceptions, str(Path(trusted).absolute()) if trusted else "")


def _said_by(proxy: str) -> Way | None:
    try:
        return from_user_name(urlsplit(proxy).username or "")
    except ValueError:
        return None


def restored(environ: Mapping[str, str]) -> dict[str, str]:
    """`environ` as it was before it was set up, so far as the way to the network goes."""
    named = environ.get("https_proxy") or environ.get("HTTPS_PROXY") or ""
    if (way := _said_by(named)) is None:
        return dict(environ)
    kept = {name: value for name, value in environ.items() if name not in SET}
    own = {"HTTPS_PROXY": way.proxy, "https_proxy": way.proxy, "AWS_CA_BUNDLE": way.trusted}
    return kept | {name: value for name, value in own.items() if value}
