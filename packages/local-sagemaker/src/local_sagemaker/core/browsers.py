"""Requests that a web page makes the browser send that shows it.

A page of any origin can make a browser send a request to 127.0.0.1: by a form, a picture, a frame,
``fetch`` in the mode "no-cors", a beacon, a WebSocket. The browser does not ask the server first.
It only says, in headers that no page can set, where the request comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

OWN_SITES = {"none", "same-origin"}  # the user typed the address; a page that this server served


def foreign_origin(environ: Mapping[str, str]) -> str | None:
    """What says that a page of another origin sent a request, as ``Name: value``.

    None for requests of other clients, and of a browser's user. The origin is the ``Host`` that the
    request names, so that one must have been checked.
    """
    own = f"http://{environ.get('HTTP_HOST', '')}".lower()
    origin, site = environ.get("HTTP_ORIGIN"), environ.get("HTTP_SEC_FETCH_SITE")
    if origin is not None and origin.lower() != own:
        return f"Origin: {origin}"
    if site is not None and site.lower() not in OWN_SITES:
        return f"Sec-Fetch-Site: {site}"
    referer = environ.get("HTTP_REFERER")
    if referer is not None and _origin(referer) != own:
        return f"Referer: {referer}"
    return None


def _origin(address: str) -> str | None:
    try:
        parts = urlsplit(address)
    except ValueError:
        return None
    return f"{parts.scheme}://{parts.netloc}".lower()
