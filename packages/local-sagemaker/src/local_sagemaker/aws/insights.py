"""Queries of CloudWatch Logs Insights: fields, filter, sort, limit and display; no others.

What a query asks for beyond that is refused by name, as are functions that are not here: an answer
that leaves part of a query out would be a wrong one.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lark import Lark, Token, Transformer
from lark.exceptions import LarkError, VisitError

COMMANDS = ("fields", "filter", "sort", "limit", "display")
FUNCTIONS = ("ispresent", "isempty", "isblank", "strcontains")
SHOWN = ["@timestamp", "@message"]  # where a query names no fields
LIMIT = 10_000  # events, unless a query says less
GRAMMAR = r"""
query: command ("|" command)*
?command: "fields"i names -> fields
    | "display"i names -> display
    | "filter"i either -> filter
    | "sort"i order ("," order)* -> sort
    | "limit"i WHOLE -> limit
names: FIELD ("," FIELD)*
order: FIELD [WAY]
?either: both ("or"i both)*
?both: one ("and"i one)*
?one: "(" either ")"
    | "not"i one -> negated
    | FIELD SIGN value -> compared
    | FIELD "like"i pattern -> like
    | FIELD "not"i "like"i pattern -> unlike
    | FIELD "=~" REGEX -> like
    | FIELD "in"i "[" value ("," value)* "]" -> within
    | FIELD "not"i "in"i "[" value ("," value)* "]" -> without
    | FUNCTION "(" FIELD ("," value)* ")" -> called
?pattern: REGEX | STRING
?value: STRING | NUMBER | WORD

FIELD: /@?[A-Za-z_][\w.@-]*/ | /`[^`]+`/
FUNCTION: /[A-Za-z_]+(?=\s*\()/
SIGN: "!=" | ">=" | "<=" | "=" | ">" | "<"
WAY: "asc"i | "desc"i
WHOLE: /\d+/
NUMBER: /-?\d+(\.\d+)?([eE][-+]?\d+)?/
STRING: /"(?:\\.|[^"\\])*"/ | /'(?:\\.|[^'\\])*'/
REGEX: /\/(?:\\.|[^\/\\])+\//
WORD: /true|false/i
COMMENT: /#[^\n]*/
%ignore /\s+/
%ignore COMMENT
"""
# A bar divides the commands of a query, but not within a text or a regular expression.
_TEXT = r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|/(?:\\.|[^/\\])+/|#[^\n]*)"""
TEXT, PIECES = re.compile(_TEXT), re.compile(rf"{_TEXT}|(\|)")
CALL = re.compile(r"([A-Za-z_]\w*)\s*\(")
WORDS = ("filter", "and", "or", "not")  # after which a bracket opens a group


class QueryError(ValueError):
    """The query is none, or asks for what is not done here; the text says which."""


@dataclass(frozen=True)
class Event:
    """One line of a log."""

    number: int
    timestamp: int  # milliseconds, as is the next
    ingested: int
    message: str
    stream: str
    group: str


@dataclass
class Query:
    """A parsed query; `run` answers it."""

    shown: list[str] = field(default_factory=list)
    tests: list[Callable[[Fields], bool]] = field(default_factory=list)
    orders: list[tuple[str, bool]] = field(default_factory=list)  # and whether it descends
    limit: int = LIMIT

    def run(self, events: Iterable[Event]) -> list[dict[str, str]]:
        """The fields of the events that pass, the newest first unless sorted otherwise."""
        found = [fields for each in events if self._passes(fields := Fields(each))]
        found.reverse()
        found.sort(key=lambda fields: fields.event.timestamp, reverse=True)
        for name, descends in reversed(self.orders):
            found.sort(key=lambda fields, name=name: _rank(fields[name]), reverse=descends)
        return [self._told(fields) for fields in found[: self.limit]]

    def _passes(self, fields: Fields) -> bool:
        return all(test(fields) for test in self.tests)

    def _told(self, fields: Fields) -> dict[str, str]:
        told = {name: fields.text(name) for name in self.shown or SHOWN}
        told = {name: text for name, text in told.items() if text is not None}
        return {**told, "@ptr": str(fields.event.number)}


class Fields:
    """An event's fields: Insights' own with ``@``, and those of a message that is JSON."""

    def __init__(self, event: Event) -> None:
        self.event, self._found = event, None

    def __getitem__(self, name: str) -> object:
        """A field's value; None if the event has no such field."""
        own = {
            "@message": self.event.message,
            "@timestamp": self.event.timestamp,
            "@ingestionTime": self.event.ingested,
            "@logStream": self.event.stream,
            "@log": self.event.group,
            "@ptr": str(self.event.number),
        }
        return own[name] if name in own else self._discovered().get(name)

    def _discovered(self) -> dict[str, object]:
        if self._found is None:
            try:
                self._found = dict(_flat(json.loads(self.event.message)))
            except (ValueError, RecursionError):
                self._found = {}
        return self._found

    def text(self, name: str) -> str | None:
        value = self[name]
        if value is not None and name in ("@timestamp", "@ingestionTime"):
            moment = datetime.datetime.fromtimestamp(value / 1000, datetime.UTC)
            return f"{moment:%Y-%m-%d %H:%M:%S}.{value % 1000:03}"
        return None if value is None else _text(value)


def parsed(query: str) -> Query:
    """A query that can be run.

    Raises:
        QueryError: it cannot.
    """
    for piece in _commands(query):
        name = re.match(r"\w*", piece)[0]
        if name.lower() not in COMMANDS:
            raise QueryError(_undone("command", name or piece[:20], COMMANDS))
        for function in CALL.findall(TEXT.sub("", piece)):
            if function.lower() not in (*FUNCTIONS, *WORDS):
                raise QueryError(_undone("function", function, FUNCTIONS))
    try:
        return _Compiler().transform(PARSER.parse(query))
    except VisitError as error:
        raise error.orig_exc from None
    except LarkError as error:
        raise QueryError(
            f"{query!r} is no query that local_sagemaker answers: {str(error).splitlines()[0]}"
        ) from None


def _undone(kind: str, name: str, known: tuple[str, ...]) -> str:
    return f"the {kind} '{name}' is not done by local_sagemaker, which has {', '.join(known)}"


PARSER = Lark(GRAMMAR, start="query", parser="earley", lexer="dynamic")


def _commands(query: str) -> list[str]:
    """The commands of a query, without comments."""
    pieces, start = [""], 0
    for found in PIECES.finditer(query):
        pieces[-1] += query[start : found.start()]
        start = found.end()
        if found[2]:
            pieces.append("")
        elif not found[0].startswith("#"):
            pieces[-1] += found[0]
    pieces[-1] += query[start:]
    return [piece.strip() for piece in pieces]


class _Compiler(Transformer):
    def query(self, parts: list) -> Query:
        query = Query()
        for act in parts:
            act(query)
        return query

    def fields(self, parts: list) -> Callable[[Query], None]:
        return lambda query: query.shown.extend(parts[0])

    def display(self, parts: list) -> Callable[[Query], None]:
        return lambda query: setattr(query, "shown", parts[0])

    def names(self, parts: list) -> list[str]:
        return list(map(_name, parts))

    def filter(self, parts: list) -> Callable[[Query], None]:
        return lambda query: query.tests.append(parts[0])

    def sort(self, parts: list) -> Callable[[Query], None]:
        return lambda query: query.orders.extend(parts)

    def order(self, parts: list) -> tuple[str, bool]:
        name, way = parts
        return _name(name), way is not None and way.lower() == "desc"

    def limit(self, parts: list) -> Callable[[Query], None]:
        return lambda query: setattr(query, "limit", int(parts[0]))

    def either(self, tests: list) -> Callable:
        return lambda fields: any(test(fields) for test in tests)

    def both(self, tests: list) -> Callable:
        return lambda fields: all(test(fields) for test in tests)

    def negated(self, parts: list) -> Callable:
        (test,) = parts
        return lambda fields: not test(fields)

    def compared(self, parts: list) -> Callable:
        (name, sign, value), compare = parts, None
        name, value = _name(name), _value(value)
        compare = SIGNS[sign]
        return lambda fields: _compared(fields[name], value, compare, sign)

    def like(self, parts: list) -> Callable:
        name, search = _name(parts[0]), _search(parts[1])
        return lambda fields: (found := fields[name]) is not None and search(_text(found))

    def unlike(self, parts: list) -> Callable:
        like = self.like(parts)
        return lambda fields: not like(fields)

    def within(self, parts: list) -> Callable:
        name, values = _name(parts[0]), [_value(each) for each in parts[1:]]
        equal = SIGNS["="]
        return lambda fields: any(_compared(fields[name], each, equal, "=") for each in values)

    def without(self, parts: list) -> Callable:
        within = self.within(parts)
        return lambda fields: not within(fields)

    def called(self, parts: list) -> Callable:
        function, name, *values = parts
        function, name, values = function.lower(), _name(name), [_text(_value(v)) for v in values]
        if len(values) != (function == "strcontains"):
            raise QueryError(f"the function {function} does not take {1 + len(values)} values")
        if function == "ispresent":
            return lambda fields: fields[name] is not None
        if function == "strcontains":
            return lambda fields: values[0] in (fields.text(name) or "")
        strip = str.strip if function == "isblank" else str
        return lambda fields: not strip(fields.text(name) or "")


SIGNS: dict[str, Callable] = {
    "=": lambda found, value: found == value,
    "!=": lambda found, value: found != value,
    "<": lambda found, value: found < value,
    "<=": lambda found, value: found <= value,
    ">": lambda found, value: found > value,
    ">=": lambda found, value: found >= value,
}


def _compared(found: object, value: object, compare: Callable, sign: str) -> bool:
    """Numbers compare as numbers, everything else as texts; what is absent equals nothing."""
    if found is None:
        return sign == "!="
    numbers = _number(found), _number(value)
    if None not in numbers:
        return compare(*numbers)
    return compare(_text(found), _text(value))


def _name(token: Token) -> str:
    return str(token).strip("`")


def _value(token: Token) -> object:
    if token.type == "STRING":
        return re.sub(r"\\(.)", r"\1", token[1:-1])
    return token.lower() == "true" if token.type == "WORD" else float(token)


def _search(token: Token) -> Callable[[str], bool]:
    if token.type == "STRING":
        text = _value(token)
        return lambda found: text in found
    try:
        search = re.compile(token[1:-1].replace(r"\/", "/")).search
    except re.error as error:
        raise QueryError(f"{token} is no regular expression: {error}") from None
    return lambda found: search(found) is not None


def _flat(value: object, above: str = "") -> Iterable[tuple[str, object]]:
    """The values of a JSON object by their paths, as ``a.b`` and ``a.0``."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    if not isinstance(value, (dict, list)):
        return
    for name, each in items:
        path = f"{above}{name}"
        if isinstance(each, (dict, list)):
            yield from _flat(each, f"{path}.")
        elif each is not None:
            yield path, each


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _rank(value: object) -> tuple:
    """An order of values of any kind: absent ones first, then numbers, then texts."""
    if value is None:
        return (0, 0.0, "")
    number = _number(value)
    return (1, number, "") if number is not None else (2, 0.0, _text(value))
