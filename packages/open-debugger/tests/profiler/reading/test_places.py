"""`profiler/reading/places.py`: archives that are damaged, or mean no good."""

import io
import random
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_debugger.profiler.reading.places import Folder, opened, unpacked
from open_debugger.profiler.recording import RecordingError

FILE = "profiler-output/system/incremental/x/1.algo-1.json"


def member(name: str, data: bytes = b"x", **changes) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in changes.items():
        setattr(info, key, value)
    return info, io.BytesIO(data)


def pack(file: Path, *members, mode="w:gz") -> Path:
    with tarfile.open(file, mode) as tar:
        for info, data in members:
            tar.addfile(info, data)
    return file


def unpack(file: Path) -> tuple[dict[str, bytes], list[str]]:
    notes: list[str] = []
    assert opened(file).names == [file.name]
    with unpacked(opened(file), file.name, notes) as folder:
        contents = dict(folder.contents(folder.names))
        root = folder.root
    assert not root.exists()
    return contents, notes


@pytest.mark.parametrize("mode", ["w:gz", "w"])
def test_only_what_is_below_profiler_output_is_unpacked(tmp_path, mode):
    names = [f"./{FILE}", f"job/{FILE}", "other/data.bin", "profiler-outputs/a"]
    made = pack(tmp_path / "output.tar.gz", *(member(name, name.encode()) for name in names),
                mode=mode)  # fmt: skip
    assert unpack(made) == ({FILE: names[0].encode(), f"job/{FILE}": names[1].encode()}, [])


@pytest.mark.parametrize(
    "bad",
    [
        member("profiler-output/../../escaped"),
        member("profiler-output/x/../../../escaped"),
        member("profiler-output/link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("profiler-output/hard", b"", type=tarfile.LNKTYPE, linkname="../../escaped"),
        member("profiler-output/device", b"", type=tarfile.CHRTYPE),
        member("profiler-output/pipe", b"", type=tarfile.FIFOTYPE),
        member(f"{FILE}/below-a-file"),
        member("profiler-output/system"),
    ],
    ids=lambda each: each[0].name,
)
def test_links_and_ways_out_are_left_out_and_said(tmp_path, bad):
    made = pack(tmp_path / "output.tar.gz", member(FILE), bad, member(f"{FILE}2"))
    contents, notes = unpack(made)
    assert contents == {FILE: b"x", f"{FILE}2": b"x"}
    assert notes == ["output.tar.gz: 1 members that are no plain files were left out."]
    assert [each.name for each in tmp_path.iterdir()] == ["output.tar.gz"]


def test_an_absolute_name_stays_within(tmp_path):
    made = pack(tmp_path / "output.tar.gz", member(f"/{FILE}"))
    assert unpack(made) == ({FILE: b"x"}, [])


def test_folders_and_rights_are_no_trouble(tmp_path):
    folder = member("profiler-output", b"", type=tarfile.DIRTYPE, mode=0)
    made = pack(tmp_path / "output.tar.gz", folder, member(FILE, mode=0), member(FILE, b"later"))
    assert unpack(made) == ({FILE: b"later"}, [])


def test_what_came_before_the_damage_is_read(tmp_path):
    noise = random.Random(0).randbytes(300_000)
    made = pack(tmp_path / "output.tar.gz", member(FILE), member(f"{FILE}2", noise))
    made.write_bytes(made.read_bytes()[: made.stat().st_size // 2])
    contents, notes = unpack(made)
    assert contents[FILE] == b"x"
    assert len(notes) == 1
    assert notes[0].startswith("output.tar.gz: the archive is damaged; what came before was read (")


@settings(max_examples=60, deadline=None)
@given(st.binary(), st.booleans(), st.integers(0, 2000))
def test_no_bytes_raise(tmp_path_factory, data, real, at):
    file = tmp_path_factory.mktemp("damaged") / "output.tar.gz"
    if real:
        whole = pack(file, member(FILE, bytes(range(256)) * 3)).read_bytes()
        file.write_bytes(whole[: at % len(whole)] + data + whole[at % len(whole) :])
    else:
        file.write_bytes(data)
    unpack(file)


def test_a_folder_s_files_are_listed_in_order(tmp_path):
    for name in ("b/2", "a", "b/1"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    folder = Folder(tmp_path)
    assert folder.names == ["a", "b/1", "b/2"]
    assert dict(folder.contents(folder.names)) == {name: name.encode() for name in folder.names}


def test_a_profiler_output_folder_comes_with_the_reports_beside_it_and_nothing_else(tmp_path):
    for name in ("profiler-output/a", "rule-output/b", "debug-output/c", "profiler-output2/d"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert opened(tmp_path / "profiler-output").names == ["profiler-output/a", "rule-output/b"]
    assert len(opened(tmp_path).names) == 4


def test_a_home_folder_may_be_short(tmp_path, monkeypatch):
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "a").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert opened("~/recorded").names == ["a"]


def test_a_place_that_cannot_be_asked_is_an_error(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(RecordingError, match="s3://a/b: it cannot be listed: Unable to locate cre"):
        opened("s3://a/b")
