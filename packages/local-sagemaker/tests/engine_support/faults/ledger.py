"""What the engine acknowledged, and what it is found to hold."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

Fact = tuple[str, ...]  # a kind, and the names of one thing of that kind


class Anything:
    """Equal to whatever is there: for values that only the answer would have told."""

    def __eq__(self, other: object) -> bool:
        return other is not None

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANYTHING = Anything()


class Ledger:
    """The facts of one worker: acknowledged ones, and those of its one request in flight."""

    def __init__(self) -> None:
        self.facts: dict[Fact, object] = {}
        self.in_flight: dict[Fact, object] = {}
        self.acknowledged = 0

    @contextmanager
    def change(self, changes: dict[Fact, object]) -> Iterator[dict]:
        """The request inside the block makes `changes` (None is: gone); its answer may refine them.

        If the block raises, the changes stay in flight: they may have been made, all, or none. An
        engine that says that its disk has no room has made none.
        """
        self.in_flight = changes
        try:
            yield changes
        except ClientError as error:
            if says_full(error):
                self.in_flight = {}
            raise
        self.in_flight = {}
        for fact, value in changes.items():
            self.facts[fact] = value
            if value is None:
                del self.facts[fact]
        self.acknowledged += 1


def says_full(error: ClientError) -> bool:
    """Whether the engine refused a request as its disk has no room."""
    return error.response["ResponseMetadata"]["HTTPStatusCode"] == 507


def judge(ledgers: list[Ledger], found: dict[Fact, object]) -> tuple[list[str], list[str]]:
    """What was acknowledged and is lost or altered, and what is there that nobody asked for.

    Requests that were in flight are settled: what was found of them is acknowledged from now on.
    """
    for ledger in ledgers:
        # Anything stands on the left, where its own comparison is asked.
        if all(value == found.get(fact) for fact, value in ledger.in_flight.items()):
            made = {fact: found.get(fact) for fact in ledger.in_flight}
            ledger.facts = {f: v for f, v in (ledger.facts | made).items() if v is not None}
        ledger.in_flight = {}
    expected = {fact: value for ledger in ledgers for fact, value in ledger.facts.items()}
    lost = [
        f"{fact}: acknowledged {value!r}, found {found.get(fact)!r}"
        for fact, value in expected.items()
        if found.get(fact) != value
    ]
    invented = [f"{fact}: {value!r}" for fact, value in found.items() if fact not in expected]
    return lost, invented
