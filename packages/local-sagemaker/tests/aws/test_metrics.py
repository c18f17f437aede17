"""Metrics in the store, as CloudWatch's operations read them."""

import time

import pytest

from engine_support.clients import unique

NOW = int(time.time()) // 60 * 60


@pytest.fixture
def space(aws):
    """A namespace with 1, 2 and 3 of color red, and ten times 5 of color blue."""
    name = unique("space")
    red, blue = ([{"Name": "color", "Value": value}] for value in ("red", "blue"))
    data = [
        {
            "MetricName": "m",
            "Dimensions": red,
            "Value": n,
            "Timestamp": NOW + 60 * n,
            "Unit": "Count",
        }
        for n in (1, 2, 3)
    ]
    data.append({"MetricName": "m", "Dimensions": blue, "Values": [5], "Counts": [10]})
    aws.cloudwatch.put_metric_data(Namespace=name, MetricData=data)
    return name


def statistics(aws, space, *names, color=None, name="m", **times):
    points = aws.cloudwatch.get_metric_statistics(
        Namespace=space,
        MetricName=name,
        StartTime=times.get("start", NOW - 3600),
        EndTime=times.get("end", NOW + 3600),
        Period=7200,
        Statistics=names,
        **({"Dimensions": [{"Name": "color", "Value": color}]} if color else {}),
    )["Datapoints"]
    return [[point[name] for name in names] for point in points]


def test_values_are_found_by_dimension_and_time(aws, space):
    assert statistics(aws, space, "Sum", "SampleCount", color="red") == [[6, 3]]
    assert statistics(aws, space, "Sum", "SampleCount", color="blue") == [[50, 10]]
    assert statistics(aws, space, "Sum", color="green") == []
    assert statistics(aws, space, "Sum", color="red", end=NOW + 120) == [[1]]
    assert statistics(aws, space, "Sum", color="red", start=NOW + 120) == [[5]]
    assert statistics(aws, "elsewhere", "Sum") == []


def test_statistics_are_kept_as_they_were_put(aws, space):
    values = {"Sum": 10, "Minimum": 1, "Maximum": 7, "SampleCount": 4}
    datum = {"MetricName": "set", "StatisticValues": values}
    aws.cloudwatch.put_metric_data(Namespace=space, MetricData=[datum])
    assert statistics(aws, space, *values, name="set") == [list(values.values())]


def test_each_metric_is_listed_once(aws, space):
    listed = aws.cloudwatch.list_metrics(Namespace=space)["Metrics"]
    assert sorted(m["Dimensions"][0]["Value"] for m in listed) == ["blue", "red"]


def test_metric_data_answers_queries(aws, space):
    dimensions = [{"Name": "color", "Value": "red"}]
    metric = {"Namespace": space, "MetricName": "m", "Dimensions": dimensions}
    query = {"Id": "q", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}}
    (result,) = aws.cloudwatch.get_metric_data(
        MetricDataQueries=[query], StartTime=NOW, EndTime=NOW + 3600
    )["MetricDataResults"]
    assert result["Values"] == [3, 2, 1]  # the latest first, unless asked otherwise


def test_a_refused_request_leaves_nothing(aws, space):
    data = [{"MetricName": "m", "Value": 1}, {"MetricName": "m", "Value": 1, "Values": [1]}]
    with pytest.raises(aws.cloudwatch.exceptions.ClientError):
        aws.cloudwatch.put_metric_data(Namespace=space, MetricData=data)
    assert len(aws.cloudwatch.list_metrics(Namespace=space)["Metrics"]) == 2
