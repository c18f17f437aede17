"""Output is read to its end, and lost lines are told of, whatever becomes of the log."""

import os
import threading

import pytest

from debugger_support.processes import wait_until
from local_sagemaker.runtime import output
from local_sagemaker.runtime.log_text import EVENT_BYTES


class Log:
    """Lines that were written; while it is `full`, none can be."""

    def __init__(self):
        self.lines, self.full, self.refused = [], False, 0

    def put(self, lines):
        if self.full:
            self.refused += 1
            raise OSError("no space left")
        self.lines += lines


@pytest.fixture
def printing():
    """A log, and the end of a pipe that is read into it."""
    log, (descriptor, end) = Log(), os.pipe()

    def read():
        written = output.Log(log.put)
        for lines in output.batches(descriptor):
            written.write(lines)
        written.flush()

    reader = threading.Thread(target=read)
    reader.start()
    yield log, end, reader
    os.close(descriptor)


def test_lines_come_whole_and_the_last_one_without_its_end(printing):
    log, end, reader = printing
    os.write(end, b"one\ntw")
    wait_until(lambda: log.lines == ["one"], 5)
    os.write(end, b"o\n\nthree")
    os.close(end)
    reader.join(5)
    assert log.lines == ["one", "two", "", "three"]


def test_a_line_that_does_not_end_is_cut_between_characters(printing):
    log, end, reader = printing
    text = "é" * EVENT_BYTES  # two bytes each
    with os.fdopen(os.dup(end), "wb") as file:
        file.write(b"-" + text.encode())
        file.flush()
        wait_until(lambda: log.lines, 5)
    os.close(end)
    reader.join(5)
    assert "".join(log.lines) == "-" + text
    assert max(len(line.encode()) for line in log.lines) <= EVENT_BYTES


def test_a_log_that_cannot_be_written_stops_nothing_and_says_what_is_lost(printing):
    log, end, reader = printing
    os.write(end, b"before\n")
    wait_until(lambda: log.lines, 5)
    log.full = True
    for line in (b"lost\nlost too\n", b"and this\n"):
        refused = log.refused
        os.write(end, line)
        wait_until(lambda refused=refused: log.refused > refused, 5)
    log.full = False
    os.write(end, b"after\n")
    os.close(end)
    reader.join(5)
    assert log.lines == [
        "before",
        "local_sagemaker: 3 lines of output before this one were lost: no space left",
        "after",
    ]


def test_what_was_lost_last_is_told_when_there_is_room_again(printing):
    log, end, reader = printing
    log.full = True
    os.write(end, b"lost\n")
    os.close(end)
    wait_until(lambda: log.refused > 1, 5)
    log.full = False
    reader.join(5)
    assert [line for line in log.lines if "1 lines of output" in line]
