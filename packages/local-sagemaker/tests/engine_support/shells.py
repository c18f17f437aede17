"""Shells of somebody who works on AWS, behind a company's proxy."""

import os
import socketserver
import sys
import threading
from pathlib import Path

BIN = Path(sys.executable).parent


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


def environment_of_a_caller(home: Path, proxy: Proxy) -> dict[str, str]:
    """Profiles, regions, keys, addresses and exceptions that all lead to AWS, by `proxy`."""
    (folder := home / ".aws").mkdir(parents=True)
    (folder / "config").write_text("[profile mine]\nregion = eu-west-1\n")
    (folder / "credentials").write_text("[mine]\naws_access_key_id = AKIAREAL\n")
    url = f"http://127.0.0.1:{proxy.server_address[1]}"
    own = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "SAGEMAKER"))}
    return own | {
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), url),
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(home),
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
