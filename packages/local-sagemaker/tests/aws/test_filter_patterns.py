"""CloudWatch's filter patterns, most of them from its user guide; and what it refuses."""

import json

import pytest

from local_sagemaker.aws.filter_patterns import PatternError, compiled

REQUEST = "[ERROR 400] BAD REQUEST"
ARGUMENTS = "[ERROR 419] MISSING ARGUMENTS"
INFO = "[INFO] all is well"
APACHE = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'
USER = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ThisFlag": True,
    "bandwidth": 75.5,
    "dotted.name": "x",
    "number": "12",
}


def matching(pattern, *messages):
    return [message for message in messages if compiled(pattern)(message)]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("", [REQUEST, ARGUMENTS, INFO]),
        (None, [REQUEST, ARGUMENTS, INFO]),
        ('""', [REQUEST, ARGUMENTS, INFO]),
        ("ERROR", [REQUEST, ARGUMENTS]),
        ("error", []),
        ("ERROR ARGUMENTS", [ARGUMENTS]),
        ('"BAD REQUEST"', [REQUEST]),
        ('ERROR "BAD REQUEST"', [REQUEST]),
        ("?REQUEST ?ARGUMENTS", [REQUEST, ARGUMENTS]),
        ('?"BAD REQUEST" ?INFO', [REQUEST, INFO]),
        ("ERROR -ARGUMENTS", [REQUEST]),
        ('-"BAD REQUEST"', [ARGUMENTS, INFO]),
        ("-ERROR", [INFO]),
        ("?BAD ?MISSING ERROR", [REQUEST, ARGUMENTS]),  # ? beside other terms has no effect
        ("%4[0-9]{2}%", [REQUEST, ARGUMENTS]),
        (r"%\[INFO\]%", [INFO]),
        ("%^.INFO|BAD%", [REQUEST, INFO]),
    ],
)
def test_terms_and_regular_expressions(pattern, found):
    assert matching(pattern, REQUEST, ARGUMENTS, INFO) == found


def test_a_quoted_term_may_hold_a_quote():
    assert matching(r'"say \"hi\""', 'they say "hi"', "they say hi") == ['they say "hi"']


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.eventType = "UpdateTrail" }',
        "{$.eventType=UpdateTrail}",
        '{ $.eventType = "Update*" }',
        "{ $.eventType = %^Update% }",
        "{ $.sourceIPAddress != 123.123.* }",
        '{ $.arrayKey[0] = "value" }',
        '{ $.arrayKey[*] = "another value" }',
        "{ $.objectList[1].id = 2 }",
        "{ $.objectList[*].id > 1 }",
        "{ $.SomeObject IS NULL }",
        "{ $.SomeOtherObject NOT EXISTS }",
        "{ $.ThisFlag IS TRUE }",
        "{ $.bandwidth > 75 }",
        "{ $.bandwidth <= 75.5 }",
        "{ $.bandwidth = 7.55e1 }",
        "{ $.number = 12 }",
        "{ $.['dotted.name'] = x }",
        '{ $.* = "UpdateTrail" }',
        '{ ($.bandwidth > 75) && ($.eventType = "UpdateTrail") }',
        '{ $.bandwidth > 99 || $.eventType = "UpdateTrail" && $.ThisFlag IS TRUE }',
    ],
)
def test_json_that_matches(pattern):
    assert compiled(pattern)(json.dumps(USER))
    assert not compiled(pattern)("no JSON")


@pytest.mark.parametrize(
    "pattern",
    [
        '{ $.eventType = "Update" }',
        '{ $.eventType != "UpdateTrail" }',
        '{ $.absent != "x" }',
        "{ $.absent IS NULL }",
        "{ $.SomeObject NOT EXISTS }",
        "{ $.ThisFlag IS FALSE }",
        "{ $.ThisFlag = 1 }",
        "{ $.arrayKey[2] = value }",
        "{ $.bandwidth < 75 }",
        "{ $.eventType > 75 }",
        "{ ($.bandwidth > 99 || $.eventType = UpdateTrail) && $.ThisFlag IS FALSE }",
    ],
)
def test_json_that_does_not(pattern):
    assert not compiled(pattern)(json.dumps(USER))


@pytest.mark.parametrize(
    ("pattern", "is_found"),
    [
        ("[ip, user, username, timestamp, request, status_code, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code]", False),
        ("[ip, user, ...]", True),
        ("[..., bytes > 1000]", True),
        ("[..., bytes > 1000 && bytes < 1500]", False),
        ("[..., status_code = 4*, bytes]", True),
        ("[..., status_code = 404 || status_code = 410, bytes]", True),
        ("[ip=127.0.*, ..., bytes]", True),
        (r"[ip=%127\.0\.0\.[1-9]%, user, ..., request =*.html*, status_code = 4*, bytes]", True),
        ('[ip, user, username = "frank", ...]', True),
        ("[ip, user != Prod, ...]", False),
        ("[ip, user =! Test, ...]", True),
        ("[ip, user, username, timestamp = %10/Oct%, ...]", True),
        ("[..., (status_code >= 400 && status_code < 500), bytes]", True),
    ],
)
def test_events_whose_fields_are_divided_by_spaces(pattern, is_found):
    assert compiled(pattern)(APACHE) == is_found


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("key=value", "Invalid character.s. in term 'key=value'"),
        ('"open', "is no term"),
        ("%open", "stands between two %"),
        ("ERROR %a%", "Invalid character"),
        ("%(a)%", "neither groups nor"),
        ("%a!%", "neither groups nor"),
        ("%ä%", "neither groups nor"),
        ("%[%", "unterminated"),
        ("{ $.a }", "Invalid filter pattern"),
        ("{ a = 1 }", "Invalid filter pattern"),
        ("{ $.a = 1", "Invalid filter pattern"),
        ("{ $.a > x }", "x is no number"),
        ("{ $.a = %(x)% }", "neither groups nor"),
        ("{ $.a = %x% && $.b = %y% && $.c = %z% }", "more than 2 regular expressions"),
        ("[a, b", "Invalid filter pattern"),
        ("[..., a, ...]", "more than one"),
        ("[a = 1 = 2]", "Invalid filter pattern"),
    ],
)
def test_what_cloudwatch_refuses(pattern, words):
    with pytest.raises(PatternError, match=words):
        compiled(pattern)
