"""`profiler/reading/lines.py`: whole lines survive, and what is left out is counted."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_debugger.profiler.reading.lines import LeftOut, objects

GOOD = [{"a": 1}, {"b": [None, "é"]}, {}]


def read(data: bytes, file: str = "f"):
    left = LeftOut()
    return objects(file, data, left), left.notes()


def text(*rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n  \n"])
def test_whole_files_are_read_without_a_word(end):
    assert read(text(*GOOD).replace(b"\n", end)) == (GOOD, [])
    assert read(text(*GOOD).rstrip()) == (GOOD, [])


@pytest.mark.parametrize("data", [b"", b"\n \r\n"])
def test_an_empty_file_is_said(data):
    assert read(data) == ([], ["f: nothing was read (empty)."])


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"a": 1', "not JSON"),
        (b"\xff\x00{}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[{}]", "not a JSON object"),
        (b"7", "not a JSON object"),
        (b"null", "not a JSON object"),
    ],
)
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_bad_line_is_left_out_wherever_it_is(bad, reason, at):
    lines = text(*GOOD).splitlines()
    lines.insert(at, bad)
    notes = [f"f: 1 of 4 lines were left out (1 {reason})."]
    assert read(b"\n".join(lines) + b"\n") == (GOOD, notes)


def test_only_a_last_line_without_its_end_is_cut_off():
    whole = text(*GOOD)
    notes = ["f: 1 of 4 lines were left out (1 cut off at the end)."]
    assert read(whole + b'{"Type": "c') == (GOOD, notes)
    notes = ["f: 1 of 4 lines were left out (1 not JSON)."]
    assert read(whole + b'{"Type": "c\n') == (GOOD, notes)
    assert read(b'{"Type": "c\n' + whole.rstrip()) == (GOOD, notes)
    assert read(whole + b"\x00\x00") == (GOOD, notes)


def test_lines_that_are_json_only_together_are_not_taken():
    data = b'{"a": [1\n{"valid": 1}\n2]}\n'
    assert read(data)[0] == [{"valid": 1}]
    assert read(b"[1\n{}\n2]\n")[0] == [{}]


junk = st.binary(max_size=30).filter(lambda line: b"\n" not in line and b"\r" not in line)
rows = st.dictionaries(st.text(max_size=3), st.none() | st.integers() | st.text(max_size=3))


@settings(deadline=None)
@given(st.lists(rows | junk))
def test_the_valid_lines_among_junk_all_survive_in_their_order(lines):
    data = b"\n".join(json.dumps(x).encode() if isinstance(x, dict) else x for x in lines)
    found = iter(read(data)[0])
    assert all(row in found for row in lines if isinstance(row, dict))  # a subsequence


@settings(max_examples=60, deadline=None)
@given(st.binary())
def test_no_bytes_raise(data):
    assert all(type(row) is dict for row in read(data)[0])


def test_of_many_damaged_files_the_worst_are_named_and_the_rest_summed_up():
    left = LeftOut()
    for number in range(1, 6):
        objects(f"f{number}", text(*GOOD) + b"x\n" * number, left)
    left.line("f5", "odd")
    assert left.notes() == [
        "f5: 6 of 8 lines were left out (5 not JSON, 1 odd).",
        "f4: 4 of 7 lines were left out (4 not JSON).",
        "f3: 3 of 6 lines were left out (3 not JSON).",
        "2 further files: 3 of 9 lines were left out.",
    ]


def test_files_that_were_not_read_are_summed_up_by_their_reason():
    left = LeftOut()
    for number in range(5):
        left.file(f"f{number}", "empty")
    left.file("g", "broken")
    assert left.notes() == [
        "f0, f1, f2 and 2 further files: nothing was read (empty).",
        "g: nothing was read (broken).",
    ]
