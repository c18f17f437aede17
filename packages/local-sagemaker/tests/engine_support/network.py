"""Commands that reach nothing but this machine."""

from __future__ import annotations

import subprocess


def cut_off() -> list[str]:
    """A command in front that leaves loopback only, where the kernel allows it."""
    for options in ("-n", "-rn"):
        prefix = ["unshare", options, "/bin/sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        try:
            if subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
                return prefix
        except FileNotFoundError:
            break
    return []
