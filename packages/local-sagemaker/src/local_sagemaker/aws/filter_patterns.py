"""CloudWatch's filter patterns: terms, regular expressions, JSON and space-delimited events.

As "Filter pattern syntax for metric filters, subscription filters, filter log events, and Live
Tail" in CloudWatch's user guide has them. A pattern that CloudWatch refuses is refused.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, VisitError

Matches = Callable[[str], bool]
TERM = re.compile(r'(?P<sign>[?-]?)(?:"(?P<quoted>(?:\\.|[^"\\])*)"|(?P<plain>[^\s"]+))')
MOST_REGEXES = 2  # of a JSON or space-delimited pattern
# What a regular expression may hold besides escaped characters.
IN_REGEXES = re.compile(r"(?:[\w:#=@/;, ^$?\[\]{}|*+.-]|\\.)*", re.ASCII)
# What counts as one field of a space-delimited event.
FIELD = re.compile(r'\[([^\]]*)\]|"([^"]*)"|(\S+)')
COMPARISONS = {">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le}
GRAMMAR = r"""
json: "{" _either "}"
fields: "[" _field ("," _field)* "]"
_field: ELLIPSIS | field
field: NAME | named
?named: either_named
?either_named: both_named ("||" both_named)* -> either
?both_named: one_named ("&&" one_named)* -> both
?one_named: "(" either_named ")" | NAME OPERATOR _value -> of_field

_either: either
?either: both ("||" both)*
?both: one ("&&" one)*
?one: "(" either ")"
    | SELECTOR OPERATOR _value -> of_property
    | SELECTOR "IS"i WHAT -> is_what
    | SELECTOR "NOT"i "EXISTS"i -> not_exists
_value: STRING | REGEX | WORD

ELLIPSIS: "..."
NAME: /[A-Za-z_][\w.$-]*/
SELECTOR: /\$(?:\.(?:\*|[\w-]+)|\[(?:\*|\d+|'[^']*'|"[^"]*")\]|\.\['[^']*'\])+/
OPERATOR: "!=" | "=!" | ">=" | "<=" | "=" | ">" | "<"
WHAT: "NULL"i | "TRUE"i | "FALSE"i
STRING: /"(?:\\.|[^"\\])*"/
REGEX: /%[^%]*%/
WORD: /[^\s"%(),\[\]{}&|=<>!]+/
%ignore /\s+/
"""


class PatternError(ValueError):
    """The pattern is none; the text says why."""


def compiled(pattern: str | None) -> Matches:
    """Whether a message matches `pattern`, as a function.

    Raises:
        PatternError: CloudWatch refuses such a pattern.
    """
    text = (pattern or "").strip()
    if not text or text == '""':
        return lambda message: True
    if text[0] == "%":
        return _regex(text)
    if text[0] in "{[":
        return _structured(text, "json" if text[0] == "{" else "fields")
    return _terms(text)


# Terms


def _terms(text: str) -> Matches:
    wanted, excluded, optional = [], [], []
    kinds = {"": wanted, "-": excluded, "?": optional}
    position = 0
    while position < len(text):
        found = TERM.match(text, position)
        if not found:
            raise PatternError(f"Invalid filter pattern: {text[position:]!r} is no term")
        kinds[found["sign"]].append(_term(found))
        position = re.compile(r"\s*").match(text, found.end()).end()
    if optional and not wanted and not excluded:  # beside other terms they have no effect
        return lambda message: any(term in message for term in optional)
    return lambda message: (
        all(term in message for term in wanted) and not any(term in message for term in excluded)
    )


def _term(found: re.Match) -> str:
    if found["quoted"] is not None:
        return _unquoted(f'"{found["quoted"]}"')
    if not re.fullmatch(r"\w+", found["plain"]):
        raise PatternError(
            f"Invalid character(s) in term '{found['plain']}': put a term with other characters "
            "than letters, digits and _ into double quotes"
        )
    return found["plain"]


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


# Regular expressions


def _regex(text: str) -> Matches:
    if not re.fullmatch("%[^%]*%", text):
        raise PatternError(
            f"Invalid filter pattern: {text!r}: a regular expression stands between two % and alone"
        )
    return _expression(text)


def _expression(text: str) -> Matches:
    expression = text[1:-1]
    if not IN_REGEXES.fullmatch(expression):
        raise PatternError(
            f"Invalid regular expression in filter pattern: '{expression}': CloudWatch has "
            "neither groups nor other characters than letters, digits and :_#=@/;,-"
        )
    try:
        search = re.compile(expression, re.ASCII).search
    except re.error as error:
        raise PatternError(
            f"Invalid regular expression in filter pattern: '{expression}': {error}"
        ) from None
    return lambda message: search(message) is not None


# Events with a structure


def _structured(text: str, start: str) -> Matches:
    if len(re.findall("%[^%]*%", text)) > MOST_REGEXES:
        raise PatternError(f"Invalid filter pattern: more than {MOST_REGEXES} regular expressions")
    try:
        return _Compiler().transform(PARSER.parse(text, start=start))
    except VisitError as error:
        raise error.orig_exc from None
    except LarkError as error:
        raise PatternError(
            f"Invalid filter pattern: {str(error).splitlines()[0]} in {text!r}"
        ) from None


PARSER = Lark(GRAMMAR, start=["json", "fields"], parser="earley", lexer="dynamic")


class _Compiler(Transformer):
    """Makes functions of the parsed pattern's parts.

    Those of a JSON event get its value, those of a space-delimited one the text of one field.
    """

    def either(self, tests: list) -> Callable:
        return lambda event: any(test(event) for test in tests)

    def both(self, tests: list) -> Callable:
        return lambda event: all(test(event) for test in tests)

    def of_property(self, parts: list) -> Callable:
        steps, test = _steps(parts[0]), _comparison(parts[1], parts[2])
        return lambda event: any(test(value) for value in _select(event, steps))

    def is_what(self, parts: list) -> Callable:
        wanted = {"NULL": None, "TRUE": True, "FALSE": False}[parts[1].upper()]
        steps = _steps(parts[0])
        return lambda event: any(value is wanted for value in _select(event, steps))

    def not_exists(self, parts: list) -> Callable:
        steps = _steps(parts[0])
        return lambda event: not any(True for _ in _select(event, steps))

    def json(self, parts: list) -> Matches:
        (test,) = parts

        def matches(message: str) -> bool:
            try:
                event = json.loads(message)
            except (ValueError, RecursionError):
                return False
            return isinstance(event, (dict, list)) and test(event)

        return matches

    def of_field(self, parts: list) -> Callable:
        return _comparison(parts[1], parts[2])

    def field(self, parts: list) -> Callable:
        (test,) = parts
        return (lambda text: True) if isinstance(test, Token) else test

    def fields(self, parts: list) -> Matches:
        ellipses = [n for n, part in enumerate(parts) if isinstance(part, Token)]
        if len(ellipses) > 1:
            raise PatternError("Invalid filter pattern: more than one ...")
        at = ellipses[0] if ellipses else len(parts)
        first, last = parts[:at], parts[at + 1 :]

        def matches(message: str) -> bool:
            found = ["".join(texts) for texts in FIELD.findall(message)]
            least = len(first) + len(last)
            if len(found) < least or (not ellipses and len(found) > least):
                return False
            ends = found[len(found) - len(last) :]
            pairs = [*zip(first, found, strict=False), *zip(last, ends, strict=True)]
            return all(test(text) for test, text in pairs)

        return matches


def _steps(selector: str) -> list[str | int]:
    """``$.a.b[0]['c d']`` as what to look up in turn; ``*`` is everything."""
    found = re.findall(r"\[(\d+)\]|\[['\"]([^'\"]*)['\"]\]|\[(\*)\]|\.(\*|[\w-]+)", selector)
    return [int(index) if index else (name or star or plain) for index, name, star, plain in found]


def _select(event: object, steps: list[str | int]) -> Iterator[object]:
    if not steps:
        yield event
        return
    step, *rest = steps
    if step == "*" and isinstance(event, (dict, list)):
        for value in event.values() if isinstance(event, dict) else event:
            yield from _select(value, rest)
        return
    known = isinstance(event, dict) and step in event
    known = known or (isinstance(event, list) and isinstance(step, int) and step < len(event))
    if known:
        yield from _select(event[step], rest)


def _comparison(sign: str, value: Token) -> Callable[[object], bool]:
    """Whether a value of a JSON event, or the text of a field, compares so."""
    if sign in COMPARISONS:
        limit, compare = _number(value), COMPARISONS[sign]
        if limit is None:
            raise PatternError(f"Invalid filter pattern: {value} is no number to compare by {sign}")
        return lambda found: (n := _number(found)) is not None and compare(n, limit)
    equals = _equality(value)
    return equals if sign == "=" else lambda found: not equals(found)


def _equality(value: Token) -> Callable[[object], bool]:
    if value.type == "REGEX":
        test = _expression(value)
        return lambda found: test(_text(found))
    number = None if value.type == "STRING" else _number(value)
    text = _unquoted(value) if value.type == "STRING" else str(value)
    whole = re.compile(".*".join(map(re.escape, text.split("*"))), re.DOTALL)
    return lambda found: (
        whole.fullmatch(_text(found)) is not None
        or (number is not None and not isinstance(found, bool) and _number(found) == number)
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
