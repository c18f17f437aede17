"""`entry_points/pretrained.py`: where ImageNet weights come from, and that it says why not."""

import http.server
import threading
import time

import pytest

import networks
import pretrained


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return folder


@pytest.fixture
def offline(monkeypatch):
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: refused at once


def resnet18(marker):
    state = networks.build("resnet18", 1000).state_dict()
    state["bn1.bias"] += marker
    return state


def test_the_weights_folder_comes_before_the_cache(tmp_path, cache, offline, published):
    first = published(cache, "resnet18", resnet18(marker=1))
    state, name = pretrained.load_imagenet("resnet18", None)
    assert name == first.name
    assert state["bn1.bias"].unique().tolist() == [1]
    own = tmp_path / "weights"
    own.mkdir()
    published(own, "resnet18", resnet18(marker=2))
    state, _ = pretrained.load_imagenet("resnet18", own)
    assert state["bn1.bias"].unique().tolist() == [2]


def test_file_names_are_torchvisions_best_first():
    names = [url.rpartition("/")[2] for url in pretrained._urls("resnet50")]
    assert names == ["resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth"]
    assert [u.rpartition("/")[2] for u in pretrained._urls("vgg16")] == ["vgg16-397923af.pth"]


def test_a_missing_folder_and_a_damaged_file_are_named(tmp_path, cache):
    with pytest.raises(pretrained.WeightsUnavailable, match="nowhere"):
        pretrained.load_imagenet("resnet18", tmp_path / "nowhere")
    (cache / "resnet18-f37072fd.pth").write_bytes(b"half a file")
    with pytest.raises(pretrained.WeightsDamaged, match=r"resnet18-f37072fd\.pth .* f37072fd;"):
        pretrained.load_imagenet("resnet18", None)


def test_a_file_that_lost_its_end_on_the_way_is_found_by_its_hash(tmp_path, cache, published):
    file = published(cache, "resnet18", resnet18(marker=1))
    pretrained.check_digest(file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(pretrained.WeightsDamaged, match="copy or download it anew"):
        pretrained.check_digest(file)


class Unpleasant:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_file_with_code_in_it_is_refused_and_not_run(cache, capsys, published):
    published(cache, "resnet18", {"fc.weight": Unpleasant()})
    with pytest.raises(pretrained.WeightsUnavailable):
        pretrained.load_imagenet("resnet18", None)
    assert "code ran" not in capsys.readouterr().out


def test_without_a_network_the_reason_is_one_line(cache, offline):
    with pytest.raises(pretrained.WeightsUnavailable) as error:
        pretrained.load_imagenet("resnet18", None)
    assert str(error.value).startswith("torchvision's server cannot be reached: ")
    assert "\n" not in str(error.value)
    assert not list(cache.iterdir())


def test_a_network_that_never_answers_is_given_up_soon(monkeypatch):
    silent = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    monkeypatch.setattr(pretrained, "PROBE_SECONDS", 0.3)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    begin = time.monotonic()
    # Nobody accepts the connection: it stays open in the listening socket's queue.
    with pytest.raises(pretrained.WeightsUnavailable, match=r"gave no answer within 0\.3 s"):
        pretrained._probe(f"http://127.0.0.1:{silent.server_port}/w.pth")
    assert time.monotonic() - begin < 5
    silent.server_close()


def test_a_resolver_that_hangs_is_given_up_soon(monkeypatch):
    monkeypatch.setattr(pretrained, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(3))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    begin = time.monotonic()
    with pytest.raises(pretrained.WeightsUnavailable, match=r"gave no answer within 0\.3 s"):
        pretrained._probe("https://example.org/w.pth")
    assert time.monotonic() - begin < 2


def test_a_download_is_checked_against_the_hash_in_its_name(cache, monkeypatch):
    class Serve(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            self.do_HEAD()
            self.wfile.write(b"other bytes than expected")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Serve)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    try:
        with pytest.raises(pretrained.WeightsUnavailable, match="hash"):
            pretrained._download(f"http://127.0.0.1:{server.server_port}/resnet18-f37072fd.pth")
    finally:
        server.shutdown()
        server.server_close()
    assert not list(cache.iterdir())
