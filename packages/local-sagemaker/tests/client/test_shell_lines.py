"""`client/shell_lines.py`: what becomes of the NO_PROXY of a shell that reads the lines."""

import shlex
import subprocess

import pytest

from local_sagemaker.client import shell_lines
from local_sagemaker.client.callers_way import Way

LOOPBACK = "127.0.0.1,localhost"
SHOW = ['echo "$NO_PROXY"; echo "$no_proxy"', 'echo "${local_sagemaker_word-gone}"']


@pytest.mark.parametrize("begin", ["sh -c 'set -eu'", "bash -c 'set -euo pipefail'"])
@pytest.mark.parametrize(
    ("known", "identity", "own", "past"),
    [
        ("", True, {}, ""),
        ("in.example", True, {"NO_PROXY": "in.example", "no_proxy": "in.example"}, "in.example"),
        ("", True, {"NO_PROXY": "*"}, ""),  # the identity proxy keeps to it by itself
        ("", True, {"NO_PROXY": "a, .AmazonAWS.com,b,.com", "no_proxy": "B,c"}, "B,c,a,b"),
        ("", True, {"NO_PROXY": "LOCALHOST,127.0.0.1,x.y"}, "x.y"),
        ("mine", True, {"NO_PROXY": "theirs,min.*"}, "mine,theirs,min.*"),
        ("", False, {"no_proxy": ".amazonaws.com"}, ".amazonaws.com"),
    ],
)
def test_a_shells_own_exceptions_stay(begin, known, identity, own, past):
    known = f"{LOOPBACK},{known}".rstrip(",")
    assert lines_said(begin, known, identity, own) == [f"{LOOPBACK},{past}".rstrip(",")] * 2


@pytest.mark.parametrize("known", ["*", LOOPBACK])
def test_all_hosts_are_an_exception_that_stands_alone(known):
    assert lines_said("sh -c 'set -eu'", known, False, {"NO_PROXY": "a,*"}) == ["*", "*"]


def lines_said(begin: str, known: str, identity: bool, own: dict) -> list[str]:
    program, option, first = shlex.split(begin)
    script = "\n".join([first, *shell_lines._past_proxies(known, identity), *SHOW])
    environment = {"PATH": "/usr/bin:/bin", **own}
    said = subprocess.check_output([program, option, script], env=environment, text=True)
    *found, word = said.splitlines()
    assert word == "gone"
    return found


def test_the_way_back_is_the_way_that_was_there():
    before = Way("http://proxy.example:1")
    url = f"http://{before.user_name}:secret@127.0.0.1:1"
    lines = list(shell_lines.leading_back({"HTTPS_PROXY": url, "https_proxy": url}))
    assert "unset AWS_ENDPOINT_URL" in lines and "unset AWS_CA_BUNDLE" in lines
    exported = [line for line in lines if line.startswith("export")]
    assert exported == [
        f"export {n}=http://proxy.example:1" for n in ("HTTPS_PROXY", "https_proxy")
    ]
