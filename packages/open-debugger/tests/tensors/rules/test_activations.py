"""`tensors/rules/activations.py`: units that are dead or saturated."""

import numpy as np
import pytest

from debugger_support.saved_tensors import SavedTensors

NAN = np.nan
OUTPUT, TANH, SIGMOID = "layer1.0.relu_output_0", "tanh_input_0", "gate.sigmoid_input_0"


@pytest.fixture
def saved(tmp_path):
    return SavedTensors(tmp_path / "trial")


def units(*active, samples=1000):
    """Outputs of units, each active on so many of the samples."""
    output = np.zeros((samples, len(active)), np.float32)
    for unit, count in enumerate(active):
        output[:count, unit] = 1e-30
    return output


@pytest.mark.parametrize(
    ("output", "dead"),
    [
        (units(1000, 1000), 0),
        (units(0, 0), 100),
        (units(0, 1000), None),  # half of them: not more than 50 %
        (units(0, 0, 1000), 200 / 3),
        (units(9, 9, 9), 100),  # active on 0.9 %
        (units(10, 10, 10), 0),  # on 1 %
        (-units(500, 500), 100),
        (np.full((4, 3), NAN), 0),  # exploded, not dead
        (units(0)[0], 100),  # one unit, one sample
        (units(0, 0).reshape(1000, 2, 1, 1), 100),
    ],
)
def test_a_relu_is_dead_that_is_hardly_ever_active(saved, output, dead):
    result = saved.save({OUTPUT: output}).judged("DeadRelu")
    found = [verdict.value for verdict in result.verdicts]
    assert found == pytest.approx([dead] if dead else [])


def test_a_channel_is_one_unit_over_all_its_positions(saved):
    output = np.zeros((2, 3, 10, 10))
    output[0, 0, 0, :2] = 1  # 2 of 200 positions: 1 %
    output[1, 1, 5, 5] = 1  # 0.5 %
    saved.save({OUTPUT: output})
    assert saved.judged("DeadRelu").verdicts[0].value == pytest.approx(200 / 3)
    assert saved.judged("DeadRelu", threshold_layer=67).status == "NoIssuesFound"
    assert saved.judged("DeadRelu", threshold_inactivity="0.5").status == "NoIssuesFound"


def test_the_verdict_names_the_layer(saved):
    saved.save({OUTPUT: units(0), "layer2.0.relu_output_1": units(1000)}, "EVAL", step=7)
    [verdict] = saved.judged("DeadRelu").verdicts
    assert (verdict.tensor, verdict.step, verdict.mode) == (OUTPUT, 7, "EVAL")
    assert (verdict.value, verdict.threshold) == (100, 50)


def test_numbered_modules_are_an_error_that_names_the_way_out(saved):
    saved.save({"features.1_output_0": units(0)})
    result = saved.judged("DeadRelu")
    assert result.status == "Error"
    assert "'.*relu_output'" in result.details and "tensor_regex" in result.details
    assert saved.judged("DeadRelu", tensor_regex=r"features\.1_output").violations == 1


@pytest.mark.parametrize(
    ("name", "value", "saturated"),
    [
        (TANH, 9.4999, True),
        (TANH, 9.4998, False),
        (TANH, -9.4999, True),
        (TANH, -9.4998, False),
        (SIGMOID, 16.99999, True),
        (SIGMOID, 16.9999, False),
        (SIGMOID, -23, True),
        (SIGMOID, -22.999, False),
        ("features.3_input_0", 12, True),  # counts as tanh
        (TANH, NAN, False),
        (TANH, np.inf, True),
    ],
)
def test_an_input_beyond_the_limits_saturates(saved, name, value, saturated):
    saved.save({name: np.full((8, 4), value, np.float64)})
    result = saved.judged("SaturatedActivation", tensor_regex=".*_input")
    assert result.status == ("IssuesFound" if saturated else "NoIssuesFound")


def test_the_limits_are_parameters(saved):
    saved.save({TANH: np.full((2, 2), 3.0), SIGMOID: np.full((2, 2), -5.0)})
    rule = "SaturatedActivation"
    assert saved.judged(rule).status == "NoIssuesFound"
    [tanh] = saved.judged(rule, threshold_tanh_max=3).verdicts
    [sigmoid] = saved.judged(rule, threshold_sigmoid_min="-5").verdicts
    assert (tanh.tensor, sigmoid.tensor) == (TANH, SIGMOID)


def test_a_saturated_layer_has_more_than_threshold_layer_such_units(saved):
    inputs = np.zeros((100, 4))
    inputs[:, :2], inputs[:, 2] = 99, np.where(np.arange(100) < 1, 0, 99)
    saved.save({TANH: inputs})  # two units never active, one at 1 %, one always
    rule = "SaturatedActivation"
    assert saved.judged(rule).status == "NoIssuesFound"
    assert saved.judged(rule, threshold_layer=49.9).verdicts[0].value == 50
    assert saved.judged(rule, threshold_inactivity=1.1).verdicts[0].value == 75


def test_a_collection_may_name_the_activations(tmp_path):
    saved = SavedTensors(tmp_path, gates="gate$").save({"gate": np.full((2, 2), 99.0)})
    result = saved.judged("SaturatedActivation", collection_names="gates")
    assert result.status == "IssuesFound"


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"threshold_layer": 101}, "threshold_layer 101.0: it is a percentage"),
        ({"threshold_inactivity": -1}, "threshold_inactivity -1.0: it is a percentage"),
        ({"threshold_tanh_min": 10}, "threshold_tanh_min 10.0 is not below threshold_tanh_max"),
        ({"threshold_sigmoid_max": -23}, "threshold_sigmoid_min -23.0 is not below"),
    ],
)
def test_limits_that_mean_nothing_are_refused(saved, parameters, text):
    result = saved.save({TANH: units(0)}).judged("SaturatedActivation", **parameters)
    assert result.status == "Error" and text in result.details
