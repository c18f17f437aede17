"""`profiler/catalogue.py`: AWS's profiler rules, parameters and defaults."""

import pytest

from open_debugger.parameters import RuleError
from open_debugger.profiler.catalogue import PROFILER_RULES, defaults, make, split, values

# In the order of AWS's rule reports, and with the defaults that its documentation has.
PUBLISHED = {
    "LowGPUUtilization": {"threshold_p95": 70, "threshold_p5": 10, "window": 500, "patience": 1000},
    "CPUBottleneck": {"threshold": 50, "cpu_threshold": 90, "gpu_threshold": 10, "patience": 1000},
    "IOBottleneck": {"threshold": 50, "io_threshold": 50, "gpu_threshold": 10, "patience": 1000},
    "GPUMemoryIncrease": {"increase": 5, "patience": 1000, "window": 10},
    "BatchSize": {
        "cpu_threshold_p95": 70,
        "gpu_threshold_p95": 70,
        "gpu_memory_threshold_p95": 70,
        "patience": 1000,
        "window": 500,
    },
    "LoadBalancing": {"threshold": 0.2, "patience": 1000},
    "StepOutlier": {"threshold": None, "mode": None, "n_outliers": 10, "stddev": 3},
    "Dataloader": {"min_threshold": 70, "max_threshold": 200},
    "MaxInitializationTime": {"threshold": 20},
    "OverallSystemUsage": {},
    "OverallFrameworkMetrics": {},
}


def test_the_catalogue_has_awss_rules_parameters_and_defaults():
    assert {name: defaults(name) for name in PROFILER_RULES} == PUBLISHED
    for name, published in PUBLISHED.items():
        assert list(defaults(name)) == list(published)


@pytest.mark.parametrize(
    ("rule", "name", "given", "taken"),
    [
        ("LowGPUUtilization", "threshold_p95", "80", 80.0),
        ("LowGPUUtilization", "window", "50.0", 50),
        ("LowGPUUtilization", "window", None, 500),
        ("LoadBalancing", "threshold", "0.5", 0.5),
        ("StepOutlier", "mode", "EVAL", "EVAL"),
        ("StepOutlier", "threshold", "2.5", 2.5),
        ("StepOutlier", "stddev", 2, 2.0),
    ],
)
def test_values_come_as_strings_or_as_they_are(rule, name, given, taken):
    value = values(rule, {name: given, "rule_to_invoke": rule, "scan_interval_us": "1"})[name]
    assert value == taken and type(value) is type(taken)


@pytest.mark.parametrize(
    ("rule", "parameters", "text"),
    [
        ("LowGpu", {}, "no profiler rule 'LowGpu' here; there are LowGPUUtilization, CPUB"),
        ("LowGPUUtilization", {"treshold": 1}, "has no parameter 'treshold'; it has threshold_p95"),
        ("OverallSystemUsage", {"window": 1}, "has no parameter 'window'; it has none"),
        ("LowGPUUtilization", {"window": "many"}, "window 'many' is not a whole number"),
        ("CPUBottleneck", {"threshold": "nan"}, "CPUBottleneck: threshold 'nan' is not a number"),
        ("CPUBottleneck", {"threshold": "inf"}, "threshold inf is no percentage"),
        ("CPUBottleneck", {"threshold": "101"}, "CPUBottleneck: threshold 101 is no percentage"),
        ("StepOutlier", {"mode": "PREDICT"}, "StepOutlier: mode 'PREDICT' is none"),
    ],
)
def test_what_does_not_fit_is_refused(rule, parameters, text):
    with pytest.raises(RuleError, match=text):
        make(rule, parameters)


def test_the_reports_parameters_are_those_of_all_rules():
    known = defaults("ProfilerReport")
    assert known["CPUBottleneck_cpu_threshold"] == 90 and known["Dataloader_min_threshold"] == 70
    assert len(known) == sum(map(len, PUBLISHED.values()))
    given = values("ProfilerReport", {"cpubottleneck_cpu_threshold": "85"})
    assert given == {**known, "CPUBottleneck_cpu_threshold": 85}
    with pytest.raises(RuleError, match="CPUBottleneck has no parameter 'treshold'"):
        values("ProfilerReport", {"CPUBottleneck_treshold": "1"})


def test_the_reports_parameters_are_split_by_rule():
    sent = {"CPUBottleneck_cpu_threshold": "85", "LOADBALANCING_threshold": 1}
    sent |= {"rule_to_invoke": "ProfilerReport", "scan_interval_us": 5}
    found = split(sent)
    assert found == {"CPUBottleneck": {"cpu_threshold": "85"}, "LoadBalancing": {"threshold": 1}}


@pytest.mark.parametrize("key", ["threshold", "Nothing_threshold", "CPUBottleneck", "Dataloader_"])
def test_a_parameter_of_no_rule_is_refused(key):
    with pytest.raises(RuleError, match=f"<Rule>_<parameter>.*LowGPUUtil.*not '{key}'"):
        split({key: 1})
