"""`tensors/evaluation.py`: several rules on one trial, at once or as it grows."""

import gc
import weakref

import numpy as np
import pytest

from debugger_support.saved_tensors import LOSS, SavedTensors
from open_debugger import RULES, RuleError, TrialError, evaluate
from open_debugger.tensors import trials
from open_debugger.tensors.evaluation import Evaluation
from open_debugger.tensors.trials import open_trial

WEIGHT, GRADIENT = "Net_fc.weight", "gradient/Net_fc.weight"


@pytest.fixture
def saved(tmp_path):
    return SavedTensors(tmp_path / "trial")


@pytest.fixture
def fetched(monkeypatch):
    """Weak references to all values that are read from files."""
    read, found = trials._Reader.fetch_tensor_value, []

    def fetch(self, location):
        value = read(self, location)
        found.append((location.tensorname, location.mode_step, weakref.ref(value)))
        return value

    monkeypatch.setattr(trials._Reader, "fetch_tensor_value", fetch)
    return found


def configuration(rule, name="", **parameters):
    given = {"rule_to_invoke": rule, **parameters}
    return {"RuleConfigurationName": name or rule, "RuleParameters": given}


def test_each_rule_has_its_own_result_in_the_given_order(saved):
    saved.save({WEIGHT: [0, 0], GRADIENT: [1, 2]})
    rules = ["VanishingGradient", "DeadRelu", "AllZero", "NoSuchRule"]
    results = evaluate(saved.folder, rules)
    assert [result.name for result in results] == rules
    statuses = [result.status for result in results]
    assert statuses == ["NoIssuesFound", "Error", "IssuesFound", "Error"]
    assert results["NoSuchRule"].details.startswith("there is no rule 'NoSuchRule' here")
    assert results["VanishingGradient"].details == "nothing found in 1 tensors"


def test_rules_may_be_named_in_three_ways(saved):
    saved.save({GRADIENT: [1e-3]})
    rules = [
        "VanishingGradient",
        ("ExplodingTensor", {"only_nan": True}),
        configuration("VanishingGradient", "mine", threshold="1e-2"),
    ]
    results = evaluate(saved.folder, rules)
    found = {result.name: (result.rule, result.status) for result in results}
    assert found == {
        "VanishingGradient": ("VanishingGradient", "NoIssuesFound"),
        "ExplodingTensor": ("ExplodingTensor", "NoIssuesFound"),
        "mine": ("VanishingGradient", "IssuesFound"),
    }
    assert results["mine"].parameters == {"threshold": 0.01}
    assert results["ExplodingTensor"].parameters["tensor_regex"] is None


def test_two_rules_of_one_name_are_refused(saved):
    saved.losses(1)
    with pytest.raises(RuleError, match="two rules are called 'AllZero'"):
        evaluate(saved.folder, ["AllZero", ("AllZero", {"threshold": 50})])


def test_without_tensors_there_is_nothing_to_evaluate(tmp_path):
    with pytest.raises(TrialError, match="no tensors here"):
        evaluate(tmp_path, ["AllZero"])


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_job_that_saved_no_step_is_an_error_of_every_rule(saved, rule):
    needed = {"min_threshold": 1} if rule == "TensorVariance" else {}
    result = saved.judged(rule, **needed)
    assert result.status == "Error"
    assert "was saved" in result.details or "no training step has" in result.details


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (rule, name)
        for rule in RULES
        for name in ("tensor_regex", "regex", "activation_inputs_regex")
        if name in RULES[rule].__init__.__annotations__
    ],
)
def test_a_regex_that_matches_nothing_is_an_error(tmp_path, rule, name):
    saved = SavedTensors(tmp_path / "trial").save({"Net_fc.bias": [1, 2]})
    needed = {"min_threshold": 1} if rule == "TensorVariance" else {}
    result = saved.judged(rule, **{name: "no-such-tensor", **needed})
    assert result.status == "Error"
    assert "no-such-tensor" in result.details and "biases (1)" in result.details


def test_a_regex_among_others_that_matches_nothing_is_told(tmp_path):
    saved = SavedTensors(tmp_path / "trial").save({"Net_fc.bias": [0, 0]})
    told = " No tensor matches its regex 'no-such' or 'nor-this'."
    names = "no-such,Net_fc,nor-this"
    quiet = saved.judged("ExplodingTensor", tensor_regex=names)
    assert (quiet.status, quiet.details) == ("NoIssuesFound", f"nothing found in 1 tensors.{told}")
    found = saved.judged("AllZero", tensor_regex=names)
    assert found.status == "IssuesFound" and found.details.endswith(f"at the inputs.{told}")
    assert saved.judged("ExplodingTensor", tensor_regex="Net_fc").details.endswith("1 tensors")


def test_each_tensor_is_read_once_whatever_the_number_of_rules(saved, fetched):
    for step in range(3):
        saved.save({WEIGHT: [step], GRADIENT: [1], LOSS: 1}).losses(1, mode="EVAL")
    rules = [configuration(rule, f"{rule}-{n}") for rule in RULES for n in range(2)]
    evaluate(saved.folder, rules)
    assert len(fetched) == 3 * 4
    assert len({read[:2] for read in fetched if read[0] != LOSS}) == 6


def test_a_tensor_that_no_rule_asks_for_is_not_read(saved, fetched):
    saved.save({WEIGHT: [1], GRADIENT: [1]})
    evaluate(saved.folder, ["VanishingGradient"])
    assert [name for name, _, _ in fetched] == [GRADIENT]


def test_values_are_let_go_after_their_step(saved, fetched):
    for _ in range(3):
        saved.save({WEIGHT: np.ones(4), GRADIENT: np.ones(4)}, "TRAIN").losses(1, mode="EVAL")
    evaluation = Evaluation([configuration("ExplodingTensor"), configuration("AllZero")])
    evaluation.begin(open_trial(saved.folder))
    evaluation.advance()
    gc.collect()
    assert len(fetched) == 9 and not [name for name, _, value in fetched if value() is not None]
    evaluation.finish()
    assert len(fetched) == 9


def test_steps_are_evaluated_once_as_they_come(saved):
    saved.losses(2, 2)
    evaluation = Evaluation([configuration("LossNotDecreasing", num_steps="1")])
    assert evaluation.results["LossNotDecreasing"].status == "InProgress"
    evaluation.begin(open_trial(saved.folder))
    [result] = evaluation.results
    seen = []
    for losses in [(), (1,), (1, 1)]:
        saved.losses(*losses)
        evaluation.advance()
        seen.append((result.status, result.violations, result.datapoints))
    assert seen == [("IssuesFound", 1, 2), ("IssuesFound", 1, 3), ("IssuesFound", 3, 5)]
    evaluation.finish()
    assert list(evaluation.results) == list(
        evaluate(saved.folder, [("LossNotDecreasing", {"num_steps": 1})])
    )


def test_what_a_rule_trips_over_is_its_own_error(saved):
    saved.save({"images": [1, 2], GRADIENT: [0]})
    images = ("CheckInputImages", {"regex": "images"})
    first, second = evaluate(saved.folder, [images, "VanishingGradient"])
    assert first.status == "Error"
    assert first.details.startswith("at global step 0: ValueError: the images have shape (2,)")
    assert second.status == "IssuesFound"


def test_a_long_list_of_violations_is_counted_and_cut(saved):
    saved.save({f"gradient/{number}": [0] for number in range(250)})
    result = saved.judged("VanishingGradient")
    assert (result.violations, len(result.verdicts)) == (250, 200)
    assert "(250 times)" in result.details


def test_results_are_a_table_in_text_html_and_pandas(saved):
    saved.save({GRADIENT: [0]})
    results = evaluate(saved.folder, ["VanishingGradient", ("AllZero", {"tensor_regex": "<b>"})])
    assert len(results) == 2
    lines = str(results).splitlines()
    assert lines[0].startswith("VanishingGradient  IssuesFound     gradient/Net_fc.weight at")
    assert lines[1].startswith("AllZero            Error           no tensor of")
    frame = results.frame()
    assert frame.loc["VanishingGradient", "status"] == "IssuesFound"
    html = results._repr_html_()
    assert results["VanishingGradient"].details in html  # whole, however long
    assert "&lt;b&gt;" in html and "<b>" not in html
    [row] = results.verdicts().to_dict("records")
    assert (row["rule"], row["tensor"], row["value"]) == ("VanishingGradient", GRADIENT, 0)
    assert str(results["VanishingGradient"].verdicts[0]).startswith(
        "VanishingGradient: gradient/Net_fc.weight, TRAIN step 0: 0 (threshold 1e-07). Use"
    )
    with pytest.raises(KeyError, match="no rule 'Overfit': there are"):
        results["Overfit"]


def test_no_rules_have_no_results(saved):
    results = evaluate(saved.losses(1).folder, [])
    assert (len(results), str(results), len(results.frame()), len(results.verdicts())) == (
        0,
        *[""],
        0,
        0,
    )


def test_an_open_trial_is_evaluated_as_often_as_one_likes_and_read_after_it(saved, fetched):
    trial = open_trial(saved.save({GRADIENT: [0]}).losses(2, 2).folder)
    rule = ("LossNotDecreasing", {"num_steps": 1})
    first, second = (evaluate(trial, ["VanishingGradient", rule]) for _ in range(2))
    assert list(first) == list(second)
    assert {result.status for result in first} == {"IssuesFound"}
    assert trial.tensor(GRADIENT).values() == {0: [0]}
    gc.collect()
    assert not [name for name, _, value in fetched if value() is not None]  # nothing is kept
