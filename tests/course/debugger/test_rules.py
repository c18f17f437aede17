"""The course's parameters: those of rules that there are, right for each network."""

import re

import pytest

import models  # of entry_points
from course.debugger import rules
from debugger_support.saved_tensors import SavedTensors
from open_debugger import RULES, catalogue, open_trial


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    SavedTensors(folder).losses(1.0)
    return open_trial(folder)


def test_every_rule_has_its_place():
    assert sorted(rules.RULES_FOR_THE_COURSE) == sorted(RULES)
    assert rules.REASONS.keys() == rules.RULES_FOR_THE_COURSE.keys()


@pytest.mark.parametrize("name", sorted(RULES))
def test_parameters_are_the_rules_own_and_differ_from_its_defaults(name):
    chosen, defaults = rules.RULES_FOR_THE_COURSE[name], catalogue.defaults(name)
    assert chosen.keys() <= defaults.keys()
    assert [key for key in chosen if chosen[key] == defaults[key]] == []


@pytest.mark.parametrize("name", sorted(RULES))
def test_parameters_reach_a_rule_as_the_strings_that_the_api_has(name, trial):
    texts = rules.parameters(name)
    assert all(isinstance(text, str) for text in texts.values())
    from_texts = catalogue.make(name, trial, texts)
    from_values = catalogue.make(name, trial, rules.RULES_FOR_THE_COURSE[name])
    assert _plain(from_texts) == _plain(from_values)


def _plain(rule):
    kinds = (int, float, str, bool, list, dict, tuple, type(None))
    return {key: value for key, value in vars(rule).items() if isinstance(value, kinds)}


def test_the_comparison_has_a_row_for_each_difference():
    table = rules.compared(["Overfit", "ExplodingTensor"])
    assert list(table.index) == [("Overfit", "patience"), ("Overfit", "ratio_threshold")]
    assert list(table["AWS's default"]) == ["1", "0.1"]
    assert list(table["the course's"]) == ["2", "0.5"]
    small = rules.compared(["PoorWeightInitialization"], "vgg16")["the course's"]
    assert small["PoorWeightInitialization", "distribution_range"] == "1e-08"
    names = small["PoorWeightInitialization", "activation_inputs_regex"]
    assert names == r"^features\.\d+_input"
    assert rules.compared(["DeadRelu"])["AWS's default"].iloc[0] == ".*relu_output"


def test_the_comparison_gives_reasons_in_one_line():
    why = rules.compared(["Overfit", "CheckInputImages"])["why"]
    assert why["Overfit", "patience"].startswith("One pass may be bad luck")
    assert why["Overfit", "ratio_threshold"].startswith("Some gap is normal")
    assert [bool(text) for text in why["CheckInputImages"]] == [True, False, False]
    every = rules.compared(RULES, "efficientnet_lite0", 132)["why"]
    assert every.str.len().max() <= 110
    assert (every.groupby(level="rule").first() != "").all()
    assert rules._BY_PARAMETER.keys() <= set(every.index)
    assert (every["PoorWeightInitialization"] != "").all()


def test_what_only_the_open_rule_has_has_no_default_of_awss():
    table = rules.compared(["LossNotDecreasing"], steps=132)["AWS's default"]
    assert table["LossNotDecreasing"].to_dict() == {"num_steps": "10", "smoothing": "none"}


def test_windows_fit_the_length_of_the_run():
    assert rules.parameters("LossNotDecreasing", steps=132)["num_steps"] == "22"
    assert rules.parameters("LossNotDecreasing", steps=6)["num_steps"] == "2"
    assert rules.parameters("LossNotDecreasing")["num_steps"] == "30"


def test_a_closed_rule_gets_nothing_that_only_the_open_one_has():
    given = {"rule_to_invoke": "LossNotDecreasing", **rules.parameters("LossNotDecreasing")}
    assert rules.closed_parameters(given) == {
        "rule_to_invoke": "LossNotDecreasing",
        "num_steps": "30",
    }


def test_an_unknown_network_is_told():
    for ask in (rules.activations, lambda network: rules.parameters("DeadRelu", network)):
        with pytest.raises(rules.UnknownNetwork, match="'alexnet', only for efficientnet_lite0"):
            ask("alexnet")


@pytest.mark.parametrize("network", ["resnet50", "vgg16", "efficientnet_lite0"])
def test_every_regex_matches_a_tensor_of_the_network(network):
    model = models.create(network)
    modules = [name or type(model).__name__ for name, _ in model.named_modules()]
    names = [f"{name}_{way}_0" for name in modules for way in ("input", "output")]
    names += [f"CrossEntropyLoss_{what}" for what in ("input_0", "input_1", "output_0")]
    for rule in RULES:
        parameters = rules.parameters(rule, network)
        for regex in rules.regexes(parameters):
            assert [n for n in names if re.search(regex, n)], f"{rule}: {regex}"
    sampled = [n for n in names if re.search(rules.activations(network), n)]
    assert 4 <= len(sampled) <= 8, sampled  # one of each stage
    inputs = rules.parameters("PoorWeightInitialization", network)["activation_inputs_regex"]
    assert all(re.search(inputs, name) for name in sampled)  # what is saved is looked at


def test_a_rules_configuration_is_the_sdks_own():
    from sagemaker.core.debugger import Rule, rule_configs

    for name in ("VanishingGradient", "LossNotDecreasing", "Overfit", "WeightUpdateRatio"):
        rule = Rule.sagemaker(rules.built_in(name))
        assert rule.rule_parameters["rule_to_invoke"] == name
    assert rules.built_in("Overfit") == rule_configs.overfit()
    with pytest.raises(ValueError, match=r"no rule 'Nothing': rule_configs has no nothing\(\)"):
        rules.built_in("Nothing")
