"""Archives are unpacked below their folder, or refused."""

import io
import tarfile

import pytest

from local_sagemaker.runtime.archive import unpack


def archive(path, name, **members):
    with tarfile.open(path, "w:gz") as target:
        member = tarfile.TarInfo(name)
        member.size = 1
        for key, value in members.items():
            setattr(member, key, value)
        target.addfile(member, io.BytesIO(b"x"))


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("../escape", {}),
        ("a/../../escape", {}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}),
        ("pipe", {"type": tarfile.FIFOTYPE, "size": 0}),
    ],
)
def test_archives_that_reach_outside_are_refused(tmp_path, name, members):
    archive(tmp_path / "a.tar.gz", name, **members)
    with pytest.raises(tarfile.TarError):
        unpack(tmp_path / "a.tar.gz", tmp_path / "in/back")
    assert not (tmp_path / "escape").exists() and not (tmp_path / "in/escape").exists()


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"no archive")
    with pytest.raises((tarfile.TarError, OSError)):
        unpack(tmp_path / "a.tar.gz", tmp_path / "back")
