"""Rules of one's own: found, made and asked as in AWS's evaluator."""

import pytest

from debugger_support.saved_tensors import SavedTensors
from debugger_support.services import BUCKET, unique
from open_debugger import evaluate

# In the manner of the examples of AWS's documentation
SOURCE = """
import sys
from smdebug.exceptions import RuleEvaluationConditionMet
from smdebug.rules.rule import Rule

class Large(Rule):
    def __init__(self, base_trial, threshold=10.0):
        super().__init__(base_trial)
        self.threshold = float(threshold)

    def set_required_tensors(self, step):
        for name in self.base_trial.tensor_names(collection="gradients"):
            self.req_tensors.add(name, steps=[step])

    def invoke_at_step(self, step):
        print("asked at", step)
        means = [t.reduction_value(step, "mean", abs=True) for t in self.req_tensors.get()]
        return max(means, default=0) > self.threshold

class LooksBack(Rule):
    def __init__(self, base_trial, other_trials=None):
        super().__init__(base_trial, other_trials=other_trials)

    def invoke_at_step(self, step):
        tensor = self.base_trial.tensor("gradient/fc.weight")
        first = tensor.value(0)
        return (abs(tensor.value(step)) > 3 * abs(first)).any()

class Raises(Rule):
    def invoke_at_step(self, step):
        if step == 2:
            raise RuleEvaluationConditionMet("Raises", step)

class Leaves(Rule):
    def invoke_at_step(self, step):
        sys.exit("enough")

class Breaks(Rule):
    def invoke_at_step(self, step):
        return 1 / 0

class Misses(Rule):
    def invoke_at_step(self, step):
        return self.base_trial.tensor("no such tensor").value(step) > 0

class Unfinished(Rule):
    pass
"""


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "my_rules.py"
    file.write_text(SOURCE)
    return str(file)


@pytest.fixture
def saved(tmp_path):
    tensors = SavedTensors(tmp_path / "tensors")
    for value in range(1, 6):
        tensors.save({"gradient/fc.weight": [value, -value]})
    return tensors


def judged(saved, source, rule, **parameters):
    parameters = {"source_s3_uri": source, "rule_to_invoke": rule, **parameters}
    one = {"RuleConfigurationName": "mine", "RuleParameters": parameters}
    other = {
        "RuleConfigurationName": "other",
        "RuleParameters": {"rule_to_invoke": "VanishingGradient"},
    }
    results = evaluate(saved.folder, [one, other])
    assert results["other"].status == "NoIssuesFound"  # whatever becomes of `mine`
    return results["mine"]


def test_its_condition_ends_it_at_the_first_step(saved, source, capsys):
    found = judged(saved, source, "Large", threshold="2.5")
    assert (found.status, found.violations) == ("IssuesFound", 1)
    assert found.details == (
        "RuleEvaluationConditionMet: Evaluation of the rule Large at step 2 resulted in the "
        "condition being met."
    )
    assert found.parameters == {"source_s3_uri": source, "threshold": "2.5"}
    asked = [line for line in capsys.readouterr().out.splitlines() if line.startswith("asked")]
    assert asked == ["asked at 0", "asked at 1", "asked at 2"]


def test_a_condition_that_is_never_met(saved, source):
    found = judged(saved, source, "Large", threshold="5")
    assert (found.status, found.datapoints) == ("NoIssuesFound", 5)


def test_it_may_look_back(saved, source):
    assert "at step 3 " in judged(saved, source, "LooksBack").details


def test_it_may_raise_what_smdebug_raises(saved, source):
    assert "rule Raises at step 2 " in judged(saved, source, "Raises").details


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("Leaves", "at global step 0: RuntimeError: the rule ended its process with 'enough'"),
        ("Breaks", "at global step 0: ZeroDivisionError"),
        ("Misses", "the tensors that it asks for were not saved"),
        ("Unfinished", "TypeError: Can't instantiate abstract class Unfinished"),
        ("NoSuch", "has no class 'NoSuch' derived from smdebug's Rule"),
        ("sys", "has no class 'sys' derived from smdebug's Rule"),
    ],
)
def test_its_errors_are_its_own(saved, source, rule, words):
    found = judged(saved, source, rule)
    assert found.status == "Error"
    assert words in found.details


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"limit": "3"}, "unexpected keyword argument 'limit'"),
        ({"threshold": "high"}, "could not convert string to float: 'high'"),
        ({"other_trial_0": "s3://a/b"}, "rules on several trials are not evaluated here"),
        ({"action_json": "stop"}, "is not a list of actions"),
    ],
)
def test_parameters_that_it_does_not_take(saved, source, parameters, words):
    found = judged(saved, source, "Large", **parameters)
    assert found.status == "Error"
    assert words in found.details


@pytest.mark.parametrize(
    ("text", "words"), [("sys.exit(3)", "NameError"), ("1 +", "SyntaxError"), ("exit(3)", "Exit")]
)
def test_a_file_that_cannot_be_imported(saved, tmp_path, text, words):
    (tmp_path / "broken.py").write_text(text)
    found = judged(saved, str(tmp_path / "broken.py"), "Large")
    assert found.status == "Error"
    assert words in found.details and "broken.py" in found.details


def test_from_s3(reached, saved, source):
    aws, key = reached, f"{unique('rules')}/my_rules.py"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=SOURCE.encode())
    found = judged(saved, f"s3://{BUCKET}/{key}", "Large", threshold="2.5")
    assert found.status == "IssuesFound"
    tensors = unique("tensors")
    for file in saved.folder.rglob("*.*"):
        name = file.relative_to(saved.folder)
        aws.s3.put_object(Bucket=BUCKET, Key=f"{tensors}/{name}", Body=file.read_bytes())
    saved.folder = f"s3://{BUCKET}/{tensors}"
    assert "at step 3 " in judged(saved, source, "LooksBack").details
    found = judged(saved, f"s3://{BUCKET}/{key}x.py", "Large")
    assert found.status == "Error" and f"{key}x.py cannot be read: " in found.details
    found = judged(saved, f"s3://{BUCKET}/rules", "Large")
    assert "one Python file (.py)" in found.details
