"""`client/callers_way.py`: the caller's own way to the network, kept in a proxy's address."""

import re

import pytest

from local_sagemaker.client.callers_way import UnusableProxy, Way, from_user_name, of, restored

WAY = Way("http://me:pass@proxy.example:3128", "intranet.example,*.a", "/etc/own ü.pem")


def test_a_user_name_says_the_way():
    assert from_user_name(WAY.user_name) == WAY
    assert re.fullmatch(r"[A-Za-z0-9._-]+", WAY.user_name)  # as it may stand in an address


@pytest.mark.parametrize("name", ["", "local", "local.", "local.!", "local.e30x", "me"])
def test_another_name_says_none(name):
    assert from_user_name(name) is None


def test_a_caller_that_is_set_up_already_has_its_former_way():
    caller = {
        "https_proxy": WAY.proxy,
        "NO_PROXY": WAY.exceptions,
        "AWS_CA_BUNDLE": WAY.trusted,
        "PATH": "/bin",
    }
    assert of(caller) == WAY
    url = f"http://{WAY.user_name}:secret@127.0.0.1:7"
    there = {
        "HTTPS_PROXY": url,
        "https_proxy": url,
        "AWS_CA_BUNDLE": "ours",
        "NO_PROXY": "127.0.0.1",
    }
    assert of(there) == WAY
    assert restored(there) == {
        "HTTPS_PROXY": WAY.proxy,
        "https_proxy": WAY.proxy,
        "AWS_CA_BUNDLE": WAY.trusted,
        "NO_PROXY": "127.0.0.1",
    }
    assert restored(caller) == caller
    bare = f"http://{Way().user_name}:secret@127.0.0.1:7"
    assert restored({"HTTPS_PROXY": bare, "https_proxy": bare, "AWS_CA_BUNDLE": "ours"}) == {}


def test_other_users_get_no_password():
    assert WAY.for_others() == Way("http://proxy.example:3128", WAY.exceptions)
    assert Way("proxy.example:80").for_others().proxy == "proxy.example:80"
    assert Way().for_others() == Way()


@pytest.mark.parametrize("proxy", ["", "proxy.example:3128", "http://proxy.example:3128"])
def test_where_the_own_proxy_is(proxy):
    assert Way(proxy).upstream.hostname == ("proxy.example" if proxy else None)


def test_a_proxy_of_another_kind_cannot_be_used():
    with pytest.raises(UnusableProxy, match="socks5h"):
        _ = of({"ALL_PROXY": "socks5h://127.0.0.1:9"}).upstream
