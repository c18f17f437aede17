"""A requirements.txt read as pip reads it: pip's own parser is asked as well."""

import codecs

import pytest
from pip._internal.exceptions import InstallationError
from pip._internal.network.session import PipSession
from pip._internal.req.req_file import parse_requirements

from local_sagemaker.runtime.requirements_file import RequirementsFileError, read

PLAIN = "packaging\nPyYAML>=5 # why\n"
FILES = {
    "plain": PLAIN.encode(),
    "CRLF": PLAIN.replace("\n", "\r\n").encode(),
    "UTF-8 with BOM": codecs.BOM_UTF8 + PLAIN.encode(),
    "UTF-16 of PowerShell": codecs.BOM_UTF16_LE + PLAIN.replace("\n", "\r\n").encode("utf-16-le"),
    "UTF-16 the other way": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "UTF-32": codecs.BOM_UTF32_LE + PLAIN.encode("utf-32-le"),
    "coding": "# -*- coding: latin-1 -*-\nnumpy # für\n".encode("latin-1"),
    "no newline at the end": b"numpy",
    "comments": b"# all\nnumpy\t# a tab before\n  # indented\nboto3#egg\npandas\n",
    "continued": b"numpy >=2, \\\n  <3\nboto3 \\\n# a comment ends it\npandas\\\n",
    "continued, CRLF": b"numpy >=2, \\\r\n  <3\r\n",
    "a comment goes on": b"# comment \\\nnumpy\n",
    "variables": b"numpy==${NUMPY_WANTED}\nboto3==${NOT_SET_AT_ALL}\npandas==$NUMPY_WANTED\n",
    "other files": b"-r more.txt\n--requirement=more.txt\n-rmore.txt\n-r 'a b.txt'\nnumpy\n",
    "below": b"-r deep/nested.txt\n",
    "options": b"--pre\n-i https://example.invalid/simple\n--find-links wheels\nnumpy\n",
    "markers": b"numpy ; python_version < '3'\nboto3[crt] >= 1 ; sys_platform == 'linux'\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMPY_WANTED", "2.2.6")
    (tmp_path / "more.txt").write_text("pandas>=2\n")
    (tmp_path / "a b.txt").write_text("tqdm\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/nested.txt").write_text("-r beside.txt\nnumpy\n")
    (tmp_path / "deep/beside.txt").write_text("-r ../more.txt\n")
    return tmp_path


def write(folder, content):
    (file := folder / "requirements.txt").write_bytes(content)
    return file


@pytest.mark.parametrize("name", FILES)
def test_the_requirements_are_those_that_pip_reads(folder, name):
    file = write(folder, FILES[name])
    pips = [each.requirement for each in parse_requirements(str(file), PipSession())]
    assert pips
    assert [each.text for each in read(file) if not each.text.startswith("-")] == pips


def test_a_line_is_told_with_its_file_and_number(folder):
    file = write(folder, b"# first\nnumpy \\\n >=2\n-r more.txt\n--pre\n")
    found = [(each.file.name, each.number, each.text) for each in read(file)]
    assert found == [
        ("requirements.txt", 2, "numpy  >=2"),
        ("more.txt", 1, "pandas>=2"),
        ("requirements.txt", 5, "--pre"),
    ]


@pytest.mark.parametrize("option", ["-c more.txt", "-cmore.txt", "--constraint more.txt"])
def test_constraints_are_told_apart(folder, option):
    found = list(read(write(folder, f"{option}\nnumpy\n".encode())))
    assert [(each.text, each.is_constraint) for each in found] == [
        (option, False),
        ("pandas>=2", True),
        ("numpy", False),
    ]


def test_a_file_at_an_address_is_left_to_pip(folder):
    (found,) = read(write(folder, b"-r https://example.invalid/r.txt\n"))
    assert found.text == "-r https://example.invalid/r.txt"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"-r absent.txt\n", "Could not open requirements file: .*absent.txt"),
        (b"-c absent.txt\n", "Could not open constraint file: .*absent.txt"),
        (b"-r requirements.txt\n", "requirements.txt recursively references itself"),
        (b"-r deep/loop.txt\n", "recursively references itself in .*loop.txt"),
    ],
)
def test_what_pip_refuses(folder, content, words):
    (folder / "deep/loop.txt").write_text("-r ../requirements.txt\n")
    file = write(folder, content)
    with pytest.raises(InstallationError, match=words):
        list(parse_requirements(str(file), PipSession()))
    with pytest.raises(RequirementsFileError, match=words):
        list(read(file))


def test_an_encoding_that_is_none_is_told(folder):
    with pytest.raises(RequirementsFileError, match="unknown encoding: nosuch"):
        list(read(write(folder, b"# coding: nosuch\nnumpy\n")))
    with pytest.raises(RequirementsFileError, match="Could not read requirements file"):
        list(read(write(folder, codecs.BOM_UTF16_LE + b"x")))
