"""`make tools`: nothing where there is a browser, apt where it may, a sentence else."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAYS = '#!/bin/sh\necho {name} "$@"\n'


@pytest.fixture
def tools(tmp_path):
    """Run `make tools` with nothing but these commands: name and script, None for the real one."""

    def run(**commands):
        for name, script in {"sh": None, "sed": None, **commands}.items():
            file = tmp_path / name.replace("_", "-")
            if script is None:
                file.symlink_to(shutil.which(name))
            else:
                file.write_text(script)
                file.chmod(0o755)
        make = [shutil.which("make"), "--no-print-directory", "tools"]
        path = {"PATH": str(tmp_path)}
        return subprocess.run(make, cwd=ROOT, env=path, capture_output=True, text=True)

    return run


def id_is(number):
    return f"#!/bin/sh\necho {number}\n"


APT = SAYS.format(name="apt-get")
ENV = '#!/bin/sh\nshift\nexec "$@"\n'  # without the assignment
INSTALL = "apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core\n"


@pytest.mark.parametrize("browser", ["chromium", "chromium_browser", "google_chrome"])
def test_where_there_is_a_browser_it_does_nothing(tools, browser):
    done = tools(**{browser: SAYS, "apt_get": APT, "env": ENV, "id": id_is(0)})
    assert (done.returncode, done.stdout) == (0, "")


def test_root_installs(tools):
    done = tools(apt_get=APT, env=ENV, id=id_is(0))
    assert (done.returncode, done.stdout) == (0, f"apt-get update -qq\n{INSTALL}")


def test_a_user_installs_by_sudo_if_it_asks_no_password(tools):
    may = '#!/bin/sh\nif [ "$1" = -n ]; then exit 0; fi\necho by sudo\nexec "$@"\n'
    done = tools(apt_get=APT, env=ENV, id=id_is(1000), sudo=may)
    said = f"by sudo\napt-get update -qq\nby sudo\n{INSTALL}"
    assert (done.returncode, done.stdout) == (0, said)


@pytest.mark.parametrize(
    "commands",
    [
        {"apt_get": APT, "env": ENV, "id": id_is(1000)},
        {"apt_get": APT, "env": ENV, "id": id_is(1000), "sudo": "#!/bin/sh\nexit 1\n"},
        {"env": ENV, "id": id_is(0)},
    ],
)
def test_who_may_not_is_told_the_packages_at_once(tools, commands):
    done = tools(**commands)
    assert done.returncode == 2 and done.stdout == ""
    assert "sudo apt-get install chromium fonts-dejavu-core" in done.stderr


def test_an_apt_that_fails_is_a_failure(tools):
    done = tools(apt_get="#!/bin/sh\nexit 100\n", env=ENV, id=id_is(0))
    assert done.returncode == 2
