"""A container's Python: its own packages first, the engine's behind, pip as the caller set it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_sagemaker.runtime import environments


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Runs a line of shell in a new environment."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def run(line, name="own"):
        variables = environments.make(tmp_path / name, tmp_path / "shared")
        done = subprocess.run(line, shell=True, env=variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_the_engines_packages_are_seen_and_its_own_come_first(inside, tmp_path):
    show = "python -c 'import sys, yaml; print(sys.prefix, yaml.__file__)'"
    import yaml

    assert inside(show) == [f"{tmp_path}/own {yaml.__file__}"]
    own = tmp_path / "own" / environments.PACKAGES / "yaml.py"
    own.write_text("")
    assert inside(show) == [f"{tmp_path}/own {own}"]


def test_folders_named_by_its_own_packages_come_before_the_engines(inside, tmp_path):
    inside("true")
    (mine := tmp_path / "mine").mkdir()
    (mine / "yaml.py").write_text("")
    packages = tmp_path / "own" / environments.PACKAGES
    (packages / "__editable__.mine-1.0.pth").write_text(f"{mine}\n")  # as pip install -e does
    assert inside("python -c 'import yaml; print(yaml.__file__)'") == [f"{mine}/yaml.py"]


def test_tools_run_by_the_environments_python(inside, tmp_path):
    (said,) = inside("coverage debug sys | grep executable:")  # a tool of the engine's
    assert said.split() == ["executable:", f"{tmp_path}/own/bin/python"]
    heads = [tool.open("rb").read(200) for tool in (tmp_path / "shared").glob("base-*/tools/*")]
    assert len(heads) > 10
    assert not any(os.fsencode(Path(sys.executable).parent) in h for h in heads if h[:2] == b"#!")


def test_pip_is_set_as_the_caller_set_it_and_no_variable_tells(inside, tmp_path, monkeypatch):
    (tmp_path / "home/.config/pip").mkdir(parents=True)
    (tmp_path / "home/.config/pip/pip.conf").write_text(
        "[global]\nindex-url = https://user:secret@example.invalid/simple\ntarget = /opt/x\n"
        "[install]\nprefix = /opt/y\nno-binary = :none:\n"
    )
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:1")
    said = inside("pip config list; env")
    assert "global.index-url='https://user:secret@example.invalid/simple'" in said
    assert "global.find-links='/somewhere'" in said
    assert "global.proxy='http://proxy.invalid:1'" in said
    assert "install.no-binary=':none:'" in said
    assert not any(line.startswith(("global.target", "install.prefix", "PIP_")) for line in said)
    assert len([line for line in said if "secret" in line]) == 1
    assert (tmp_path / "own/pip.conf").stat().st_mode & 0o077 == 0


def test_all_containers_share_one_base(inside, tmp_path):
    for name in ("one", "two"):
        inside("true", name)
    assert [path.name[:5] for path in (tmp_path / "shared").iterdir()] == ["base-"]


def test_a_base_that_another_version_has_made_is_not_used(inside, tmp_path, monkeypatch):
    inside("true", "one")
    monkeypatch.setattr(environments, "ENGINE_PTH", "zzz-engine.pth")
    inside("true", "two")
    assert len(list((tmp_path / "shared").iterdir())) == 2


@pytest.mark.parametrize("quote", ['"', "'"])  # pip's installer writes the one, uv the other
def test_a_tool_of_an_environment_whose_path_has_a_space(tmp_path, quote):
    own, tools = tmp_path / "My Course" / "bin", tmp_path / "tools"
    own.mkdir(parents=True)
    tools.mkdir()
    head = f"#!/bin/sh\n'''exec' {quote}{own}/python{quote} \"$0\" \"$@\"\n' '''\n"
    (own / "tool").write_text(f"{head}import sys\nprint(sys.argv[1:])\n")
    environments.expose(own / "tool", tools, own)
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    said = subprocess.check_output([tools / "tool", "a b"], env=path, text=True)
    assert said == "['a b']\n"
