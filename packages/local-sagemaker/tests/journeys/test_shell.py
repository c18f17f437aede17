"""The lines that a person copies into a shell: as they are printed, and nothing reaches AWS."""

import contextlib
import json
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from engine_support.clients import training_request
from engine_support.shells import Proxy, environment_of_a_caller
from local_sagemaker import ROLE_ARN

README = Path(__file__).parents[2] / "README.md"
SCRIPT = """\
import boto3, json, sys
s3, sagemaker, logs, sts = (boto3.client(n) for n in ("s3", "sagemaker", "logs", "sts"))
print(sts.get_caller_identity()["Account"], flush=True)
if "work" not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
    s3.create_bucket(Bucket="work")
    sagemaker.create_training_job(**json.load(open("request.json")))
    ended = sagemaker.get_waiter("training_job_completed_or_stopped")
    ended.wait(TrainingJobName="JOB", WaiterConfig={"Delay": 1})
"""


@pytest.fixture
def proxy():
    with Proxy() as proxy:
        yield proxy
        proxy.shutdown()


@pytest.fixture
def shell(tmp_path, proxy):
    """Runs a script in a shell of somebody who works on AWS, behind a proxy."""
    (folder := tmp_path / "it's ünï").mkdir()
    (folder / "your_script.py").write_text(SCRIPT)
    request = training_request("echo from the job", TrainingJobName="JOB")
    (folder / "request.json").write_text(json.dumps(request))
    environment = environment_of_a_caller(tmp_path / "home", proxy)

    def run(program, text, **more):
        return subprocess.run(
            [program, "-c", text],
            cwd=folder,
            env=environment | more,
            capture_output=True,
            text=True,
        )

    yield run
    run("sh", "local-sagemaker stop; local-sagemaker stop --state 'an other'")


def commands():
    """The block of the README's section on commands, word for word."""
    section = README.read_text().partition("## Commands")[2].partition("\n## ")[0]
    lines = re.findall(r"^    (.*)$", section, re.MULTILINE)
    # That one needs a spot job that is still running: tests/test_cli.py.
    return [line for line in lines if not line.startswith("local-sagemaker reclaim")]


@pytest.mark.parametrize("program", ["bash", "sh"])
@pytest.mark.parametrize("option", ["", " --state 'an other'"])
def test_the_readmes_commands_as_printed(shell, proxy, program, option):
    lines = [re.sub(r"(local-sagemaker [a-z]+)\b", rf"\1{option}", line) for line in commands()]
    assert [line.split()[0] for line in lines].count("local-sagemaker") >= 6
    done = shell(program, "set -eu\n" + "\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("123456789012") == 2  # inside run, and in the shell
    assert done.stdout.count("from the job") == 2  # logs, and logs --follow
    assert proxy.asked == []


@pytest.mark.parametrize("program", ["bash", "sh"])
@pytest.mark.parametrize("option", ["", " --state 'an other'"])
def test_the_line_that_start_prints(shell, proxy, program, option):
    started = shell("sh", f"local-sagemaker start{option}")
    (line,) = re.findall(r"^next: (.*)$", started.stdout, re.MULTILINE)
    told = "echo $AWS_ENDPOINT_URL $NO_PROXY $no_proxy"
    ask = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    elsewhere = 'cd "$HOME"' if option else ""  # a state that was named is found from anywhere
    done = shell(program, f'set -e\n{elsewhere}\n{line}\n{told}\npython -c "{ask}"')
    assert done.returncode == 0, done.stderr
    url, past = started.stdout.split()[0], "127.0.0.1,localhost,intranet.example"
    assert done.stdout.split() == [url, past, past, "123456789012"]
    assert proxy.asked == []


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_without_an_engine_a_careful_script_ends_before_it_reaches_aws(shell, proxy, program):
    done = shell(program, 'set -e\neval "$(local-sagemaker env)"\npython your_script.py')
    assert done.returncode != 0 and "no engine runs" in done.stderr
    assert proxy.asked == []


SDK = """\
from sagemaker.core.helper.session_helper import Session, get_execution_role
session = Session()
print(session.default_bucket(), session.account_id(), get_execution_role(session))
"""
TOLD = ["sagemaker-us-east-1-123456789012", "123456789012", ROLE_ARN]


@pytest.mark.parametrize("exceptions", ["intranet.example", "*", "a.example, .amazonaws.com"])
def test_the_sdk_asks_the_engine_who_it_is(shell, proxy, exceptions):
    """At AWS's own STS hosts, whatever AWS_ENDPOINT_URL and the caller's exceptions say."""
    shell("sh", "local-sagemaker start")
    line = f'set -eu; eval "$(local-sagemaker env)"; python -c {shlex.quote(SDK)}; echo $NO_PROXY'
    done = shell("sh", line, NO_PROXY=exceptions, no_proxy=exceptions)
    assert done.returncode == 0, done.stderr
    *told, past = done.stdout.split()
    assert told == TOLD
    assert proxy.asked == []
    kept = [each for each in ("intranet.example", "a.example") if each in exceptions]
    assert past.split(",") == ["127.0.0.1", "localhost", *kept]


ASK = """\
import sys, urllib.request
try:
    urllib.request.urlopen("https://pypi.example/simple", timeout=10)
except OSError as error:
    print(error, file=sys.stderr)
"""


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_all_other_hosts_are_reached_by_the_callers_own_way(shell, proxy, program):
    """Also from a shell that is set up twice, around a restart; and nothing is left of it."""
    shell("sh", "local-sagemaker start")
    once, ask = 'eval "$(local-sagemaker env)"', f"python -c {shlex.quote(ASK)}"
    again = f"{once}; local-sagemaker stop; local-sagemaker start; {once}"
    back = 'local-sagemaker stop; eval "$(local-sagemaker env --unset)"'
    show = "echo left: $HTTPS_PROXY $AWS_CA_BUNDLE $AWS_ENDPOINT_URL $SAGEMAKER_ROLE"
    done = shell(program, f"set -e; {again}; {ask}; {back}; {ask}; {show}")
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in proxy.asked] == [[b"CONNECT", b"pypi.example:443"]] * 2
    assert "this shell still leads to it" in done.stdout
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    assert done.stdout.splitlines()[-1] == f"left: {url}"


def test_a_proxy_that_gives_no_tunnels_is_told_of(shell):
    shell("sh", "local-sagemaker start")
    own = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "socks5h://127.0.0.1:9")
    line = 'set -e; eval "$(local-sagemaker env)"; echo $HTTPS_PROXY $NO_PROXY'
    done = shell("sh", line, **own)
    assert "STS at its own address is not answered here" in done.stderr
    assert done.stdout.split() == ["socks5h://127.0.0.1:9", "127.0.0.1,localhost,intranet.example"]


STS = """\
import boto3
sts = boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
print(sts.get_caller_identity()["Account"])
print(boto3.client("logs").meta.endpoint_url)
"""


def free_pair() -> int:
    """A port that is free, as the next one is."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port + 1)):
                return port


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_lines_that_are_shared_fit_another_users_shell(shell, proxy, tmp_path, program):
    """They extend its own NO_PROXY, name no file that its user cannot read, and outlive a restart.

    An engine on the same port is meant.
    """
    start = f"local-sagemaker start --port {free_pair()}"
    shell("sh", start, HTTPS_PROXY="http://me:word@127.0.0.1:9")
    theirs = {"NO_PROXY": "theirs.example", "no_proxy": "", "HOME": "/"}
    theirs |= {"AWS_ENDPOINT_URL_LOGS": "https://logs.eu-west-1.amazonaws.com"}
    made = shell("sh", "local-sagemaker env --share 'for all' > class.env")
    assert made.returncode == 0, made.stderr
    shell("sh", f"local-sagemaker stop; {start}")
    text = f"set -eu; . ./class.env; echo $NO_PROXY; python -c {shlex.quote(STS)}; env"
    done = shell(program, text, **theirs)
    assert done.returncode == 0, done.stderr
    past, account, url, *variables = done.stdout.splitlines()
    assert account == "123456789012"
    assert past == "127.0.0.1,localhost,theirs.example"
    assert f"AWS_ENDPOINT_URL={url}" in variables
    folder = tmp_path / "it's ünï" / "for all"
    names = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE")
    names += ("SAGEMAKER_USER_CONFIG_OVERRIDE", "SAGEMAKER_ADMIN_CONFIG_OVERRIDE")
    files = [Path(line.partition("=")[2]) for line in variables if line.startswith(names)]
    assert len(files) == len(names)
    for file in files:
        assert file.parent == folder and file.stat().st_mode & 0o004
    assert proxy.asked == []
