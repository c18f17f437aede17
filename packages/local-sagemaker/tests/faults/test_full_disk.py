"""The disk really fills, at seeded moments under load: nothing is lost, nothing half done.

``make faults`` runs it; `FAULT_FILLS` sets how often the disk fills (10), `FAULT_SEED` when. The
state folder lies on a file system of limited size in a mount namespace of its own, which root may
make, and others where the kernel grants them user namespaces.
"""

import os
import subprocess
import sys

import pytest

FILLS = int(os.environ.get("FAULT_FILLS", "10"))
SEED = os.environ.get("FAULT_SEED", "20261121")
SIZE = "160m"
MOUNT = f'mount -t tmpfs -o size={SIZE} none "$1" || exit 1; shift; exec "$@"'


def on_a_small_disk(folder, command: list[str]) -> subprocess.CompletedProcess:
    """Run `command` where `folder` is a file system of its own, of limited size."""
    own = ["--mount", "--propagation", "private"]
    own += [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return subprocess.run(
        ["unshare", *own, "sh", "-c", MOUNT, "sh", str(folder), *command],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(60 + 90 * FILLS)
def test_a_disk_that_really_fills_loses_nothing(tmp_path):
    tried = on_a_small_disk(tmp_path, ["true"])
    assert tried.returncode == 0, (
        f"no file system of limited size can be mounted here, so this was not tested: "
        f"{tried.stderr.strip()}. Run it as root, or where user namespaces are allowed"
    )
    state = tmp_path / "state"
    program = [sys.executable, "-m", "engine_support.faults.small_disk"]
    done = on_a_small_disk(tmp_path, [*program, str(state), str(FILLS), SEED])
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"\n{done.stdout}", end="")
