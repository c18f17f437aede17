"""`entry_points/networks.py`: heads, what learns and what stays frozen."""

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
