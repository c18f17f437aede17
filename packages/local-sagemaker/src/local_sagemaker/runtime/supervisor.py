"""Runs one container's command so that nothing of it can outlive the engine.

A program of its own, started with nothing but the standard library::

    python -I -S supervisor.py SPEC.json LIFE_FD

``SPEC.json`` says what to run and how it is isolated; ``LIFE_FD`` is the read end of a pipe that
the engine holds open: when it closes, however the engine died, everything here is killed. What the
command leaves behind is killed when the command ends.

With ``"namespaces": "full"`` the command sees the job's folder as ``/opt/ml`` (the rest of
``/opt`` stays), the folder ``"tmp"`` as ``/tmp`` (with what is ``"kept"`` of the machine's),
``algo-1`` as its host's name, and is a process tree of its own (PID namespace),
which the kernel kills whole when its first process dies. ``"mount"`` does without the PID
namespace, ``"none"`` without any.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import sys
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x4000000, 0x10000000, 0x20000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MS_RDONLY, MS_REMOUNT, MS_RELATIME = 0x1, 0x20, 0x200000
# statvfs names a mount's flags as mount does, but for the last; a remount must keep them all.
ST_SAME, ST_RELATIME = 0xC0E, 0x1000  # nosuid, nodev, noexec, noatime, nodiratime
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
PASSED_ON = (signal.SIGTERM, signal.SIGHUP)

libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    arguments = [x.encode() if x is not None else None for x in (source, target, kind)]
    _checked(libc.mount(*arguments, ctypes.c_ulong(flags), None), f"mount {target}")


def enter_namespaces(spec: dict) -> None:
    """Give this process (and its children) the container's view of the machine."""
    flags = CLONE_NEWNS | CLONE_NEWUTS
    flags |= CLONE_NEWPID if spec["namespaces"] == "full" else 0
    user, group = os.getuid(), os.getgid()
    if spec["user_namespace"]:
        flags |= CLONE_NEWUSER
    _checked(libc.unshare(flags), "unshare")
    if spec["user_namespace"]:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _mount(None, "/", None, MS_REC | MS_PRIVATE)
    _replace_opt(Path(spec["scratch"]) / "opt", spec["ml"])
    for name in spec.get("read_only", []):
        _make_read_only(f"/opt/ml/{name}")
    if Path("/etc/hosts").exists():
        _mount(spec["hosts_file"], "/etc/hosts", None, MS_BIND)
    if spec.get("tmp"):
        _replace_tmp(spec["tmp"], spec["kept"])
    socket.sethostname(spec["host"])


def _replace_opt(skeleton: Path, ml: str) -> None:
    """An /opt with all that is there, and the job's folder as /opt/ml."""
    skeleton.mkdir(parents=True, exist_ok=True)
    for entry in Path("/opt").iterdir():
        place = skeleton / entry.name
        if entry.name == "ml" or place.exists() or place.is_symlink():
            continue
        if entry.is_symlink():
            place.symlink_to(entry.readlink())
        else:
            place.mkdir() if entry.is_dir() else place.touch()
            _mount(str(entry), str(place), None, MS_BIND | MS_REC)
    (skeleton / "ml").mkdir(exist_ok=True)
    _mount(ml, str(skeleton / "ml"), None, MS_BIND)
    _mount(str(skeleton), "/opt", None, MS_BIND | MS_REC)


def _replace_tmp(folder: str, kept: list[str]) -> None:
    """A /tmp of its own, in which the paths `kept` of the machine's are at their places."""
    for path in kept:
        place = Path(folder) / Path(path).relative_to("/tmp")
        if Path(path).is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        _mount(path, str(place), None, MS_BIND | MS_REC)
    _mount(folder, "/tmp", None, MS_BIND | MS_REC)


def _make_read_only(folder: str) -> None:
    """A view of `folder` at its own place that nothing can be written through."""
    _mount(folder, folder, None, MS_BIND)
    known = os.statvfs(folder).f_flag
    kept = known & ST_SAME | (MS_RELATIME if known & ST_RELATIME else 0)
    _mount(None, folder, None, MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, queue = [], [root]
    while queue:
        queue += (more := children.get(queue.pop(), []))
        found += more
    return found


def _kill_descendants() -> None:
    while left := _descendants(os.getpid()):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        _reap_all()


def _reap_all() -> None:
    try:
        while os.waitpid(-1, 0):
            pass
    except ChildProcessError:
        return


def first_process(spec: dict) -> int:
    """Run the command and return its exit code; what it leaves behind is the supervisor's."""
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    if spec["namespaces"] == "full":
        _mount("proc", "/proc", "proc", 0)
    command = os.fork()
    if command == 0:
        _become(spec)
    for number in PASSED_ON:
        signal.signal(number, _sender(command))
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    while True:
        pid, status = os.wait()
        if pid == command:
            break
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _become(spec: dict) -> None:
    """Turn this process into the command."""
    if sys.platform == "linux":
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    try:
        if spec.get("own_session", True):
            os.setsid()
        os.chdir(spec["cwd"])
        environment = spec.get("environment", os.environ)  # jobs get theirs, `run` hands on its own
        os.execvpe(spec["command"][0], spec["command"], environment)
    except OSError as error:
        print(f"cannot run {spec['command'][0]}: {error.strerror}", flush=True)
    finally:
        os._exit(127)


def _sender(pid: int):
    """A signal handler that hands the signal on to `pid`."""

    def send(number: int, _frame) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, number)

    return send


def _run_first_process(spec: dict) -> int:
    try:
        return first_process(spec)
    except OSError as error:
        print(f"local_sagemaker: {error}", flush=True)
        return 125


def supervise(first: int, life: int, done: int) -> int:
    """Wait for the first process; kill it when the engine's end of `life` closes or on SIGUSR1."""
    for number in PASSED_ON:
        signal.signal(number, _sender(first))
    signal.signal(signal.SIGUSR1, lambda *_: _sender(first)(signal.SIGKILL, None))
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    poll = select.poll()
    poll.register(life, select.POLLIN | select.POLLHUP)
    poll.register(done, select.POLLIN | select.POLLHUP)
    events = poll.poll()  # retried by Python when a signal interrupts it
    if any(descriptor == life for descriptor, _ in events):
        os.kill(first, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    if sys.platform == "linux":
        _kill_descendants()  # what a killed first process left behind
    return code


def main() -> int:
    # Held back until there is somebody to hand them on to; Ctrl-C reaches the command by itself.
    signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGUSR1})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec = json.loads(Path(sys.argv[1]).read_text())
    life = int(sys.argv[2])
    if spec["namespaces"] != "none":
        try:
            enter_namespaces(spec)
        except OSError as error:
            print(f"local_sagemaker: {error}", flush=True)
            return 125
    if sys.platform == "linux":
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    done, held = os.pipe()  # `done` reports its end when the first process is gone
    first = os.fork()
    if first == 0:
        os.close(done)
        os.close(life)
        os._exit(_run_first_process(spec))
    os.close(held)
    os.close(1)  # the command's output ends with the command
    os.close(2)
    code = supervise(first, life, done)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
