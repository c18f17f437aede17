"""Errors in AWS's form: answers, and the reasons of failures in descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.sax.saxutils import escape

# What XML 1.0 cannot hold, not even as a reference.
_CONTROLS = bytes(number for number in range(32) if number not in b"\t\n\r")
QUESTION_MARKS = bytes.maketrans(_CONTROLS, b"?" * len(_CONTROLS))
NO_XML_3 = re.compile(b"\xef\xbf[\xbe\xbf]")  # U+FFFE and U+FFFF, in UTF-8
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# Around an error's code and message, by the protocol.
WRAPPED = {
    "s3": "<Error>{inner}</Error>",
    "query": "<ErrorResponse><Error><Type>{whose}</Type>{inner}</Error>"
    "<RequestId>local</RequestId></ErrorResponse>",
    "ec2": "<Response><Errors><Error>{inner}</Error></Errors></Response>",
}
REASON_LENGTH = 1024  # characters of a FailureReason or of StatusDetails that the API holds


class ApiError(Exception):
    """An error answer in AWS's form: a code, a message and an HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400, **members) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.members = code, message, status, members


def legal_xml(content: bytes) -> bytes:
    """An answer in XML of the same length, without characters that XML 1.0 cannot hold.

    moto puts keys and names into its answers that hold some, and no parser would take those.
    """
    return NO_XML_3.sub(b"\xef\xbf\xbd", content.translate(QUESTION_MARKS))


def xml_text(text: object) -> str:
    """`text` as it may stand in an element of XML."""
    return escape(NO_XML.sub("\ufffd", str(text)))


def error_xml(code: str, message: object, protocol: str = "s3", status: int = 400) -> bytes:
    """An error as a service with XML answers answers it: ``s3``, ``ec2`` or another (``query``)."""
    whose = "Sender" if status < 500 else "Receiver"
    inner = f"<Code>{xml_text(code)}</Code><Message>{xml_text(message)}</Message>"
    return WRAPPED[protocol].format(inner=inner, whose=whose).encode()


def failure_reason(said: str, log: Iterable[str] = ()) -> str:
    """A FailureReason of as many characters as there may be: what is `said`, and the log's end."""
    text, room = "\n".join(log), REASON_LENGTH - len(said)
    return (said + text[max(0, len(text) - room) :])[:REASON_LENGTH]


def invalid(message: str) -> ApiError:
    return ApiError("ValidationException", message)
