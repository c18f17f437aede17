"""`entry_points/networks.py`: heads, what learns, ImageNet's weights, and files of models."""

import http.server
import json
import threading
import time
from argparse import Namespace

import pytest
import torch

import networks

SHAPES = {"resnet18": 512, "resnet50": 2048}


@pytest.mark.parametrize("architecture", SHAPES)
def test_one_layer_replaces_the_last_one(architecture):
    head = networks.build(architecture, classes=7).fc
    assert isinstance(head, torch.nn.Linear)
    assert (head.in_features, head.out_features) == (SHAPES[architecture], 7)


def test_vgg16_keeps_its_classifier_but_for_the_last_layer():
    with torch.device("meta"):
        model = networks.build("vgg16", classes=7)
    linear = [part for part in model.classifier if isinstance(part, torch.nn.Linear)]
    assert [part.out_features for part in linear] == [4096, 4096, 7]
    assert networks.head_name("vgg16") == "classifier.6"


def test_a_deeper_head_has_relus_between_that_leave_their_input_alone():
    head = networks.build("resnet18", classes=7, head_layers=3, hidden_units=20).fc
    assert [type(part).__name__ for part in head] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [p.out_features for p in head if hasattr(p, "out_features")] == [20, 20, 7]
    assert not any(p.inplace for p in head if isinstance(p, torch.nn.ReLU))


def test_logits_have_one_column_a_class():
    model = networks.build("resnet18", classes=5, head_layers=2, hidden_units=8).eval()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_unknown_architecture_is_named_with_the_choices():
    with pytest.raises(ValueError, match=r"'alexnet'.*resnet50"):
        networks.build("alexnet", classes=2)


def learning(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("architecture", "layers", "prefixes"),
    [
        ("resnet18", "head", ("fc.",)),
        ("resnet18", "last-stage", ("layer4.", "fc.")),
        ("resnet18", "all", ("",)),
        ("vgg16", "head", ("classifier.6.",)),
        ("vgg16", "last-stage", ("features.24", "features.26", "features.28", "classifier.")),
    ],
)
def test_only_the_chosen_parts_learn(architecture, layers, prefixes):
    with torch.device("meta"):
        model = networks.build(architecture, classes=3)
    networks.learning_parts(model, architecture, layers)
    expected = {name for name, _ in model.named_parameters() if name.startswith(prefixes)}
    assert expected
    assert learning(model) == expected


def test_frozen_batch_normalisation_does_not_adapt():
    model = networks.build("resnet18", classes=3)
    parts = networks.learning_parts(model, "resnet18", "last-stage")
    before = {name: value.clone() for name, value in model.named_buffers()}
    networks.set_training(model, parts)
    model(torch.randn(4, 3, 64, 64) + 5)
    changed = {n for n, value in model.named_buffers() if not torch.equal(value, before[n])}
    assert changed
    assert all(name.startswith("layer4.") for name in changed)


def test_the_body_is_loaded_and_the_head_is_not():
    model = networks.build("resnet18", classes=3)
    source = networks.build("resnet18", classes=1000)
    networks.load_body(model, "resnet18", source.state_dict())
    assert torch.equal(model.conv1.weight, source.conv1.weight)
    assert model.fc.out_features == 3


def test_weights_of_another_architecture_are_refused():
    state = networks.build("resnet50", classes=1000).state_dict()
    with pytest.raises(ValueError, match=r"no weights of resnet18.*layer1\.0\.conv1\.weight"):
        networks.load_body(networks.build("resnet18", classes=3), "resnet18", state)
    del state["conv1.weight"]
    with pytest.raises(ValueError, match=r"1 tensors .*conv1\.weight"):
        networks.load_body(networks.build("resnet50", classes=3), "resnet50", state)


CARD = {
    "architecture": "resnet18",
    "head_layers": 2,
    "hidden_units": 8,
    "class_names": ["b", "a", "c"],
    "image_size": 32,
}


@pytest.fixture
def model():
    model = networks.build("resnet18", 3, head_layers=2, hidden_units=8)
    return model.to(memory_format=torch.channels_last).eval()


def test_the_loaded_model_gives_equal_logits_and_keeps_the_label_order(model, tmp_path):
    networks.save_model(model, CARD, tmp_path / "new")
    loaded, card = networks.load_model(tmp_path / "new")
    photos = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(photos), model(photos))
    assert card == CARD
    assert not loaded.training


def test_weights_are_saved_as_contiguous_float32(model, tmp_path):
    from safetensors.torch import load_file

    networks.save_model(model.to(torch.bfloat16), CARD, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == model.state_dict().keys()
    assert {value.dtype for value in saved.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(model, tmp_path, name):
    networks.save_model(model, CARD, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        networks.load_model(tmp_path)


def test_a_card_that_does_not_fit_the_weights_is_refused(model, tmp_path):
    networks.save_model(model, CARD, tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**CARD, "class_names": ["a", "b"]}))
    with pytest.raises(RuntimeError, match="size mismatch"):
        networks.load_model(tmp_path)


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
    state, name = networks.load_imagenet("resnet18", None)
    assert name == first.name
    assert state["bn1.bias"].unique().tolist() == [1]
    own = tmp_path / "weights"
    own.mkdir()
    published(own, "resnet18", resnet18(marker=2))
    state, _ = networks.load_imagenet("resnet18", own)
    assert state["bn1.bias"].unique().tolist() == [2]


def test_file_names_are_torchvisions_best_first():
    names = [url.rpartition("/")[2] for url in networks._urls("resnet50")]
    assert names == ["resnet50-11ad3fa6.pth", "resnet50-0676ba61.pth"]
    assert [u.rpartition("/")[2] for u in networks._urls("vgg16")] == ["vgg16-397923af.pth"]


def test_a_missing_folder_and_a_damaged_file_are_named(tmp_path, cache):
    with pytest.raises(networks.WeightsUnavailable, match="nowhere"):
        networks.load_imagenet("resnet18", tmp_path / "nowhere")
    (cache / "resnet18-f37072fd.pth").write_bytes(b"half a file")
    with pytest.raises(networks.WeightsDamaged, match=r"resnet18-f37072fd\.pth .* f37072fd;"):
        networks.load_imagenet("resnet18", None)


def test_a_file_that_lost_its_end_on_the_way_is_found_by_its_hash(tmp_path, cache, published):
    file = published(cache, "resnet18", resnet18(marker=1))
    networks.check_digest(file)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(networks.WeightsDamaged, match="copy or download it anew"):
        networks.check_digest(file)


class Unpleasant:
    def __reduce__(self):
        return print, ("code ran",)


def test_a_file_with_code_in_it_is_refused_and_not_run(cache, capsys, published):
    published(cache, "resnet18", {"fc.weight": Unpleasant()})
    with pytest.raises(networks.WeightsUnavailable):
        networks.load_imagenet("resnet18", None)
    assert "code ran" not in capsys.readouterr().out


def test_without_a_network_the_reason_is_one_line(cache, offline):
    with pytest.raises(networks.WeightsUnavailable) as error:
        networks.load_imagenet("resnet18", None)
    assert str(error.value).startswith("torchvision's server cannot be reached: ")
    assert "\n" not in str(error.value)
    assert not list(cache.iterdir())


def test_a_network_that_never_answers_is_given_up_soon(monkeypatch):
    silent = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    monkeypatch.setattr(networks, "PROBE_SECONDS", 0.3)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    begin = time.monotonic()
    # Nobody accepts the connection: it stays open in the listening socket's queue.
    with pytest.raises(networks.WeightsUnavailable, match=r"gave no answer within 0\.3 s"):
        networks._probe(f"http://127.0.0.1:{silent.server_port}/w.pth")
    assert time.monotonic() - begin < 5
    silent.server_close()


def test_a_resolver_that_hangs_is_given_up_soon(monkeypatch):
    def hang(*_, **__):
        time.sleep(3)
        raise OSError("no such host")

    monkeypatch.setattr(networks, "PROBE_SECONDS", 0.3)
    monkeypatch.setattr("socket.getaddrinfo", hang)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    begin = time.monotonic()
    with pytest.raises(networks.WeightsUnavailable, match=r"gave no answer within 0\.3 s"):
        networks._probe("https://example.org/w.pth")
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
        with pytest.raises(networks.WeightsUnavailable, match="hash"):
            networks._download(f"http://127.0.0.1:{server.server_port}/resnet18-f37072fd.pth")
    finally:
        server.shutdown()
        server.server_close()
    assert not list(cache.iterdir())


def chosen(**changes):
    values = {"model": "resnet18", "train_layers": "last-stage", "lr": 0.1, "body_lr": 0.1}
    return Namespace(**{**values, **changes})


def test_the_head_learns_at_its_own_rate():
    model = networks.build("resnet18", 3)
    head, body = networks.parameter_groups(model, chosen())
    assert [p.shape for p in head["params"]] == [(3, 512), (3,)]
    assert (head["lr"], body["lr"]) == (0.1, pytest.approx(0.01))
    assert len(body["params"]) == len(list(model.layer4.parameters()))
    (only,) = networks.parameter_groups(model, chosen(train_layers="head"))
    assert (len(only["params"]), only["lr"]) == (2, 0.1)
    (alike,) = networks.parameter_groups(model, chosen(body_lr=1.0))
    assert len(alike["params"]) == len(head["params"]) + len(body["params"])
    (everything,) = networks.parameter_groups(model, chosen(train_layers="all", body_lr=1.0))
    assert len(everything["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("architecture", ["resnet18", "vgg16"])
def test_head_after_body_is_the_network(architecture):
    torch.manual_seed(0)
    model = networks.build(architecture, 3, head_layers=2, hidden_units=8).eval()
    body = networks.body(model, architecture)
    head = model.get_submodule(networks.head_name(architecture))
    photos = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(head(body(photos)), model(photos))
    with torch.no_grad():  # it shares the weights, and is left as it was
        next(body.parameters()).zero_()
    assert not next(model.parameters()).any()
    assert "fc" in model._modules or "classifier" in model._modules
    assert model(photos).shape == (2, 3)


def test_batch_normalisation_can_stay_frozen_in_parts_that_learn():
    model = networks.build("resnet18", 3)
    parts = networks.learning_parts(model, "resnet18", "last-stage")
    networks.set_training(model, parts, batch_norm=False)
    before = model.layer4[0].bn1.running_mean.clone()
    model(torch.randn(4, 3, 32, 32))
    assert torch.equal(model.layer4[0].bn1.running_mean, before)
    assert model.layer4.training and not model.layer4[0].bn1.training
    networks.set_training(model, parts)
    model(torch.randn(4, 3, 32, 32))
    assert not torch.equal(model.layer4[0].bn1.running_mean, before)
