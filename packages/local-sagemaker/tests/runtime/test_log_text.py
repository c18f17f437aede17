"""Lines as AWS's logs have them: control characters in octal, nothing lost of long ones."""

import pytest

from local_sagemaker.runtime.log_text import EVENT_BYTES, decoded, escaped, pieces, segments, whole


def test_control_characters_are_told_in_octal_and_other_text_is_left():
    assert escaped("a\tb\rc\x1b[0md\x00\x7f") == "a#011b#015c#033[0md#000#177"
    assert escaped("ä € 🐶 #011 \\t") == "ä € 🐶 #011 \\t"
    assert decoded(b"\xff\tx") == "\N{REPLACEMENT CHARACTER}#011x"


def test_a_line_within_cloudwatchs_limit_is_one_event():
    assert list(pieces("x" * EVENT_BYTES)) == ["x" * EVENT_BYTES]
    assert list(pieces("")) == [""]


@pytest.mark.parametrize("character", ["x", "ä", "€", "🐶"])
def test_a_longer_one_is_several_and_nothing_is_lost(character):
    text = "y" + character * EVENT_BYTES
    found = list(pieces(text))
    assert "".join(found) == text
    assert len(found) == 1 + len(character.encode())
    assert all(len(each.encode()) <= EVENT_BYTES for each in found)


@pytest.mark.parametrize("text", ["abc", "abä", "ab€", "ab🐶"])
def test_no_character_is_cut_in_two(text):
    data = text.encode()
    assert whole(data) == len(data)
    for missing in range(1, len(data) - 2):
        assert whole(data[:-missing]) == 2
    assert whole(b"") == 0
    assert whole(b"\x80" * 5) == 5  # no text: it can be cut anywhere


def test_the_states_of_a_progress_bar():
    assert segments("0%#01550%#015100%") == ["0%", "#01550%", "#015100%"]
    assert segments("plain") == ["plain"]
