"""`local-sagemaker run` leaves nothing: no process, no port, no folder, whatever happens."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest

from debugger_support.processes import processes_with, wait_until
from engine_support.clients import training_request, unique
from local_sagemaker import cli, daemon, private_run
from local_sagemaker.client.proxy import Authority
from local_sagemaker.core import access_key

RUN = [sys.executable, "-m", "local_sagemaker.cli", "run"]


def listens(connection, port):
    return connection.status == psutil.CONN_LISTEN and connection.laddr.port == port


class Run:
    """A `run` of a shell line that prints its engine's address first."""

    def __init__(self, tmp_path, line, *options):
        self.mark = unique("run")
        self.temporary = tmp_path / "tmp"
        self.temporary.mkdir()
        line = f"echo $AWS_ENDPOINT_URL; {line} # {self.mark}"
        self.process = subprocess.Popen(
            [*RUN, *options, "--", "/bin/sh", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.temporary)},
        )
        url = self.process.stdout.readline().strip()
        host, port = re.fullmatch(r"http://(.*):(\d+)", url).groups()
        self.address = (host, int(port))

    def end(self):
        """Whatever the test saw: this process, and so all below it, ends with the test."""
        self.process.kill()
        self.process.communicate()

    def nothing_is_left(self):
        wait_until(lambda: not processes_with(self.mark), 10)
        wait_until(lambda: not processes_with(str(self.temporary)), 10)
        refused = contextlib.suppress(ConnectionRefusedError)
        with refused, socket.create_connection(self.address, timeout=2):
            # Another test's engine may have the port by now.
            owners = {c.pid for c in psutil.net_connections() if listens(c, self.address[1])}
            words = [psutil.Process(owner).cmdline() for owner in owners if owner]
            assert words and not any(str(self.temporary) in " ".join(each) for each in words)
        wait_until(lambda: not any(self.temporary.iterdir()), 10)


@pytest.fixture
def start(tmp_path):
    """Starts a Run, and ends it after the test."""
    runs = []

    def started(line, *options):
        runs.append(Run(tmp_path, line, *options))
        return runs[-1]

    yield started
    for run in runs:
        run.end()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("kill -SEGV $$", 139),
        ("sleep 600 & setsid sleep 601 & exit 3", 3),
    ],
)
def test_the_exit_code_is_the_commands_and_nothing_is_left(start, line, code):
    run = start(line)
    assert run.process.wait(timeout=20) == code
    run.nothing_is_left()


JOB = """
import json, os, urllib.request
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])

def ask(service, body, method, path="/", **headers):
    asked = AWSRequest(method, os.environ["AWS_ENDPOINT_URL"] + path, headers, body)
    S3SigV4Auth(KEY, service, "us-east-1").add_auth(asked)
    sent = urllib.request.Request(asked.url, body, dict(asked.headers.items()), method=method)
    urllib.request.urlopen(sent).read()

ask("s3", b"", "PUT", "/results")
request = REQUEST
target = {"X-Amz-Target": "SageMaker.CreateTrainingJob"}
ask("sagemaker", json.dumps(request).encode(), "POST", **target)
"""


def job_script(folder, mark):
    """A script that starts a job whose processes are known by `mark`, without boto3's imports."""
    request = training_request(f"setsid sleep 600 & sleep 601 # {mark}")
    request["OutputDataConfig"] = {"S3OutputPath": "s3://results/out"}
    script = folder / "job.py"
    script.write_text(JOB.replace("REQUEST", repr(request)))
    return script


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 143, marks=pytest.mark.slow),  # handled like SIGTERM
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 143, marks=pytest.mark.slow),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_interrupted_in_the_middle_of_a_job_it_leaves_nothing(start, tmp_path, number, code):
    mark = unique("runjob")
    run = start(f"'{sys.executable}' {job_script(tmp_path, mark)}; setsid sleep 602 & sleep 603")
    wait_until(lambda: processes_with(mark))
    run.process.send_signal(number)
    assert run.process.wait(timeout=20) == code
    run.nothing_is_left()
    wait_until(lambda: not processes_with(mark), 5)


def test_a_script_that_crashes(start, tmp_path):
    mark = unique("crash")
    script = job_script(tmp_path, mark)
    script.write_text(script.read_text() + "\nraise SystemExit(5)\n")
    run = start(f"exec '{sys.executable}' {script}")
    assert run.process.wait(timeout=20) == 5
    run.nothing_is_left()
    assert processes_with(mark) == []


def test_a_command_that_ignores_the_end_is_killed_with_its_run(start):
    run = start("trap '' TERM INT HUP; while :; do sleep 0.1; done")
    run.process.kill()
    run.process.wait()
    run.nothing_is_left()


def test_a_named_state_is_kept_without_the_callers_secrets(start, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", "the-callers-secret")
    state = tmp_path / "kept"
    make = "import boto3; boto3.client('s3').create_bucket(Bucket='mine')"
    run = start(f"echo $MY_TOKEN; '{sys.executable}' -c \"{make}\"", "--state", str(state))
    assert run.process.stdout.readline() == "the-callers-secret\n"
    assert run.process.wait(timeout=20) == 0
    run.nothing_is_left()
    for file in state.rglob("*"):
        assert file.is_dir() or b"the-callers-secret" not in file.read_bytes()
    listing = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
    again = [*RUN, "--state", str(state), "--", sys.executable, "-c", listing]
    assert subprocess.check_output(again, text=True).strip() == "mine"


def test_ctrl_c_reaches_the_command_once_and_its_answer_counts():
    code = (
        "import sys, time\n"
        "for _ in range(2):\n"
        "    try: print('waits', flush=True); time.sleep(0.8); print('went on', flush=True)\n"
        "    except KeyboardInterrupt: print('interrupted', flush=True)\n"
        "sys.exit(9)\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [*RUN, "--", sys.executable, "-c", code])
    said = b""
    while b"waits" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, b"\x03")
    while True:
        try:
            said += os.read(terminal, 1000)
        except OSError:  # the terminal's other side is closed
            break
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    words = said.decode().replace("^C", " ").split()
    assert words == ["waits", "interrupted", "waits", "went", "on"]


def test_a_proxy_that_cannot_be_asked_stays_and_what_is_missing_is_said(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.delenv("https_proxy", raising=False)
    access_key.make(tmp_path)
    environment = private_run._environment("http://127.0.0.1:1", tmp_path, None)
    assert environment["HTTPS_PROXY"] == "socks5://127.0.0.1:9"
    said = capsys.readouterr().err
    assert "socks5://" in said and "get_execution_role() will fail" in said


class Page(BaseHTTPRequestHandler):
    """A page of some other host."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "9")
        self.end_headers()
        self.wfile.write(b"elsewhere")


@pytest.fixture
def elsewhere(tmp_path):
    """The address of a host that is not loopback for NO_PROXY, and its own authority's file."""
    authority = Authority()
    server = ThreadingHTTPServer(("127.0.0.2", 0), Page)
    server.socket = authority.context("elsewhere").wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://127.0.0.2:{server.server_port}/", authority.write(tmp_path / "elsewhere.pem")
    server.shutdown()
    server.server_close()


def test_other_hosts_are_reached_and_their_tls_is_not_opened(aws, elsewhere, tmp_path, monkeypatch):
    url, certificate = elsewhere
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    code = (
        "import ssl, urllib.request as r, os;"
        f"c = ssl.create_default_context(cafile={str(certificate)!r}); c.check_hostname = False;"
        f"print(r.urlopen({url!r}, context=c).read().decode(), 'HTTPS_PROXY' in os.environ)"
    )
    access_key.make(tmp_path)
    environment = private_run._environment(aws.url, tmp_path, None)
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.split() == ["elsewhere", "True"]


def test_what_a_run_leaves_in_its_folder_can_be_read_and_removed(tmp_path, capsys):
    """Its logs need no engine any more, and `clean --all` leaves nothing."""
    state = tmp_path / "state"
    job = (
        "import boto3, json, sys; aws = boto3.client('sagemaker'); "
        "boto3.client('s3').create_bucket(Bucket='work'); "
        "aws.create_training_job(**json.loads(sys.argv[1])); "
        "ended = aws.get_waiter('training_job_completed_or_stopped'); "
        "ended.wait(TrainingJobName='kept', WaiterConfig={'Delay': 1})"
    )
    request = json.dumps(training_request("echo all is said", TrainingJobName="kept"))
    words = [sys.executable, "-c", job, request]
    assert subprocess.run([*RUN, "--state", str(state), "--", *words]).returncode == 0
    record = ["--record", str(tmp_path / "record"), "--as-aws"]
    assert subprocess.run([*RUN, "--state", str(state), *record, "--", "true"]).returncode == 0
    assert daemon.find(state) is None
    assert cli.main(["logs", "kept", "--state", str(state)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["all is said"]
    assert cli.main(["clean", "--all", "--state", str(state)]) == 0
    assert not state.exists(), capsys.readouterr().out
