"""Web pages that make a browser ask the engine for something, and a record of what it asked.

Each of `FORMS` is one way in which a page makes a browser send a request without asking first. The
addresses in it are signed, and their requests would change the engine's state (see `At`).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class At:
    """What one form asks for, by addresses that hold `name`.

    Attributes:
        get: makes a role (IAM).
        post: begins an upload (S3); the body does not matter.
        form: takes `fields`, and a file, and stores an object (S3).
        delete: deletes the objects that a body such as `xml` names (S3).
        put: stores an object (S3); a browser asks first.
    """

    name: str
    get: str
    post: str
    form: str
    delete: str
    put: str
    fields: dict[str, str]
    xml: str = "<Delete><Object><Key>kept</Key></Object></Delete>"


def _script(code: str) -> str:
    return f"<script>{code}</script>"


def _fetch(url: str, **options: str) -> str:
    words = ", ".join(
        f"{name}: {value}" for name, value in {"mode": "'no-cors'", **options}.items()
    )
    return _script(f"fetch({json.dumps(url)}, {{{words}}})")


def _xhr(method: str, url: str, body: str = "") -> str:
    asked = f"x.open('{method}', {json.dumps(url)})"
    return _script(f"const x = new XMLHttpRequest(); {asked}; x.send({body})")


def _data(at: At) -> str:
    """An expression: the signed form with a file, as FormData."""
    pairs = json.dumps([*at.fields.items()])
    return (
        f"(() => {{const d = new FormData(); for (const [n, v] of {pairs}) d.append(n, v);"
        "d.append('file', new Blob(['from a page']), 'name'); return d})()"
    )


def _form(action: str, inside: str = "", **attributes: str) -> str:
    given = " ".join(f'{n}="{escape(v)}"' for n, v in {"method": "post", **attributes}.items())
    return f'<form id=f {given} action="{escape(action)}">{inside}</form>'


def _file_form(at: At) -> str:
    hidden = [f'<input name="{escape(n)}" value="{escape(v)}">' for n, v in at.fields.items()]
    inside = "".join([*hidden, "<input type=file name=file id=i>"])
    return _form(at.form, inside, enctype="multipart/form-data") + _script(
        "const t = new DataTransfer(); t.items.add(new File(['from a page'], 'name'));"
        "i.files = t.files; f.submit()"
    )


def _text_form(at: At) -> str:
    """A form whose text is XML: its only field's name and value, with "=" between them."""
    name, _, value = '<Delete a="b"><Object><Key>kept</Key></Object></Delete>'.partition("=")
    inside = f"<input name='{name}' value='{value}'>"
    return _form(at.delete, inside, enctype="text/plain") + SUBMIT


def _sandbox(inside: str) -> str:
    allowed = "allow-scripts allow-forms"
    return f'<iframe sandbox="{allowed}" srcdoc="{escape(inside)}"></iframe>'


def _link(at: At, words: str = "") -> str:
    return f'<a href="{escape(at.get)}" {words}>x</a>' + CLICK


SUBMIT = _script("f.submit()")
CLICK = _script("document.querySelector('a, button').click()")
QUIET = "<meta name=referrer content=no-referrer>"

FORMS: dict[str, Callable[[At], str]] = {
    # What a page shows
    "img": lambda at: f'<img src="{escape(at.get)}">',
    "img srcset": lambda at: f'<img srcset="{escape(at.get)} 1x">',
    "picture": lambda at: f'<picture><source srcset="{escape(at.get)}"><img></picture>',
    "input image": lambda at: f'<input type=image src="{escape(at.get)}">',
    "background": lambda at: f'<body background="{escape(at.get)}">',
    "css image": lambda at: f"<style>body {{background: url('{at.get}')}}</style>",
    "css import": lambda at: f"<style>@import url('{at.get}');</style>",
    "css font": lambda at: (
        f"<style>@font-face {{font-family: f; src: url('{at.get}')}} p {{font-family: f}}</style>"
        "<p>x"
    ),
    "stylesheet": lambda at: f'<link rel=stylesheet href="{escape(at.get)}">',
    "preload": lambda at: f'<link rel=preload as=image href="{escape(at.get)}">',
    "prefetch": lambda at: f'<link rel=prefetch href="{escape(at.get)}">',
    "modulepreload": lambda at: f'<link rel=modulepreload href="{escape(at.get)}">',
    "script": lambda at: f'<script src="{escape(at.get)}"></script>',
    "module": lambda at: f'<script type=module src="{escape(at.get)}"></script>',
    "import": lambda at: _script(f"import({json.dumps(at.get)})"),
    "worker": lambda at: _script(
        f"new Worker(URL.createObjectURL(new Blob([`importScripts('{at.get}')`])))"
    ),
    "svg image": lambda at: f'<svg><image href="{escape(at.get)}"/></svg>',
    "video": lambda at: f'<video src="{escape(at.get)}" autoplay muted></video>',
    "poster": lambda at: f'<video poster="{escape(at.get)}"></video>',
    "audio": lambda at: f'<audio src="{escape(at.get)}" preload=auto></audio>',
    "object": lambda at: f'<object data="{escape(at.get)}"></object>',
    "embed": lambda at: f'<embed src="{escape(at.get)}">',
    "iframe": lambda at: f'<iframe src="{escape(at.get)}"></iframe>',
    "frame": lambda at: f'<frameset><frame src="{escape(at.get)}"></frameset>',
    "img without referrer": lambda at: f'{QUIET}<img src="{escape(at.get)}">',
    "img in a sandbox": lambda at: _sandbox(f'<img src="{escape(at.get)}">'),
    # Where it leads
    "link": _link,
    "link without referrer": lambda at: _link(at, "rel=noreferrer"),
    "link to a window": lambda at: _link(at, "target=_blank"),
    "location": lambda at: _script(f"location = {json.dumps(at.get)}"),
    "refresh": lambda at: f'<meta http-equiv=refresh content="0; url={escape(at.get)}">',
    "redirect": lambda at: f'<img src="/to?{escape(at.get)}">',
    # What its scripts ask for
    "fetch": lambda at: _fetch(at.get),
    "fetch cors": lambda at: _fetch(at.get, mode="'cors'"),
    "fetch with credentials": lambda at: _fetch(at.get, credentials="'include'"),
    "fetch without referrer": lambda at: _fetch(at.get, referrerPolicy="'no-referrer'"),
    "fetch head": lambda at: _fetch(at.get, method="'HEAD'"),
    "xhr": lambda at: _xhr("GET", at.get),
    "event source": lambda at: _script(f"new EventSource({json.dumps(at.get)})"),
    "web socket": lambda at: _script(
        f"new WebSocket({json.dumps(at.get.replace('http:', 'ws:'))})"
    ),
    # What it sends
    "form": lambda at: _form(at.post) + SUBMIT,
    "form action": lambda at: (
        f'<form method=post><button formaction="{escape(at.post)}"></button></form>{CLICK}'
    ),
    "form without referrer": lambda at: QUIET + _form(at.post) + SUBMIT,
    "form in a sandbox": lambda at: _sandbox(_form(at.post) + SUBMIT),
    "form in a frame": lambda at: "<iframe name=n></iframe>" + _form(at.post, target="n") + SUBMIT,
    "form redirected": lambda at: _form(f"/to?{at.post}") + SUBMIT,
    "form with a file": _file_form,
    "form of text": _text_form,
    "fetch post": lambda at: _fetch(at.delete, method="'POST'", body=f"'{at.xml}'"),
    "fetch post without a type": lambda at: _fetch(
        at.delete, method="'POST'", body=f"new Blob(['{at.xml}'])"
    ),
    "fetch post of a form": lambda at: _fetch(at.form, method="'POST'", body=_data(at)),
    "fetch post of parameters": lambda at: _fetch(
        at.post, method="'POST'", body="new URLSearchParams('a=b')"
    ),
    "fetch kept alive": lambda at: _fetch(
        at.delete, method="'POST'", body=f"'{at.xml}'", keepalive="true"
    ),
    "xhr post": lambda at: _xhr("POST", at.delete, f"'{at.xml}'"),
    "xhr post of a form": lambda at: _xhr("POST", at.form, _data(at)),
    "beacon": lambda at: _script(f"navigator.sendBeacon({json.dumps(at.delete)}, '{at.xml}')"),
    "beacon of a form": lambda at: _script(
        f"navigator.sendBeacon({json.dumps(at.form)}, {_data(at)})"
    ),
    "ping": lambda at: f'<a href="#x" ping="{escape(at.post)}">x</a>{CLICK}',
    "report": lambda at: "<img src='/refused'>",  # by the policy that the page's server sends
}
# These ask first, by OPTIONS, and must not be told that they may.
ASKING: dict[str, Callable[[At], str]] = {
    "put": lambda at: _fetch(at.put, mode="'cors'", method="'PUT'", body="'from a page'"),
    "patch": lambda at: _fetch(at.post, mode="'cors'", method="'DELETE'"),
    "target": lambda at: _fetch(
        at.post, mode="'cors'", method="'POST'", headers="{'X-Amz-Target': 'SageMaker.ListModels'}"
    ),
    "json": lambda at: _fetch(
        at.post, mode="'cors'", method="'POST'", headers="{'Content-Type': 'application/json'}"
    ),
    "authorization": lambda at: _fetch(
        at.get, mode="'cors'", headers="{'Authorization': 'AWS4-HMAC-SHA256 Credential=x'}"
    ),
}


@dataclass(frozen=True)
class Asked:
    """One request that reached the engine."""

    method: str
    path: str
    headers: dict[str, str]
    status: int


class Recorder(ThreadingHTTPServer):
    """Hands each request on to the engine as it is, and records it."""

    daemon_threads = True

    def __init__(self, engine: str) -> None:
        super().__init__(("127.0.0.1", 0), _Recording)
        self.engine, self.asked = urlsplit(engine).netloc, []
        self.arrived = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of(self, name: str) -> list[Asked]:
        """The requests whose addresses hold `name`."""
        return [one for one in self.asked if name in unquote(one.path)]

    def wait_for(self, name: str, limit: float = 60) -> bool:
        """Wait until a request arrived whose address holds `name`."""
        with self.arrived:
            return self.arrived.wait_for(lambda: bool(self.of(name)), limit)

    def handle_error(self, request, client_address) -> None:
        """A browser that goes away is no defect."""


class _Recording(BaseHTTPRequestHandler):
    def log_message(self, *_) -> None:
        pass

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with contextlib.closing(http.client.HTTPConnection(self.server.engine)) as engine:
            engine.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                engine.putheader(name, value)
            engine.endheaders(body)
            answer = engine.getresponse()
            content = answer.read()
        one = Asked(self.command, self.path, dict(self.headers.items()), answer.status)
        with self.server.arrived:
            self.server.asked.append(one)
            self.server.arrived.notify_all()
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in {"transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = _hand_on


@contextmanager
def pages(shown: dict[str, str], report: str) -> Iterator[int]:
    """A server on 127.0.0.1, at the port that is given, of pages by their paths.

    ``/to?ADDRESS`` sends the browser on to an address, with the method and body that it has. The
    page ``/report`` has a policy by which the browser reports to the address `report`.
    """

    class Page(BaseHTTPRequestHandler):
        def log_message(self, *_) -> None:
            pass

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            self.send_response(307 if path == "/to" else 200)
            if path == "/to":
                self.send_header("Location", query)
            if path == "/report":
                self.send_header("Content-Security-Policy", f"img-src 'none'; report-uri {report}")
            content = ("<!doctype html>" + shown.get(path[1:], "")).encode()
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()
