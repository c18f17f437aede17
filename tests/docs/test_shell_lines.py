"""The engine's commands in the instructors' page do what it says, as printed."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from course.workspace import ROOT

PAGE = ROOT / "docs" / "instructors.md"
ENGINE = r"^    (\.venv/bin/local-sagemaker (?:start|status|stop|env)\b.*)$"


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_the_instructors_commands(tmp_path, program):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    text = PAGE.read_text().replace("8123", port)  # that one may be taken on this machine
    lines = re.findall(ENGINE, text, re.MULTILINE)
    assert [line.split()[1] for line in lines] == ["start", "status", "stop", "start", "env"]
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    load = re.search(r"^    (\. /path/to/your/clone/build/class.env)$", text, re.MULTILINE)[1]
    loaded = [
        "export NO_PROXY=theirs.example no_proxy=",
        load.replace("/path/to/your/clone", "."),
        "echo $NO_PROXY",
        "echo $AWS_ENDPOINT_URL",
    ]
    stop = ".venv/bin/local-sagemaker stop --state build/state"
    try:
        script = "\n".join(["set -eu", *lines, *loaded])
        done = subprocess.run([program, "-c", script], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        past, url = done.stdout.splitlines()[-2:]
        assert past == "127.0.0.1,localhost,theirs.example"  # the student's own, extended
        assert url == f"http://127.0.0.1:{port}"
        (line,) = re.findall(r"^next: (.*)$", done.stdout.partition("stopped")[2], re.MULTILINE)
        asked = subprocess.run(
            [program, "-c", f"set -eu; cd /; {line}; echo $AWS_ENDPOINT_URL"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert asked.stdout.strip() == f"http://127.0.0.1:{port}", asked.stderr
    finally:
        subprocess.run(["sh", "-c", stop], cwd=tmp_path, check=True)
