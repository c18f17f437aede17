"""`entry_points/models.py`: networks by name, heads, the layers that train, files of models."""

import json
from argparse import Namespace

import pytest
import torch
from torch import nn

import models
from options import ConfigError
from preprocess import Preprocessing

SHAPES = {"resnet18": 512, "resnet50": 2048}


@pytest.mark.parametrize("architecture", SHAPES)
def test_one_layer_replaces_the_last_one(architecture):
    head = models.build(architecture, classes=7).fc
    assert isinstance(head, torch.nn.Linear)
    assert (head.in_features, head.out_features) == (SHAPES[architecture], 7)


def test_only_the_last_layer_of_vgg16s_classifier_is_replaced():
    with torch.device("meta"):
        model = models.build("vgg16", classes=7)
    linear = [part for part in model.classifier if isinstance(part, torch.nn.Linear)]
    assert [part.out_features for part in linear] == [4096, 4096, 7]
    assert model.head_name == "classifier.6"


def test_a_deeper_head_has_relus_that_are_not_in_place():
    head = models.build("resnet18", classes=7, head_layers=3, hidden_units=20).fc
    assert [type(part).__name__ for part in head] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [p.out_features for p in head if hasattr(p, "out_features")] == [20, 20, 7]
    assert not any(p.inplace for p in head if isinstance(p, torch.nn.ReLU))


def test_logits_have_one_column_per_class():
    model = models.build("resnet18", classes=5, head_layers=2, hidden_units=8).eval()
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def test_an_unknown_network_is_named_with_the_nearest_ones():
    with pytest.raises(ConfigError, match=r"no network 'resnet5': did you mean resnet50"):
        models.build("resnet5", classes=2)


def test_a_network_without_a_fully_connected_layer_is_refused():
    with torch.device("meta"), pytest.raises(ConfigError, match="squeezenet1_0 does not end"):
        models.build("squeezenet1_0", classes=2)


UNLIKE = {  # of torchvision and timm: the head's place, and its inputs
    "mobilenet_v3_small": ("classifier.3", 1024),
    "convnext_tiny": ("classifier.2", 768),
    "vit_tiny_patch16_224": ("head", 192),
    "densenet121": ("classifier", 1024),
    "efficientnet_lite0": ("classifier", 1280),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_the_head_of_any_network_is_replaced(name):
    with torch.device("meta"):
        model = models.build(name, classes=7)
    head = model.get_submodule(model.head_name)
    assert (model.head_name, head.in_features) == UNLIKE[name]
    assert head.out_features == 7


def test_dropout_reaches_every_network():
    """VGG16 has layers of its own, ResNet has none: one stands before its head."""
    with torch.device("meta"):
        vgg, resnet = (models.build(name, 3, dropout=0.3) for name in ("vgg16", "resnet18"))
        untouched = models.build("vgg16", 3)
    rates = [m.p for m in vgg.modules() if isinstance(m, torch.nn.Dropout)]
    assert rates == [0.3, 0.3]
    assert [type(part).__name__ for part in resnet.fc] == ["Dropout", "Linear"]
    assert resnet.fc[0].p == 0.3
    assert [m.p for m in untouched.modules() if isinstance(m, torch.nn.Dropout)] == [0.5, 0.5]


def test_each_network_has_its_own_preprocessing():
    assert models.preprocessing_of("resnet50") == Preprocessing()
    assert models.preprocessing_of("inception_v3").image_size == 299
    lite0 = models.preprocessing_of("efficientnet_lite0")
    assert (lite0.image_size, lite0.interpolation) == (224, "bicubic")
    assert (lite0.mean[0], lite0.std[0]) == (pytest.approx(127 / 255), pytest.approx(128 / 255))
    vit = models.preprocessing_of("vit_tiny_patch16_224")
    assert (vit.mean, vit.interpolation) == ((0.5, 0.5, 0.5), "bicubic")


def test_an_image_size_that_a_network_does_not_take_is_refused():
    model = models.build("vit_tiny_patch16_224", 2).train()
    models.check_size(model, "vit_tiny_patch16_224", 224)
    assert model.training
    with pytest.raises(ConfigError, match=r"vit_tiny_patch16_224 does not take photos of 96"):
        models.check_size(model, "vit_tiny_patch16_224", 96)


def test_the_last_stage_of_other_networks_is_refused():
    with torch.device("meta"):
        model = models.build("densenet121", 2)
    with pytest.raises(
        ConfigError, match=r"for resnet50, .*, not for densenet121: choose head or all"
    ):
        models.set_trainable(model, "densenet121", "last-stage")


def trainable(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("architecture", "layers", "prefixes"),
    [
        ("resnet18", "head", ("fc.",)),
        ("resnet18", "last-stage", ("layer4.", "fc.")),
        ("resnet18", "all", ("",)),
        ("efficientnet_lite0", "last-stage", ("blocks.6.", "conv_head.", "bn2.", "classifier.")),
        ("vgg16", "head", ("classifier.6.",)),
        ("vgg16", "last-stage", ("features.24", "features.26", "features.28", "classifier.")),
    ],
)
def test_only_the_chosen_layers_train(architecture, layers, prefixes):
    with torch.device("meta"):
        model = models.build(architecture, classes=3)
    modules = models.set_trainable(model, architecture, layers)
    expected = {name for name, _ in model.named_parameters() if name.startswith(prefixes)}
    assert expected
    assert trainable(model) == expected
    inside = {id(p) for module in modules for p in module.parameters()}
    assert inside == {id(p) for p in model.parameters() if p.requires_grad}


def options(**changes):
    values = {"model": "resnet18", "train_layers": "all", "head_epochs": 0, "batch_norm": "train"}
    return Namespace(**values | changes)


def test_layers_that_were_frozen_can_train_again():
    model = models.build("resnet18", classes=3)
    for layers in ("head", "all"):
        models.set_trainable(model, "resnet18", layers)
    assert trainable(model) == {name for name, _ in model.named_parameters()}


def test_frozen_layers_do_not_adapt_their_batch_normalisation():
    model = models.build("resnet18", classes=3)
    before = {name: value.clone() for name, value in model.named_buffers()}
    models.set_training(model, options(train_layers="last-stage"), epoch=1)
    model(torch.randn(4, 3, 64, 64) + 5)
    changed = {n for n, value in model.named_buffers() if not torch.equal(value, before[n])}
    assert changed
    assert all(name.startswith("layer4.") for name in changed)


CARD = {
    "architecture": "resnet18",
    "head_layers": 2,
    "hidden_units": 8,
    "class_names": ["b", "a", "c"],
    "image_size": 32,
}


@pytest.fixture
def model():
    model = models.build("resnet18", 3, head_layers=2, hidden_units=8)
    return model.to(memory_format=torch.channels_last).eval()


def test_the_loaded_model_gives_equal_logits_and_keeps_the_label_order(model, tmp_path):
    models.save_model(model, CARD, tmp_path / "new")
    loaded, card = models.load_model(tmp_path / "new")
    photos = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(photos), model(photos))
    assert card == CARD
    assert not loaded.training


def test_a_network_with_buffers_outside_its_state_dict_is_loaded_whole(tmp_path):
    """Swin computes its relative positions when it is built, and does not save them."""
    model = models.build("swin_tiny_patch4_window7_224", 2).eval()
    card = {**CARD, "architecture": "swin_tiny_patch4_window7_224", "head_layers": 1}
    models.save_model(model, {**card, "class_names": ["a", "b"]}, tmp_path)
    loaded, _ = models.load_model(tmp_path)
    photos = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.allclose(loaded(photos), model(photos), atol=1e-5)


def test_weights_are_saved_as_contiguous_float32(model, tmp_path):
    from safetensors.torch import load_file

    models.save_model(model.to(torch.bfloat16), CARD, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == model.state_dict().keys()
    assert {value.dtype for value in saved.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_missing_file_is_named(model, tmp_path, name):
    models.save_model(model, CARD, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        models.load_model(tmp_path)


def test_a_card_that_does_not_fit_the_weights_is_refused(model, tmp_path):
    models.save_model(model, CARD, tmp_path)
    (tmp_path / "model.json").write_text(json.dumps({**CARD, "class_names": ["a", "b"]}))
    with pytest.raises(RuntimeError, match="size mismatch"):
        models.load_model(tmp_path)


@pytest.mark.parametrize("architecture", ["resnet18", "vgg16", "efficientnet_lite0"])
def test_body_and_head_together_are_the_network(architecture):
    torch.manual_seed(0)
    model = models.build(architecture, 3, head_layers=2, hidden_units=8).eval()
    body = models.body(model)
    head = model.get_submodule(model.head_name)
    photos = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(head(body(photos)), model(photos))
    with torch.no_grad():  # the body shares its weights with the network
        next(body.parameters()).zero_()
    assert not next(model.parameters()).any()
    assert model(photos).shape == (2, 3)


@pytest.mark.parametrize("architecture", ["vgg16", "efficientnet_lite0"])
def test_weights_in_bf16_give_what_autocast_gives_and_leave_the_network_alone(architecture):
    model = models.create(architecture).eval()
    bare, photos = models.body(model), torch.rand(2, 3, 64, 64)
    cast = models.with_weights_in(bare, torch.bfloat16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cast(photos), bare(photos))
    kinds = {p.dtype for p in cast.parameters() if p.dim() > 1}
    assert kinds == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_batch_normalisation_can_stay_frozen_in_layers_that_train():
    model = models.build("resnet18", 3)
    models.set_training(model, options(train_layers="last-stage", batch_norm="frozen"), epoch=1)
    before = model.layer4[0].bn1.running_mean.clone()
    model(torch.randn(4, 3, 32, 32))
    assert torch.equal(model.layer4[0].bn1.running_mean, before)
    assert model.layer4.training and not model.layer4[0].bn1.training
    models.set_training(model, options(train_layers="last-stage"), epoch=1)
    model(torch.randn(4, 3, 32, 32))
    assert not torch.equal(model.layer4[0].bn1.running_mean, before)


def test_the_head_trains_alone_in_the_first_epochs():
    model = models.build("resnet18", 3)
    models.set_training(model, options(head_epochs=2), epoch=2)
    assert trainable(model) == {"fc.weight", "fc.bias"}
    assert model.fc.training and not model.layer4.training
    models.set_training(model, options(head_epochs=2), epoch=3)
    assert len(trainable(model)) == len(list(model.parameters()))
    assert model.layer4[0].bn1.training


def test_the_card_holds_what_serving_needs(tmp_path):
    given = options(head_layers=2, hidden_units=8, dropout=None)
    preprocessing = Preprocessing(32, "bicubic")
    card = models.card(given, ["b", "a", "c"], "random", preprocessing, "bf16")
    model = models.build("resnet18", 3, head_layers=2, hidden_units=8)
    models.save_model(model, card, tmp_path)
    _, loaded = models.load_model(tmp_path)
    assert loaded["class_names"] == ["b", "a", "c"]
    assert (loaded["weights"], loaded["precision"]) == ("random", "bf16")
    assert Preprocessing.from_card(loaded) == preprocessing


@pytest.mark.parametrize(
    ("validated", "device", "served"),
    [
        ("bf16", "cpu", "bf16"),
        ("fp16", "cpu", "fp32"),
        ("fp32", "cpu", "fp32"),
        ("fp16", "cuda", "fp16"),
    ],
)
def test_the_endpoint_serves_in_the_precision_of_the_validation(
    monkeypatch, validated, device, served
):
    monkeypatch.setattr(models, "has_bf16", lambda device: True)
    assert models.serving_precision(validated, torch.device(device)) == served
    monkeypatch.setattr(models, "has_bf16", lambda device: False)
    assert models.serving_precision("bf16", torch.device(device)) == "fp32"


def test_depthwise_convolutions_leave_bf16_only_to_train_on_the_cpu():
    model = models.build("mobilenet_v3_small", 2)
    depthwise = next(m for m in model.modules() if isinstance(m, nn.Conv2d) and m.groups > 1)
    seen = []
    depthwise.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    images = torch.zeros(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(images).dtype == torch.bfloat16
        with torch.no_grad():
            model(images)
        model.requires_grad_(False)
        model(images)
    model(images)
    assert seen == [torch.float32, torch.bfloat16, torch.bfloat16, torch.float32]
