"""What is put into XML is escaped, whoever said it."""

import xml.etree.ElementTree as ET
from urllib.parse import quote, urlencode

import pytest

from engine_support.clients import BUCKET, unique
from engine_support.signing import ask, send
from local_sagemaker.core.errors import error_xml, legal_xml

ODD = "a<b>&\"'c]]></Message><x/>\x01\x1f\ufffe"
CHUNKED = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_an_error_is_xml_whatever_it_says():
    found = ET.fromstring(error_xml("Code<", ODD))
    assert found.find("Code").text == "Code<"
    assert found.find("Message").text == "a<b>&\"'c]]></Message><x/>\ufffd\ufffd\ufffd"
    assert len(found) == 2


def test_what_xml_cannot_hold_is_replaced_in_place():
    content = "<a>\x00\x01\t\n\r\x1f\x7fü\ufffe\uffff\U0001f600</a>".encode()
    assert ET.fromstring(legal_xml(content)).text == "??\t\n\n?\x7fü\ufffd\ufffd\U0001f600"
    assert len(legal_xml(content)) == len(content)


def form(**members: str) -> bytes:
    return urlencode(members).encode()


KEY = quote(ODD, safe="")
# Requests whose answers repeat what they say: method, path, body, service, headers.
ANSWERS = {
    "a chunk's size": ("PUT", f"/{BUCKET}/k", b"<x>&\x01 is no size\r\n", "s3", CHUNKED),
    "a key that is not there": ("GET", f"/{BUCKET}/{KEY}", None, "s3", {}),
    "a bucket that is not there": ("GET", f"/{KEY}", None, "s3", {}),
    "an upload that is not there": ("GET", f"/{BUCKET}/k?uploadId={KEY}", None, "s3", {}),
    "an upload that ends": (
        "POST",
        f"/{BUCKET}/k?uploadId={KEY}",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>"
        b"</CompleteMultipartUpload>",
        "s3",
        {},
    ),
    "a checksum": ("PUT", f"/{BUCKET}/k", b"", "s3", {"x-amz-checksum-algorithm": "a<b>&"}),
    "an operation of S3": ("DELETE", f"/{BUCKET}?inventory&id={KEY}", None, "s3", {}),
    "a path of S3": ("GET", f"/{BUCKET}?prefix={KEY}&delimiter={KEY}", None, "s3", {}),
    "versions": ("GET", f"/{BUCKET}?versions&prefix={KEY}&key-marker={KEY}", None, "s3", {}),
    "a service": ("POST", "/", form(Action="X"), "a<b>&", FORM),
    "an action": ("POST", "/", form(Action=ODD, Version="2010-05-08"), "iam", FORM),
    "a role": ("POST", "/", form(Action="GetRole", RoleName=ODD), "iam", FORM),
    "a simulation": (
        "POST",
        "/",
        form(Action="SimulatePrincipalPolicy", **{"ActionNames.member.1": ODD}),
        "iam",
        FORM,
    ),
    "a session": (
        "POST",
        "/",
        form(Action="GetFederationToken", Version="2011-06-15", Name=ODD),
        "sts",
        FORM,
    ),
    "a dashboard": (
        "POST",
        "/",
        form(Action="GetDashboard", Version="2010-08-01", DashboardName=ODD),
        "monitoring",
        FORM,
    ),
}

SUCCESSES = {"a path of S3", "versions", "a simulation", "a session"}


@pytest.mark.parametrize("what", ANSWERS)
def test_an_answer_that_repeats_a_request_is_xml(aws, what):
    method, path, body, service, headers = ANSWERS[what]
    status, said = ask(aws, method, path, body, service, **headers)
    assert status >= 400 or what in SUCCESSES
    assert ET.fromstring(said) is not None, said


def test_refusals_of_clients_are_xml_too(aws):
    headers = {"Host": "a<b>&.example"}
    assert ET.fromstring(send(aws, "GET", f"/{BUCKET}", **headers)[1]).find("Code") is not None
    page = {"Origin": "http://a<b>&"}
    assert "a<b>&" in ET.fromstring(send(aws, "GET", f"/{BUCKET}", **page)[1]).find("Message").text
    claimed = "AWS4-HMAC-SHA256 Credential=a<b>&/20260101/us-east-1/s3/aws4_request"
    said = send(aws, "GET", f"/{BUCKET}", Authorization=claimed)[1]
    assert "a<b>&" in ET.fromstring(said).find("Message").text


def test_an_object_is_no_answer_and_stays_as_it_is(aws):
    key, body = unique("xml"), b"<a>\x01\x02</a>"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body, ContentType="application/xml")
    assert aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body
    assert ask(aws, "GET", f"/{BUCKET}/{key}?unknown=1")[1] == body


@pytest.mark.parametrize(
    "path",
    [f"/{BUCKET}?tagging", f"/{BUCKET}?cors", f"/{BUCKET}?lifecycle", f"/{BUCKET}/k?tagging"],
)
def test_a_body_that_is_no_xml_is_the_clients_fault(aws, path):
    aws.s3.put_object(Bucket=BUCKET, Key="k", Body=b"")
    status, said = ask(aws, "PUT", path, b"<a><b")
    assert (status, b"<Code>MalformedXML</Code>" in said) == (400, True)


def test_a_defect_is_told_in_the_clients_protocol(aws):
    """moto fails on an assertion that is none."""
    names = ("RoleArn", "PrincipalArn", "SAMLAssertion")
    members = form(Action="AssumeRoleWithSAML", Version="2011-06-15", **dict.fromkeys(names, "x"))
    status, said = ask(aws, "POST", "/", members, "sts", **FORM)
    assert (status, b"<Code>InternalFailure</Code>" in said) == (500, True)
    assert b"AssumeRoleWithSAML of sts" in said
