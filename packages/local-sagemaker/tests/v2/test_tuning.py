"""HyperparameterTuner of SDK v2."""

import pytest
from botocore.exceptions import ClientError
from sagemaker.analytics import HyperparameterTuningJobAnalytics
from sagemaker.tuner import (
    CategoricalParameter,
    ContinuousParameter,
    HyperparameterTuner,
)

from conftest import METRICS, unique

RANGES = {
    "lr": ContinuousParameter(0.01, 1.0, scaling_type="Logarithmic"),
    "kind": CategoricalParameter(["plain", "fancy"]),
}


@pytest.fixture(scope="module")
def make(estimator):
    def tuner(ranges=RANGES, **members) -> HyperparameterTuner:
        members = {
            "objective_metric_name": "loss",
            "metric_definitions": METRICS,
            "objective_type": "Minimize",
            "max_jobs": 3,
            "max_parallel_jobs": 3,
            **members,
        }
        return HyperparameterTuner(estimator(), hyperparameter_ranges=ranges, **members)

    return tuner


@pytest.fixture(scope="module")
def tuned(make):
    tuner = make(tags=[{"Key": "team", "Value": "dogs"}], base_tuning_job_name="colours")
    tuner.fit()
    return tuner


def test_the_best_job_is_the_one_with_the_lowest_loss(tuned):
    table = tuned.analytics().dataframe()
    assert len(table) == 3 and set(table["TrainingJobStatus"]) == {"Completed"}
    best = table.sort_values("FinalObjectiveValue").iloc[0]
    assert tuned.best_training_job() == best["TrainingJobName"]
    expected = (table["lr"].astype(float) - 0.3) ** 2 + 1 / 3
    assert table["FinalObjectiveValue"].tolist() == pytest.approx(expected.tolist(), abs=1e-3)
    assert set(table["kind"].str.strip('"')) <= {"plain", "fancy"}


def test_the_best_estimator_has_the_best_jobs_hyperparameters_and_model(tuned):
    best = tuned.best_estimator()
    assert best.latest_training_job.name == tuned.best_training_job()
    found = best.hyperparameters()
    assert 0.01 <= float(found["lr"]) <= 1.0 and found["kind"].strip('"') in {"plain", "fancy"}
    assert best.model_data.endswith(f"{tuned.best_training_job()}/output/model.tar.gz")


def test_attach_brings_the_tuner_back(tuned, session):
    name = tuned.latest_tuning_job.name
    again = HyperparameterTuner.attach(name, sagemaker_session=session)
    assert again.best_training_job() == tuned.best_training_job()
    (range_of_lr,) = again.hyperparameter_ranges()["ContinuousParameterRanges"]
    assert (range_of_lr["Name"], range_of_lr["MaxValue"]) == ("lr", "1.0")
    described = again.describe()["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert described["ContinuousParameterRanges"][0]["ScalingType"] == "Logarithmic"
    analytics = HyperparameterTuningJobAnalytics(name, sagemaker_session=session)
    assert len(analytics.training_job_summaries()) == 3
    assert set(analytics.tuning_ranges) == {"lr", "kind"}


def test_the_description_counts_its_jobs(tuned, client):
    found = tuned.describe()
    assert found["HyperParameterTuningJobStatus"] == "Completed"
    assert found["TrainingJobStatusCounters"]["Completed"] == 3
    assert found["ObjectiveStatusCounters"] == {"Succeeded": 3, "Pending": 0, "Failed": 0}
    tags = client.list_tags(ResourceArn=found["HyperParameterTuningJobArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "dogs"}]


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"ranges": {"lr": ContinuousParameter(1.0, 0.1)}}, "lr"),
        ({"objective_type": "Middle"}, "type"),
        ({"early_stopping_type": "Sometimes"}, "trainingJobEarlyStoppingType"),
        ({"strategy": "Psychic"}, "strategy"),
        ({"objective_metric_name": "not-defined"}, "not-defined"),
    ],
)
def test_what_the_service_refuses(make, client, members, said):
    name = unique("bad")
    with pytest.raises(ClientError, match=r"\(ValidationException\)") as raised:
        make(**members).fit(job_name=name, wait=False)
    assert said.lower() in str(raised.value).lower()
    with pytest.raises(ClientError, match=r"\((ResourceNotFound|ValidationException)\)"):
        client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


def test_attach_to_nothing(session):
    with pytest.raises(ClientError) as raised:
        HyperparameterTuner.attach("never-was", sagemaker_session=session)
    assert raised.value.response["Error"]["Code"] in {"ResourceNotFound", "ValidationException"}
