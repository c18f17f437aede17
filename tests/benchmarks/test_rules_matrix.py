"""`benchmarks/rules_matrix.py`: what it makes of the rules' answers. Runs are in test_illnesses."""

import pytest

from benchmarks import rules_matrix
from benchmarks.illnesses import HEALTHY, ILL
from debugger_support.saved_tensors import LOSS, SavedTensors
from open_debugger import RULES, RuleResult


def result(run, seed=0, fires=()):
    said = {
        name: {"said": "fires" if name in fires else "silent", "details": "x"} for name in RULES
    }
    return {"name": run.name, "seed": seed, "said": {"course": said, "aws": said}}


def test_a_run_is_judged_by_both_sets_of_parameters(tmp_path):
    saved = SavedTensors(tmp_path)
    for step, loss in enumerate([2.0, 1.0, 2.0, 1.0, 2.0]):  # noisy: 10 steps apart it rises
        saved.save({LOSS: loss}, step=10 * step)
    saved.losses(1.5, mode="EVAL")
    said = rules_matrix.judged(tmp_path)
    assert said.keys() == {"course", "aws"}
    assert said["aws"].keys() == said["course"].keys() == RULES.keys()
    assert said["aws"]["LossNotDecreasing"]["said"] == "fires"
    assert said["course"]["LossNotDecreasing"]["said"] == "silent"
    assert said["aws"]["VanishingGradient"]["said"] == "absent"
    assert "gradients" in said["aws"]["VanishingGradient"]["details"]


def test_a_rule_that_broke_down_stops_the_matrix():
    broken = RuleResult("aws Overfit", "Overfit", "Error", "it broke", datapoints=3)
    with pytest.raises(RuntimeError, match="aws Overfit: it broke"):
        rules_matrix.outcome(broken)


def test_an_illness_that_is_not_caught_and_a_false_alarm_are_named():
    well, ill = HEALTHY[1], ILL[1]
    assert rules_matrix.wrong([result(well), result(ill, fires=[ill.rule, "Overfit"])]) == []
    missed, alarm = rules_matrix.wrong(
        [result(ill, fires=["Overfit"]), result(well, 2, ["Overfit"])]
    )
    assert missed == f"{ill.name}: {ill.rule} is silent: x"
    assert alarm == f"{well.name}, seed 2: Overfit: x"
