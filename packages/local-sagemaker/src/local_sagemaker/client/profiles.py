"""The caller's AWS profiles, as names without what they stand for.

Scripts name a profile (``boto3.Session(profile_name="dogs")``, ``aws --profile dogs``) and must
find one. Here each name leads to the engine by its own key; of the caller's own files nothing but
names and regions is taken, so no key, role, single sign-on or command of theirs comes along.
"""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from local_sagemaker import REGION
from local_sagemaker.core.access_key import AccessKey, write_private
from local_sagemaker.core.state_files import AWS_CONFIG, AWS_CREDENTIALS

NAME_OF_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+")


def variables(caller: Mapping[str, str], folder: Path, key: AccessKey) -> dict[str, str]:
    """Write the two files of an AWS configuration into `folder`; the variables that name them.

    Args:
        caller: the environment whose profiles are named: ``AWS_CONFIG_FILE``,
            ``AWS_SHARED_CREDENTIALS_FILE``, else those in ``HOME``.
        key: the engine's, which each profile gets.
    """
    # The default profile's region is the engine's: what names no region runs alike everywhere.
    regions = {**_regions(caller), "default": REGION}
    config, credentials = folder / AWS_CONFIG, folder / AWS_CREDENTIALS
    config.write_text("".join(_config(name, region) for name, region in regions.items()))
    write_private(credentials, "".join(_credentials(name, key) for name in regions))
    return {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": str(credentials)}


def _config(name: str, region: str) -> str:
    section = "default" if name == "default" else f"profile {shlex.quote(name)}"
    return f"[{section}]\nregion = {region}\n"


def _credentials(name: str, key: AccessKey) -> str:
    return f"[{name}]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret}\n"


def _regions(caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's profiles and the region of each, by the rules of botocore."""
    regions = {}
    home = Path(caller.get("HOME") or Path.home()) / ".aws"
    config = _sections(caller.get("AWS_CONFIG_FILE") or home / "config")
    for section, values in config.items():
        words = _words(section)
        if words == ["default"] or (len(words) == 2 and words[0] == "profile"):
            regions[words[-1]] = values.get("region", "")
    for name, values in _sections(
        caller.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"
    ).items():
        regions[name] = values.get("region") or regions.get(name, "")
    return {n: r if NAME_OF_REGION.fullmatch(r) else REGION for n, r in regions.items()}


def _sections(file: str | Path) -> dict[str, Mapping[str, str]]:
    """The sections of a configuration file; none if it is not there or not readable as one."""
    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        parser.read_string(Path(file).expanduser().read_text())
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}
    return {name: parser[name] for name in parser.sections()}


def _words(section: str) -> list[str]:
    try:
        return shlex.split(section)
    except ValueError:  # an open quote
        return []
