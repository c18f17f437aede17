"""`course/rules.py`: the parameters are those of rules that there are, and differ from AWS's."""

import pytest

from course import rules
from debugger_support.saved_tensors import SavedTensors
from open_debugger import RULES, catalogue
from open_debugger.trials import open_trial


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
    small = rules.compared(["PoorWeightInitialization"])["the course's"]
    assert small["PoorWeightInitialization", "distribution_range"] == "1e-08"
    assert rules.compared(["DeadRelu"])["AWS's default"].iloc[0] == ".*relu_output"
