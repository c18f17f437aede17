"""The engine's access key: random, one for each state folder, in a file that only its owner reads.

Whoever can read the file may use the engine, start jobs included. So the key goes into files of the
same mode and into environments only, never into a command line, which every user of the machine
can read.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from local_sagemaker.core import state_files

FILE = state_files.ACCESS_KEY
PREFIX = "LOCAL"  # not AWS's AKIA: nobody is to take it for a key of AWS


@dataclass(frozen=True)
class AccessKey:
    """A pair of AWS credentials."""

    id: str
    secret: str = field(repr=False)

    def variables(self) -> dict[str, str]:
        """The environment variables by which AWS's clients find the pair."""
        return {"AWS_ACCESS_KEY_ID": self.id, "AWS_SECRET_ACCESS_KEY": self.secret}


class NoAccessKey(RuntimeError):
    """A state folder's access key cannot be had; the text says why and what to do."""


def read(state: Path) -> AccessKey:
    """The key of the engine on `state`.

    Raises:
        NoAccessKey: there is none, it is another user's, or its file is damaged.
    """
    file = state / FILE
    try:
        pair = json.loads(file.read_text())
        return AccessKey(pair["AccessKeyId"], pair["SecretAccessKey"])
    except OSError as error:
        text = f"cannot read the engine's access key {file}: {error.strerror or error}"
        raise NoAccessKey(f"{text}; only the user who started the engine can use it") from None
    except (ValueError, KeyError, TypeError):
        text = f"{file} holds no access key: remove it, and the next start makes a new one"
        raise NoAccessKey(text) from None


def make(state: Path) -> AccessKey:
    """The key of the engine on `state`, which this process holds; made if there is none.

    Raises:
        NoAccessKey: the file is damaged.
        OSError: it cannot be written.
    """
    file = state / FILE
    if not file.exists():
        draft = (
            state / state_files.ACCESS_KEY_DRAFT
        )  # after a crash the file is there whole, or not at all
        pair = {"AccessKeyId": _random_id(), "SecretAccessKey": secrets.token_urlsafe(30)}
        write_private(draft, json.dumps(pair))
        draft.replace(file)
    file.chmod(0o600)  # also that of a copied folder
    return read(state)


def write_private(file: Path, text: str) -> None:
    """Write `file` so that only its owner can read it, at no moment anyone else."""
    file.unlink(missing_ok=True)  # an old one keeps its mode
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as target:
        target.write(text)


def _random_id() -> str:
    return PREFIX + base64.b32encode(secrets.token_bytes(10)).decode()  # 80 bits
