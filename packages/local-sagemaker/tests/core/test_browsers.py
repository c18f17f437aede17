"""Which headers say that a page of another origin sent a request."""

import pytest

from local_sagemaker.core.browsers import foreign_origin

HOST = "127.0.0.1:4000"
OWN = f"http://{HOST}"


def said(**headers):
    environ = {f"HTTP_{name}": value for name, value in headers.items()}
    return foreign_origin({"HTTP_HOST": HOST, **environ})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"USER_AGENT": "Boto3/1.44"},
        {"SEC_FETCH_SITE": "none", "SEC_FETCH_MODE": "navigate"},  # the user typed the address
        {"SEC_FETCH_SITE": "same-origin", "REFERER": f"{OWN}/bucket/report.html"},
        {"ORIGIN": OWN, "SEC_FETCH_SITE": "same-origin"},
        {"ORIGIN": OWN.upper().replace("HTTP", "http")},
    ],
)
def test_other_clients_and_pages_of_the_server_itself(headers):
    assert said(**headers) is None


@pytest.mark.parametrize(
    "headers",
    [
        {"ORIGIN": "https://evil.example"},
        {"ORIGIN": "null"},  # a sandboxed frame, a file, a page that hides where it comes from
        {"ORIGIN": ""},
        {"ORIGIN": "http://127.0.0.1:8888"},  # JupyterLab, or whatever else listens here
        {"ORIGIN": "http://localhost:4000"},
        {"ORIGIN": "https://127.0.0.1:4000"},
        {"ORIGIN": f"{OWN}, https://evil.example"},
        {"ORIGIN": f"{OWN}.evil.example"},
        {"SEC_FETCH_SITE": "cross-site"},
        {"SEC_FETCH_SITE": "same-site"},
        {"SEC_FETCH_SITE": "same-origin, cross-site"},
        {"SEC_FETCH_SITE": "whatever comes"},
        {"SEC_FETCH_SITE": "none", "ORIGIN": "https://evil.example"},
        {"REFERER": "https://evil.example/page"},
        {"REFERER": f"http://evil.example/{OWN}"},
        {"REFERER": f"http://{HOST}@evil.example/"},
        {"REFERER": "http://127.0.0.1:8888/lab"},
        {"REFERER": "http://[bad"},
        {"REFERER": "about:blank"},
    ],
)
def test_pages_of_other_origins(headers):
    name, value = list(headers.items())[-1]
    assert said(**headers).partition(": ") == (name.replace("_", "-").title(), ": ", value)
