"""Getting photos: drawn, downloaded with breaks, unpacked, split, or used where they are."""

import hashlib
import http.server
import io
import stat
import tarfile
import threading
import zipfile
from itertools import pairwise

import pytest

from course import dataset, download
from course.sample_photos import sample
from tests.course.test_dataset import CLASSES, photos, state, write_image  # noqa: F401

# Fixtures that are imported are named again as arguments.
# ruff: noqa: F811


# ------------------------------------------------------------------------------------------- source


def test_no_data_draws_the_sample_and_draws_it_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "default_per_class", lambda classes: (1, 1, 1))
    folder = download.source(None, 2, tmp_path)
    assert dataset.check(folder).classes == ["016.Beagle", "029.Border_collie"]
    monkeypatch.setattr(sample, "_draw_all", lambda tasks: pytest.fail("drew it again"))
    assert download.source(None, 2, tmp_path) == folder


def test_133_breeds_are_the_default(tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(sample, "make", lambda folder, **kw: asked.update(kw) or folder)
    download.source(None, None, tmp_path)
    assert asked == {"classes": 133}


def test_a_folder_is_used_where_it_is_and_left_as_it_is(photos, tmp_path):
    before = state(photos)
    assert download.source(photos, None, tmp_path / "build") == photos
    assert download.source(str(photos), 2, tmp_path / "build") == photos
    assert state(photos) == before
    assert not (tmp_path / "build").exists()


def test_one_subfolder_may_hold_the_splits(photos, tmp_path):
    outer = tmp_path / "outer"
    outer.mkdir()
    photos.rename(outer / "dogImages")
    (outer / "__MACOSX" / "train").mkdir(parents=True)
    assert download.source(outer, None, tmp_path) == outer / "dogImages"


def test_two_data_sets_in_one_folder_are_refused(photos, tmp_path):
    outer = tmp_path / "outer"
    for name in ("a", "b"):
        for split in dataset.SPLITS:
            (outer / name / split).mkdir(parents=True)
    with pytest.raises(ValueError, match=r"several data sets: a, b\. Give the path of one"):
        download.source(outer, None, tmp_path)


def test_more_classes_than_there_are(photos, tmp_path):
    with pytest.raises(ValueError, match=r"classes=3, and .*photos has 2\. Leave `classes` away"):
        download.source(photos, 3, tmp_path)


def test_data_that_does_not_exist(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*dogs\.zip.*drawn photos"):
        download.source(tmp_path / "dogs.zip", None, tmp_path)


def packed(photos, file):
    """The photos in an archive, in a folder `dogImages`."""
    members = [(f, f"dogImages/{f.relative_to(photos)}") for f in sorted(photos.rglob("*.jpg"))]
    if file.suffix == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            for path, name in members:
                archive.write(path, name)
    else:
        with tarfile.open(file, "w:gz") as archive:
            for path, name in members:
                archive.add(path, name)
    return file


@pytest.mark.parametrize("name", ["dogs.zip", "dogs.tar.gz"])
def test_an_archive_is_extracted_once_into_the_build_folder(photos, tmp_path, name):
    file, build = packed(photos, tmp_path / name), tmp_path / "build"
    folder = download.source(file, None, build)
    assert folder.is_relative_to(build)
    assert folder.name == "dogImages"
    assert dataset.check(folder).images == 8
    marker = folder / "train" / CLASSES[0] / "0.jpg"
    seen = marker.stat().st_mtime_ns, marker.stat().st_ino
    assert download.source(file, None, build) == folder
    assert (marker.stat().st_mtime_ns, marker.stat().st_ino) == seen


def test_a_changed_archive_is_extracted_again(photos, tmp_path):
    file, build = packed(photos, tmp_path / "dogs.zip"), tmp_path / "build"
    first = download.source(file, None, build)
    write_image(photos / "train" / CLASSES[0] / "7.jpg")
    second = download.source(packed(photos, file), None, build)
    assert first != second
    assert dataset.check(second).images == 9


def evil_zip(file, name, mode=0o644):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("dogImages/train/a/1.jpg", b"x")
        member = zipfile.ZipInfo(name)
        member.external_attr = mode << 16
        archive.writestr(member, b"/etc/passwd")
    return file


def evil_tar(file, name, kind=tarfile.REGTYPE):
    with tarfile.open(file, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        member.size = 4 if kind == tarfile.REGTYPE else 0
        archive.addfile(member, io.BytesIO(b"evil"))
    return file


@pytest.mark.parametrize("name", ["../evil", "train/../../evil", "/evil", "..\\evil", "C:\\evil"])
@pytest.mark.parametrize("pack", [evil_zip, evil_tar])
def test_members_that_point_out_of_the_folder_are_refused(tmp_path, pack, name):
    file = pack(tmp_path / "dogs.zip", name)
    with pytest.raises(ValueError, match="points out of the folder: nothing of it was extracted"):
        download.source(file, None, tmp_path / "deep" / "build")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["dogs.zip"]


def test_links_are_refused(tmp_path):
    link = evil_zip(tmp_path / "dogs.zip", "train/link", stat.S_IFLNK | 0o777)
    with pytest.raises(ValueError, match=r"'train/link' that is a link"):
        download.source(link, None, tmp_path / "build")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
        with pytest.raises(ValueError, match=r"'train/link' that is a link or a device"):
            download.source(evil_tar(tmp_path / "d.tgz", "train/link", kind), None, tmp_path / "b")
    assert not any(tmp_path.rglob("passwd"))


def test_a_cut_archive_leaves_nothing_behind(photos, tmp_path):
    file = packed(photos, tmp_path / "dogs.tar.gz")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"dogs\.tar\.gz can't be extracted.*Fetch it again"):
        download.source(file, None, tmp_path / "build")
    assert list((tmp_path / "build").iterdir()) == []


def test_a_file_that_is_no_archive(tmp_path):
    (tmp_path / "dogs.zip").write_text("<html>Not found</html>")
    with pytest.raises(ValueError, match=r"neither a \.zip nor a \.tar\.gz archive.*22 bytes"):
        download.source(tmp_path / "dogs.zip", None, tmp_path)


def test_an_archive_without_splits_says_so(tmp_path):
    with zipfile.ZipFile(tmp_path / "cats.zip", "w") as archive:
        archive.writestr("cats/1.jpg", b"x")
    with pytest.raises(FileNotFoundError, match="has no train/, valid/ and test/"):
        download.source(tmp_path / "cats.zip", None, tmp_path / "build")


# ------------------------------------------------------------------------------- chosen and origin


def test_what_is_given_goes_before_the_environment(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nowhere"))
    assert download.chosen(photos) == photos
    for nothing in (None, ""):
        with pytest.raises(FileNotFoundError, match=r"there is no .*nowhere"):
            download.chosen(nothing)


def test_the_number_of_breeds_comes_from_the_environment(monkeypatch):
    asked = {}
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setattr(sample, "make", lambda folder, **kw: asked.update(kw) or folder)
    monkeypatch.setenv("COURSE_CLASSES", "12")
    assert download.chosen().name == "sample-12"
    assert asked == {"classes": 12}
    monkeypatch.setenv("COURSE_CLASSES", "many")
    with pytest.raises(ValueError, match=r"CLASSES is 'many': give a number of breeds"):
        download.chosen()


def test_the_origin_names_no_path_of_this_machine(photos, tmp_path, monkeypatch):
    assert download.origin(photos) == "photos/, a folder of your own, used where it is"
    monkeypatch.setattr(download, "ROOT", tmp_path)
    monkeypatch.setattr(download, "BUILD", tmp_path / "build")
    drawn = sample.make(tmp_path / "build" / "sample-2", classes=2, per_class=(1, 1, 1))
    assert download.origin(drawn) == "build/sample-2/, photos that this repository has drawn"
    unpacked = download.source(packed(photos, tmp_path / "d.zip"), None, tmp_path / "build")
    assert download.origin(unpacked).startswith("build/d-")
    assert download.origin(unpacked).endswith("/dogImages/, unpacked from an archive")
    split = download.source(classes_of(tmp_path / "mine", a=10, b=4), None, tmp_path / "build")
    assert download.origin(split).endswith("8 for training, 3 for validation, 3 for the test")


# ------------------------------------------------------------------------------------------- split


def classes_of(folder, **counts):
    """Class folders without splits, with so many photos each."""
    for name, count in counts.items():
        for i in range(count):
            write_image(folder / name / f"{i:03d}.jpg", (8, 8), seed=i)
    return folder


def names(folder, part, name):
    return sorted(file.name for file in (folder / part / name).iterdir())


def test_class_folders_alone_are_split_class_by_class(tmp_path):
    folder = classes_of(tmp_path / "mine", cat=20, dog=3)
    before = state(folder)
    made = download.source(folder, None, tmp_path / "build")
    report = dataset.check(made)
    assert report.counts == {
        "train": {"cat": 14, "dog": 1}, "valid": {"cat": 3, "dog": 1}, "test": {"cat": 3, "dog": 1}
    }  # fmt: skip
    together = [name for part in dataset.SPLITS for name in names(made, part, "cat")]
    assert sorted(together) == names(tmp_path, "mine", "cat")  # each photo is in one split
    assert together != sorted(together)  # and chance has chosen which
    assert state(folder) == before


def test_the_same_photos_and_seed_give_the_same_split_and_another_seed_another(tmp_path):
    folder = classes_of(tmp_path / "mine", cat=20, dog=20)
    first = download.split(folder, tmp_path / "one")
    again = download.split(folder, tmp_path / "two")
    other = download.split(folder, tmp_path / "one", seed=1)
    assert first.name == again.name != other.name
    assert names(first, "test", "cat") == names(again, "test", "cat")
    assert names(first, "test", "cat") != names(other, "test", "cat")


def test_a_new_class_leaves_the_split_of_the_others_as_it_is(tmp_path):
    folder = classes_of(tmp_path / "mine", cat=20, dog=20)
    before = names(download.split(folder, tmp_path / "build"), "test", "cat")
    classes_of(folder, ant=9)
    after = download.split(folder, tmp_path / "build")
    assert names(after, "test", "cat") == before
    assert (after / "train" / "ant").is_dir()


def test_a_folder_that_changed_is_split_again(tmp_path):
    folder = classes_of(tmp_path / "mine", cat=5, dog=5)
    first = download.split(folder, tmp_path / "build")
    assert download.split(folder, tmp_path / "build") == first
    write_image(folder / "cat" / "new.jpg")
    assert dataset.check(download.split(folder, tmp_path / "build")).images == 11


def test_what_is_no_photo_or_in_no_class_stays_visible_after_the_split(tmp_path):
    folder = classes_of(tmp_path / "mine", cat=4, dog=4)
    write_image(folder / "lost.jpg")
    (folder / "cat" / "notes.txt").write_text("x")
    report = dataset.check(download.split(folder, tmp_path / "build"))
    assert [file.name for file in report.outside] == ["lost.jpg"]
    assert [file.name for file in report.not_images] == ["notes.txt"]


def test_a_class_too_small_to_split_is_named(tmp_path):
    folder = classes_of(tmp_path / "mine", cat=4, dog=2)
    with pytest.raises(ValueError, match="class dog has 2 photos, too few to split"):
        download.source(folder, None, tmp_path / "build")


def test_an_archive_of_class_folders_is_split(tmp_path):
    folder = classes_of(tmp_path / "pets", cat=6, dog=6)
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for file in sorted(folder.rglob("*.jpg")):
            archive.write(file, file.relative_to(tmp_path))
    made = download.source(tmp_path / "pets.zip", None, tmp_path / "build")
    assert dataset.check(made).counts["train"] == {"cat": 4, "dog": 4}


def test_a_split_of_another_name_is_not_taken_for_a_class(photos, tmp_path):
    (photos / "valid").rename(photos / "val")
    with pytest.raises(FileNotFoundError, match="it holds test, train, val"):
        download.source(photos, None, tmp_path / "build")


def test_where_links_are_impossible_photos_are_copied(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("another disk")

    folder = classes_of(tmp_path / "mine", cat=3, dog=3)
    monkeypatch.setattr(download.os, "link", refuse)
    assert dataset.check(download.split(folder, tmp_path / "build")).images == 6


# ---------------------------------------------------------------------------------------- download


class Server:
    """A real HTTP server that serves one file, and can close the connection in the middle."""

    def __init__(self, content):
        self.content, self.breaks, self.ranges = content, [], True
        self.careless = False  # about If-Range
        self.tag, self.type, self.status = '"one"', "application/zip", None
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.answer(self)

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self.http.server_port}/files/dog%20Images.zip?key=1"

    def answer(self, request):
        wanted = request.headers.get("Range")
        self.asked.append(wanted)
        if self.status:
            return request.send_error(self.status)
        same = self.careless or request.headers.get("If-Range", self.tag) == self.tag
        start = int(wanted[6:-1]) if wanted and self.ranges and same else 0
        body = self.content[start:]
        request.send_response(206 if start else 200)
        if start:
            end, total = len(self.content) - 1, len(self.content)
            request.send_header("Content-Range", f"bytes {start}-{end}/{total}")
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Content-Type", self.type)
        if self.tag:
            request.send_header("ETag", self.tag)
        request.end_headers()
        if self.breaks:
            body = body[: self.breaks.pop(0)]
            request.close_connection = True
        request.wfile.write(body)
        return None


@pytest.fixture
def archive(photos, tmp_path):
    """A zip archive of three million bytes."""
    file = packed(photos, tmp_path / "made.zip")
    with zipfile.ZipFile(file, "a") as opened:
        opened.writestr("dogImages/noise.bin", bytes(i * i % 251 for i in range(3_000_000)))
    return file.read_bytes()


@pytest.fixture
def server(archive, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Server(archive)
    yield served
    served.http.shutdown()
    served.http.server_close()


def fetch(server, tmp_path, **options):
    return download.fetch(server.address, tmp_path / "got", pause_s=0, **options)


def test_without_an_address_nothing_happens(capsys, tmp_path):
    assert download.fetch("", tmp_path / "got") is None
    assert capsys.readouterr().out == "No address given: nothing is downloaded.\n"
    assert not (tmp_path / "got").exists()


def test_a_download_is_the_file_with_its_size_and_hash_told(server, tmp_path, capsys):
    file = fetch(server, tmp_path)
    assert file == tmp_path / "got" / "dog Images.zip"
    assert file.read_bytes() == server.content
    told = capsys.readouterr().out
    assert f"{len(server.content):,} bytes, SHA-256 {digest(server)}" in told
    assert "3 of 3 MB" in told
    assert [p.name for p in file.parent.iterdir()] == [file.name]
    assert fetch(server, tmp_path) == file
    assert server.asked == [None]  # the second time it is there


def digest(server):
    return hashlib.sha256(server.content).hexdigest()


def test_a_download_that_breaks_off_goes_on_where_it_was(server, tmp_path):
    server.breaks = [1_000_000, 0, 1_200_000]
    assert fetch(server, tmp_path).read_bytes() == server.content
    starts = [0 if asked is None else int(asked[6:-1]) for asked in server.asked]
    assert len(starts) == 4
    assert all(a <= b for a, b in pairwise(starts))
    assert starts[1] == 1_000_000 and starts[3] == 2_200_000


def test_one_that_breaks_off_too_often_is_kept_for_the_next_call(server, tmp_path):
    server.breaks = [1_500_000] + [0] * download.ATTEMPTS
    with pytest.raises(download.DownloadBroken, match=r"after 1\.5 MB of 3\.0 MB.*cell again"):
        fetch(server, tmp_path)
    assert [p.suffix for p in sorted((tmp_path / "got").iterdir())] == [".part", ".json"]
    server.asked.clear()
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.asked == ["bytes=1500000-"]


@pytest.mark.parametrize("careless", [False, True])
def test_another_file_on_the_server_is_fetched_from_its_beginning(server, tmp_path, careless):
    server.careless = careless
    server.breaks = [1_500_000] + [0] * download.ATTEMPTS
    with pytest.raises(download.DownloadBroken):
        fetch(server, tmp_path)
    server.content, server.tag = server.content[:99] + b"!" + server.content[100:], '"two"'
    assert fetch(server, tmp_path).read_bytes() == server.content


def test_a_server_without_ranges_sends_the_file_again(server, tmp_path):
    server.ranges, server.breaks = False, [1_500_000]
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert len(server.asked) == 2


def test_a_server_without_tags_is_trusted_if_the_size_is_the_same(server, tmp_path):
    server.tag, server.breaks = None, [1_500_000]
    assert fetch(server, tmp_path).read_bytes() == server.content
    assert server.asked == [None, "bytes=1500000-"]


def test_the_hash_is_compared_where_one_is_given(server, tmp_path):
    with pytest.raises(ValueError, match=f"has the SHA-256 {digest(server)}, and 00ff was asked"):
        fetch(server, tmp_path, sha256="00ff")
    assert list((tmp_path / "got").iterdir()) == []
    assert fetch(server, tmp_path, sha256=digest(server).upper()).exists()


def test_a_web_page_is_refused(server, tmp_path):
    server.type = "text/html; charset=utf-8"
    with pytest.raises(ValueError, match="leads to a web page, not to a file"):
        fetch(server, tmp_path)


def test_what_is_no_archive_is_refused(server, tmp_path):
    server.content = b"quota exceeded, come again tomorrow"
    with pytest.raises(ValueError, match=r"no archive: it begins with b'quota exceeded"):
        fetch(server, tmp_path)
    assert list((tmp_path / "got").iterdir()) == []


@pytest.mark.parametrize("status", [403, 404])
def test_an_address_that_is_refused_is_not_asked_again(server, tmp_path, status):
    server.status = status
    with pytest.raises(ValueError, match=f"the server answered {status} .*Check the address"):
        fetch(server, tmp_path)
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.status = 503
    with pytest.raises(download.DownloadBroken, match="503"):
        fetch(server, tmp_path)
    assert len(server.asked) == download.ATTEMPTS


@pytest.mark.parametrize("address", ["ftp://example.org/d.zip", "dogImages.zip", "file:///d.zip"])
def test_only_http_addresses_are_taken(tmp_path, address):
    with pytest.raises(ValueError, match="has to begin with https:// or http://"):
        download.fetch(address, tmp_path)


def test_a_full_disk_is_told_before_the_download(server, tmp_path, monkeypatch):
    full = type("usage", (), {"free": 1_000_000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: full)
    with pytest.raises(OSError, match="more than is free"):
        fetch(server, tmp_path)
    assert len(server.asked) == 1


def test_a_full_disk_is_told_before_unpacking(photos, tmp_path, monkeypatch):
    full = type("usage", (), {"free": 10})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: full)
    for name in ("d.zip", "d.tar.gz"):
        with pytest.raises(OSError, match=f"{name} needs .* GB of disk"):
            download.source(packed(photos, tmp_path / name), None, tmp_path / "build")
        assert list((tmp_path / "build").iterdir()) == []
