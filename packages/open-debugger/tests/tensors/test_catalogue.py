"""`tensors/catalogue.py`: AWS's rules, parameters and defaults, and what is refused."""

import math

import pytest

from debugger_support.saved_tensors import SavedTensors
from open_debugger.tensors.catalogue import RULES, RuleError, defaults, make, values
from open_debugger.tensors.trials import open_trial

# As published in AWS's "List of Debugger built-in rules"; further ones are ours.
PUBLISHED = {
    "AllZero": {"collection_names": None, "tensor_regex": None, "threshold": 100},
    "CheckInputImages": {"threshold_mean": 0.2, "threshold_samples": 500, "channel": 1},
    "ClassImbalance": {
        "threshold_imbalance": 10,
        "threshold_misprediction": 0.7,
        "samples": 500,
        "argmax": False,
    },
    "DeadRelu": {"threshold_inactivity": 1, "threshold_layer": 50},
    "ExplodingTensor": {"collection_names": None, "tensor_regex": None, "only_nan": False},
    "LossNotDecreasing": {
        "collection_names": None,
        "tensor_regex": None,
        "use_losses_collection": True,
        "num_steps": 10,
        "diff_percent": 0.1,
        "increase_threshold_percent": 5,
        "mode": "GLOBAL",
    },
    "Overfit": {"tensor_regex": None, "start_step": 0, "patience": 1, "ratio_threshold": 0.1},
    "Overtraining": {"patience_train": 5, "patience_validation": 10, "delta": 0.01},
    "PoorWeightInitialization": {
        "threshold": 10,
        "distribution_range": 0.001,
        "patience": 5,
        "steps": 10,
    },
    "SaturatedActivation": {
        "threshold_tanh_min": -9.4999,
        "threshold_tanh_max": 9.4999,
        "threshold_sigmoid_min": -23,
        "threshold_sigmoid_max": 16.99999,
        "threshold_inactivity": 1,
        "threshold_layer": 50,
    },
    "TensorVariance": {"max_threshold": None, "min_threshold": None},
    "UnchangedTensor": {"num_steps": 3, "rtol": 1e-5, "atol": 1e-8, "equal_nan": False},
    "VanishingGradient": {"threshold": 1e-7},
    "WeightUpdateRatio": {
        "num_steps": None,
        "large_threshold": 10,
        "small_threshold": 1e-8,
        "epsilon": 1e-9,
    },
}
REGEXES = {
    ("CheckInputImages", "regex"): (".*hybridsequential0_input_0",),
    ("ClassImbalance", "labels_regex"): (".*labels",),
    ("ClassImbalance", "predictions_regex"): (".*predictions",),
    ("DeadRelu", "tensor_regex"): (".*relu_output",),
    ("PoorWeightInitialization", "activation_inputs_regex"): (".*relu_input",),
    ("SaturatedActivation", "tensor_regex"): (".*tanh_input", ".*sigmoid_input"),
}


@pytest.fixture
def trial(tmp_path):
    return open_trial(SavedTensors(tmp_path / "trial").losses(1).folder)


def test_the_catalogue_has_awss_rules_with_awss_defaults():
    assert set(RULES) == set(PUBLISHED)
    for rule, published in PUBLISHED.items():
        assert defaults(rule).items() >= published.items()


@pytest.mark.parametrize(("rule", "name"), REGEXES)
def test_the_regexes_are_parameters_with_awss_defaults(trial, rule, name):
    wanted = defaults(rule)[name]
    assert wanted == REGEXES[rule, name]
    assert set(wanted) <= set(make(rule, trial, {}).regex)
    other = make(rule, trial, {name: "a.*, b.*"})
    assert {"a.*", "b.*"} <= set(other.regex) and not set(wanted) & set(other.regex)


@pytest.mark.parametrize(
    ("rule", "name", "given", "taken"),
    [
        ("VanishingGradient", "threshold", "1e-3", 1e-3),
        ("VanishingGradient", "threshold", 1, 1.0),
        ("VanishingGradient", "threshold", None, 1e-7),
        ("DeadRelu", "tensor_regex", None, (".*relu_output",)),
        ("AllZero", "threshold", " 99.5 ", 99.5),
        ("Overfit", "patience", "3", 3),
        ("Overfit", "patience", "3.0", 3),
        ("Overfit", "patience", 3.0, 3),
        ("WeightUpdateRatio", "num_steps", None, None),
        ("WeightUpdateRatio", "num_steps", "4", 4),
        ("TensorVariance", "max_threshold", "inf", math.inf),
        ("ExplodingTensor", "only_nan", "True", True),
        ("ExplodingTensor", "only_nan", "false", False),
        ("ExplodingTensor", "only_nan", "0", False),
        ("ExplodingTensor", "only_nan", True, True),
        ("ExplodingTensor", "collection_names", "weights, biases,", ["weights", "biases"]),
        ("ExplodingTensor", "collection_names", "", []),
        ("ExplodingTensor", "collection_names", ("weights",), ["weights"]),
        ("ExplodingTensor", "collection_names", None, None),
        ("LossNotDecreasing", "mode", "EVAL", "EVAL"),
    ],
)
def test_values_come_as_strings_or_as_they_are(rule, name, given, taken):
    value = values(rule, {name: given})[name]
    assert value == taken and type(value) is type(taken)


@pytest.mark.parametrize(
    ("rule", "parameters", "text"),
    [
        ("Overfitting", {}, "there is no rule 'Overfitting' here; there are AllZero, Check"),
        ("SimilarAcrossRuns", {"other_trials": "x"}, "there is no rule 'SimilarAcrossRuns'"),
        ("VanishingGradient", {"treshold": 1}, "no parameter 'treshold'; it has threshold"),
        ("VanishingGradient", {"threshold": "low"}, "threshold 'low' is not a number"),
        ("VanishingGradient", {"threshold": "nan"}, "threshold 'nan' is not a number"),
        ("VanishingGradient", {"threshold": [1]}, r"threshold '\[1\]' is not a number"),
        ("Overfit", {"patience": "1.5"}, "patience '1.5' is not a whole number"),
        ("Overfit", {"patience": "inf"}, "patience 'inf' is not a whole number"),
        ("Overfit", {"patience": True}, "patience 'True' is not a whole number"),
        ("ExplodingTensor", {"only_nan": "yes"}, "only_nan 'yes' is not True or False"),
        ("ExplodingTensor", {"tensor_regex": "a(b"}, r"'a\(b' is no regular expression"),
        ("ExplodingTensor", {"action_json": "{"}, "ExplodingTensor: "),
    ],
)
def test_what_a_rule_cannot_take_is_refused_by_name(trial, rule, parameters, text):
    with pytest.raises(RuleError, match=text):
        make(rule, trial, parameters)


def test_what_the_sdk_sends_along_is_no_parameter(trial):
    sent = {"rule_to_invoke": "AllZero", "threshold": "50", "base_trial": "x"}
    assert make("AllZero", trial, sent).threshold == 50
