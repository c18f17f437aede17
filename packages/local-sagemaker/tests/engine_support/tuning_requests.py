"""The smallest tuning jobs that do something: their training jobs are lines of shell."""

from pathlib import Path

from engine_support.clients import training_request, unique
from engine_support.shared_files import shared

CONTAINER = shared(Path(__file__).parent / "quick_container")
# The tuned x from where a script would read it; and printed as the metric.
READ_X = 'x=$(sed \'s/.*"x": "\\([^"]*\\)".*/\\1/\' /opt/ml/input/config/hyperparameters.json); '
ECHO_X = READ_X + 'echo "objective=$x"'


def tuning_request(command=ECHO_X, jobs=6, parallel=2, goal="Maximize", regex=None, **config):
    definition = training_request(metrics={"objective": regex or "objective=([0-9.]+)"})
    del definition["TrainingJobName"], definition["AlgorithmSpecification"]["ContainerEntrypoint"]
    path = f"{CONTAINER}:/usr/bin:/bin"
    definition["Environment"] = {"PATH": path, "JOB_COMMAND": command}
    definition["StaticHyperParameters"] = {"fixed": "1"}
    ranges = {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "1"}]}
    limits = {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel}
    return {
        "HyperParameterTuningJobName": unique("tune"),
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "RandomSeed": 1,
            "HyperParameterTuningJobObjective": {"Type": goal, "MetricName": "objective"},
            "ResourceLimits": limits,
            "ParameterRanges": ranges,
            **config,
        },
        "TrainingJobDefinition": definition,
    }


def start(aws, request):
    aws.sagemaker.create_hyper_parameter_tuning_job(**request)
    return request["HyperParameterTuningJobName"]


def tuned(aws, **members):
    return aws.tuning_job(start(aws, tuning_request(**members)))


def jobs_of(aws, name, **members):
    return aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, MaxResults=100, **members
    )["TrainingJobSummaries"]


def grid(*values):
    """Members of a configuration that tries these values of x, in this order."""
    ranges = {"CategoricalParameterRanges": [{"Name": "x", "Values": list(values)}]}
    return {"Strategy": "Grid", "ParameterRanges": ranges, "jobs": len(values)}


def values_of(summaries):
    """The tuned x of training jobs, in the order in which they were started."""
    ordered = sorted(summaries, key=lambda s: s["TrainingJobName"])
    return [s["TunedHyperParameters"]["x"] for s in ordered]
