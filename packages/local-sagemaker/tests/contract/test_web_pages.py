"""No page of another origin changes anything, whatever it makes a real browser send.

Even one that knows signed addresses: without the browser's headers, each of them works.
"""

from __future__ import annotations

import hashlib
import sqlite3
from types import SimpleNamespace

import pytest
import requests

from debugger_support.browser import executable
from engine_support import signing
from engine_support.clients import BUCKET, running_engine
from engine_support.web_pages import ASKING, FORMS, At, Recorder, pages

SITES = {"cross-site": "evil.test", "same-site": "127.0.0.1"}  # of pages, seen from 127.0.0.1
ARGUMENTS = [
    "--no-sandbox",
    "--host-resolver-rules=MAP evil.test 127.0.0.1",
    "--disable-features=HttpsUpgrades",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-popup-blocking",
]
ROLE = "/?Action=CreateRole&Version=2010-05-08&AssumeRolePolicyDocument=%7B%7D&RoleName="
# The headers by which browsers say where a request comes from.
TELLING = {"origin", "referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "user-agent"}
# What no Chromium that is started by a test sends; recorded, or as the browsers' sources have it.
OTHERS = {
    "Firefox, form": {
        "Origin": "http://evil.test",
        "Referer": "http://evil.test/",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-User": "?1",
    },
    "Firefox, image": {
        "Referer": "http://evil.test/",
        "Sec-Fetch-Dest": "image",
        "Sec-Fetch-Mode": "no-cors",
        "Sec-Fetch-Site": "cross-site",
    },
    "Firefox, WebSocket": {
        "Origin": "http://evil.test",
        "Sec-Fetch-Dest": "empty",
        "Sec-Fetch-Mode": "websocket",
        "Sec-Fetch-Site": "cross-site",
    },
    "Safari before 16.4, form": {"Origin": "https://evil.test", "Referer": "https://evil.test/"},
    "Safari before 16.4, image": {"Referer": "https://evil.test/"},
    "Safari before 16.4, no referrer": {"Origin": "null"},
    "an extension's page": {
        "Origin": "chrome-extension://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "Sec-Fetch-Site": "none",
    },
    "a file": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "speculation rules": {
        "Referer": "https://evil.test/",
        "Sec-Purpose": "prefetch;prerender",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "none",
    },
    "a page of JupyterLab": {
        "Origin": "http://localhost:8888",
        "Referer": "http://localhost:8888/lab",
        "Sec-Fetch-Site": "cross-site",
    },
}


def addresses(aws, url: str, name: str) -> At:
    """Signed addresses at `url` that hold `name`, and what they need in the engine."""
    if name not in {bucket["Name"] for bucket in aws.s3.list_buckets()["Buckets"]}:
        aws.s3.create_bucket(Bucket=name)
        aws.s3.put_object(Bucket=name, Key="kept", Body=b"kept")
    form = aws.client("s3", signature_version="s3v4").generate_presigned_post(name, "stored")

    def at(method: str, path: str, service: str = "s3") -> str:
        return signing.presigned(aws.key, method, url + path, service)

    return At(
        name,
        get=at("GET", ROLE + name, "iam"),
        post=at("POST", f"/{BUCKET}/{name}?uploads"),
        form=f"{url}/{name}",
        delete=at("POST", f"/{name}?delete"),
        put=at("PUT", f"/{BUCKET}/{name}"),
        fields=form["fields"],
    )


def state(aws) -> tuple[str, set[str]]:
    """All that the engine remembers: the database, and the objects' bodies."""
    with sqlite3.connect(f"file:{aws.state}/state.db?mode=ro", uri=True) as database:
        rows = "\n".join(database.iterdump())
    bodies = {
        hashlib.sha256(file.read_bytes()).hexdigest() for file in (aws.state / "objects").iterdir()
    }
    return rows, bodies


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """All forms as a Chromium sent them: the engine, what was asked, its state before and after."""
    from playwright.sync_api import sync_playwright

    with running_engine(tmp_path_factory.mktemp("pages")) as aws, sync_playwright() as playwright:
        aws.s3.create_bucket(Bucket=BUCKET)
        recorder = Recorder(aws.url)
        made, names = {}, {}
        for number, (word, form) in enumerate((FORMS | ASKING).items()):
            name = f"page-{number:02}-{word.replace(' ', '-')}"
            names[word], made[word.replace(" ", "-")] = (
                name,
                form(addresses(aws, recorder.url, name)),
            )
        before = state(aws)
        browser = playwright.chromium.launch(executable_path=executable(), args=ARGUMENTS)
        report = addresses(aws, recorder.url, names["report"]).post
        found = SimpleNamespace(aws=aws, names=names, before=before, asked={})
        with pages(made, report) as port:
            for site, host in SITES.items():
                for word in FORMS | ASKING:
                    context = browser.new_context()
                    page = context.new_page()
                    address = f"http://{host}:{port}/{word.replace(' ', '-')}"
                    page.goto(address, wait_until="commit", timeout=60_000)
                    recorder.wait_for(names[word])
                    context.close()
                    with recorder.arrived:
                        found.asked[site, word] = recorder.of(names[word])
                        recorder.asked = []
        browser.close()
        recorder.shutdown()
        recorder.server_close()
        yield found


def test_there_are_at_least_twenty_forms():
    assert len(FORMS) >= 20


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("word", FORMS)
def test_what_the_browser_sent_was_refused(shown, site, word):
    asked = shown.asked[site, word]
    assert asked, f"the browser sent nothing for '{word}'"
    assert {one.status for one in asked} == {403}
    assert "OPTIONS" not in {one.method for one in asked}


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("word", ASKING)
def test_what_asks_first_is_not_told_that_it_may(shown, site, word):
    asked = shown.asked[site, word]
    assert [one.method for one in asked] == ["OPTIONS"] * len(asked) and asked
    assert {one.status for one in asked} == {403}


def test_nothing_was_changed(shown):
    assert state(shown.aws) == shown.before


def recorded(shown) -> dict[str, dict[str, str]]:
    """The sets of telling headers that the browser sent, and those of other browsers."""
    found = {}
    for (site, word), asked in shown.asked.items():
        for one in asked:
            headers = {n: v for n, v in one.headers.items() if n.lower() in TELLING}
            found[f"{site}: {word}"] = headers
    return found | OTHERS


JSON = "application/x-amz-json-1.1"
# For each protocol a request that is carried out where nothing speaks against it.
PROTOCOLS = {
    "S3": ("PUT", "/replayed", b"", "s3", {}),
    "an object": ("PUT", f"/{BUCKET}/replayed", b"x", "s3", {}),
    "query": (
        "POST",
        "/",
        b"Action=CreateRole&Version=2010-05-08&RoleName=replayed&AssumeRolePolicyDocument={}",
        "iam",
        {"Content-Type": "application/x-www-form-urlencoded"},
    ),
    "JSON": (
        "POST",
        "/",
        b'{"logGroupName": "replayed"}',
        "logs",
        {
            "X-Amz-Target": "Logs_20140328.CreateLogGroup",
            "Content-Type": "application/x-amz-json-1.1",
        },
    ),
    "SageMaker": (
        "POST",
        "/",
        b'{"EndpointName": "replayed"}',
        "sagemaker",
        {"X-Amz-Target": "SageMaker.DeleteEndpoint", "Content-Type": JSON},
    ),
    "CBOR": (
        "POST",
        "/service/GraniteServiceVersion20100801/operation/DisableAlarmActions",
        b"\xa1jAlarmNames\x80",
        "monitoring",
        {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"},
    ),
    "an endpoint": ("POST", "/endpoints/replayed/invocations", b"x", "sagemaker", {}),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_headers_of_every_form_are_refused_in_every_protocol(shown, protocol):
    method, path, body, service, own = PROTOCOLS[protocol]
    before, seen = state(shown.aws), set()
    for word, headers in recorded(shown).items():
        if (key := tuple(sorted(headers.items()))) not in seen:
            seen.add(key)
            status, said = signing.ask(shown.aws, method, path, body, service, **own, **headers)
            assert status == 403, (word, headers, said)
            assert b"no web page of another origin" in said, word
    assert len(seen) >= 20
    assert state(shown.aws) == before


def test_without_a_browser_the_same_addresses_work(shown):
    """Else the tests above would show nothing."""
    at = addresses(shown.aws, shown.aws.url, "no-page")
    before = state(shown.aws)
    assert requests.get(at.get).status_code == 200
    assert requests.post(at.post).status_code == 200
    assert requests.post(at.form, at.fields, files={"file": b"x"}).status_code == 204
    deleted = requests.post(at.delete, at.xml, headers={"Content-Type": "text/plain"})
    assert deleted.status_code == 200 and b"<Deleted>" in deleted.content
    assert requests.put(at.put, b"x").status_code == 200
    assert shown.aws.keys("", "no-page") == ["stored"]
    assert state(shown.aws) != before
    for protocol in ("S3", "an object", "query", "JSON"):
        method, path, body, service, own = PROTOCOLS[protocol]
        assert signing.ask(shown.aws, method, path, body, service, **own)[0] == 200


def test_the_engines_own_pages_and_the_address_bar_are_served(shown):
    """A browser shows what a presigned address leads to, and that page may show more."""
    url = shown.aws.s3.generate_presigned_url(
        "get_object", Params={"Bucket": "no-page", "Key": "kept"}
    )
    shown.aws.s3.put_object(Bucket="no-page", Key="kept", Body=b"kept")
    typed = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"}
    assert requests.get(url, headers=typed).content == b"kept"
    own = {"Sec-Fetch-Site": "same-origin", "Referer": shown.aws.url + "/", "Origin": shown.aws.url}
    assert requests.get(url, headers=own).content == b"kept"
