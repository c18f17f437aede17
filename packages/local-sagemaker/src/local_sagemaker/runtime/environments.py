"""The Python environment of a container: one of its own on top of the engine's.

Each container gets a virtual environment made of a handful of files. What is installed there stays
there; the engine's packages are seen through a ``.pth`` file, for an environment made inside an
environment would not see them. A *base* holds what all containers of one engine share: the files
to copy, and the engine's command-line tools set to run by whichever ``python`` comes first.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import hashlib
import io
import os
import re
import shutil
import site
import sys
import tempfile
from pathlib import Path

PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
PACKAGES = Path("lib") / PYTHON / "site-packages"
# Python reads such files by name: what a container has installed comes before it.
ENGINE_PTH = "zz-engine.pth"
BASE = "LOCAL_SAGEMAKER_BASE"  # the variable that tells a container where its base is
# The line of it that runs in each Python process of a container; `site` runs imports alone.
STARTUP = "import local_sagemaker.runtime.inside.startup as startup; startup.install()\n"
HEAD = 512  # bytes of a script in which its interpreter is named
# Where pip would put packages, in the caller's own configuration: not for containers.
NOT_HANDED_ON = {"target", "prefix", "root", "user", "python", "require-virtualenv", "config-file"}


def make(folder: Path, environments: Path) -> dict[str, str]:
    """Make a container's environment in `folder`; return the variables that lead into it.

    Args:
        environments: the engine's folder of what containers share.
    """
    base = _base(environments, _pip_configuration())
    if not folder.exists():  # a process that is started again goes on in its environment
        shutil.copytree(base / "environment", folder, symlinks=True)
    return {
        "PATH": f"{folder}/bin:{base}/tools:/usr/local/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": str(folder),
        BASE: str(base),
    }


def places() -> list[str]:
    """The machine's files that a container's Python and its pip read, besides its environment."""
    interpreter = Path(sys._base_executable).resolve().parent
    named = re.split(r"[\s,=]+", _pip_configuration())  # folders of wheels, certificates
    local = [word.removeprefix("file://") for word in named]
    # The first entry of the path is where the engine was started.
    own = [sys.prefix, sys.base_prefix, str(interpreter), *sys.path[1:], *_engine_packages()]
    return [path for path in [*own, *local] if path.startswith("/")]


@functools.cache
def _fingerprint() -> str:
    """A word for the engine's packages and their versions."""
    entries = [entry.name for folder in _engine_packages() for entry in Path(folder).iterdir()]
    found = sorted(name for name in entries if name.endswith((".dist-info", ".egg-info")))
    return hashlib.sha256("\n".join([sys.version, sys.prefix, *found]).encode()).hexdigest()[:16]


def _engine_packages() -> list[str]:
    return [folder for folder in site.getsitepackages() if Path(folder).is_dir()]


def _base(environments: Path, pip: str) -> Path:
    content = "\n".join([_fingerprint(), ENGINE_PTH, _engine_pth(), pip])
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    base = environments / f"base-{key}"
    if not base.exists():
        environments.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="draft-", dir=environments))
        _write_environment(draft / "environment", pip)
        _write_tools(draft / "tools")
        with contextlib.suppress(OSError):  # another engine was first
            draft.rename(base)
    return base


def _engine_pth() -> str:
    adding = [f"import site; site.addsitedir({place!r})\n" for place in _engine_packages()]
    adding.append(STARTUP)
    return "".join(adding)


def _write_environment(folder: Path, pip: str) -> None:
    (folder / PACKAGES).mkdir(parents=True)
    (folder / "lib64").symlink_to("lib")
    (folder / "bin").mkdir()
    interpreter = Path(sys._base_executable).resolve()
    (folder / "bin/python").symlink_to(interpreter)
    for name in ("python3", PYTHON):
        (folder / "bin" / name).symlink_to("python")
    settings = {
        "home": interpreter.parent,
        "include-system-site-packages": "false",
        "version": ".".join(map(str, sys.version_info[:3])),
    }
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    (folder / "pyvenv.cfg").write_text("".join(lines))
    (folder / PACKAGES / ENGINE_PTH).write_text(_engine_pth())
    configuration = folder / "pip.conf"  # pip reads it because it lies in its environment
    configuration.touch(mode=0o600)  # an index's address may hold a password
    configuration.write_text(pip)


def _write_tools(folder: Path) -> None:
    """The engine's command-line tools; those in Python run by the first ``python`` on the path."""
    folder.mkdir()
    own = Path(os.path.normpath(sys.executable)).parent  # as installers write it into scripts
    for tool in own.iterdir():
        if not tool.name.startswith(("python", "activate", "Activate")) and tool.is_file():
            expose(tool, folder, own)


def expose(tool: Path, folder: Path, own: Path) -> None:
    """Let `tool`, installed beside the interpreter in `own`, be run from `folder`."""
    place = folder / tool.name
    place.unlink(missing_ok=True)
    with tool.open("rb") as stream:
        head = stream.read(HEAD)
    interpreter = re.compile(
        rb"""["']?""" + re.escape(str(own).encode()) + rb"""/python[0-9.]*["']?"""
    )
    if head.startswith(b"#!") and interpreter.search(head):
        content = interpreter.sub(b"/usr/bin/env python", head, count=1) + tool.read_bytes()[HEAD:]
        place.write_bytes(content)
        place.chmod(0o755)
    else:
        place.symlink_to(tool)


def _pip_configuration() -> str:
    """The caller's own configuration of pip, as one file's text.

    Not as variables: jobs print theirs, and an index's address may hold a password.
    """
    home = Path.home()
    settings = Path(os.environ.get("XDG_CONFIG_HOME", home / ".config"))
    files = [home / ".pip/pip.conf", settings / "pip/pip.conf", Path(sys.prefix) / "pip.conf"]
    files += [Path(os.environ["PIP_CONFIG_FILE"])] if os.environ.get("PIP_CONFIG_FILE") else []
    parser = configparser.RawConfigParser(strict=False)
    # One retry: without a network a container should fail soon.
    parser["global"] = {"retries": "1"}
    if proxy := os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy"):
        parser["global"]["proxy"] = proxy
    if authorities := os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE"):
        parser["global"]["cert"] = authorities
    if os.environ.get("PIP_CONFIG_FILE") == os.devnull:  # "read no configuration"
        files = []
    parser.read(files)
    for variable, value in os.environ.items():
        if variable.startswith("PIP_") and value:
            parser["global"][variable[4:].lower().replace("_", "-")] = value
    for section in parser.sections():
        for option in NOT_HANDED_ON:
            parser.remove_option(section, option)
    text = io.StringIO()
    parser.write(text)
    return text.getvalue()
