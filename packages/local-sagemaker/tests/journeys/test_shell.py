"""The lines that a person copies into a shell: as they are printed, and nothing reaches AWS."""

import json
import os
import re
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from engine_support.clients import training_request

README = Path(__file__).parents[2] / "README.md"
BIN = Path(sys.executable).parent
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


class Proxy(socketserver.ThreadingTCPServer):
    """A proxy that keeps what it is asked for, and does nothing."""

    daemon_threads = True

    def __init__(self):
        self.asked = []
        super().__init__(("127.0.0.1", 0), _Asked)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Asked(socketserver.StreamRequestHandler):
    def handle(self):
        self.server.asked.append(self.rfile.readline())


@pytest.fixture
def proxy():
    with Proxy() as proxy:
        yield proxy
        proxy.shutdown()


@pytest.fixture
def shell(tmp_path, proxy):
    """Runs a script in a shell of somebody who works on AWS, behind a proxy."""
    (home := tmp_path / "home" / ".aws").mkdir(parents=True)
    (home / "config").write_text("[profile mine]\nregion = eu-west-1\n")
    (home / "credentials").write_text("[mine]\naws_access_key_id = AKIAREAL\n")
    (folder := tmp_path / "it's ünï").mkdir()
    (folder / "your_script.py").write_text(SCRIPT)
    request = training_request("echo from the job", TrainingJobName="JOB")
    (folder / "request.json").write_text(json.dumps(request))
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "SAGEMAKER"))}
    environment |= {
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), url),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "NO_PROXY": "intranet.example",
        "no_proxy": "intranet.example",
        "AWS_PROFILE": "mine",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "AKIAREAL",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_ENDPOINT_URL_STS": "https://sts.eu-west-1.amazonaws.com",
        "AWS_USE_FIPS_ENDPOINT": "true",
    }

    def run(program, text):
        return subprocess.run(
            [program, "-c", text], cwd=folder, env=environment, capture_output=True, text=True
        )

    yield run
    run("sh", "local-sagemaker stop; local-sagemaker stop --state 'an other'")


def commands():
    """The block of the README's section on commands, word for word."""
    section = README.read_text().partition("## Commands")[2].partition("\n## ")[0]
    return re.findall(r"^    (.*)$", section, re.MULTILINE)


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_the_readmes_commands_as_printed(shell, proxy, program):
    lines = commands()
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
