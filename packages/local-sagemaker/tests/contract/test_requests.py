"""The contract: what a client of the API sees, request by request, good ones and bad ones.

Each bad request tells the error's code, the words that name its member, and that afterwards
everything in the engine is as it was before. Each good one tells what came of it. What every
answer looks like is checked besides, against the API's model (`answers.py`).
"""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import (
    BUCKET,
    INFERENCE_IMAGE,
    channel,
    running_engine,
    training_request,
    unique,
)
from local_sagemaker import ROLE_ARN

GONE = object()  # in a change: the member is left out
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"
LISTS = {
    "list_training_jobs": "TrainingJobSummaries",
    "list_hyper_parameter_tuning_jobs": "HyperParameterTuningJobSummaries",
    "list_models": "Models",
    "list_endpoint_configs": "EndpointConfigs",
    "list_endpoints": "Endpoints",
}
IMAGE = {"Image": INFERENCE_IMAGE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
VARIANT = {
    "VariantName": "v",
    "ModelName": "m",
    "InitialInstanceCount": 1,
    "InstanceType": "ml.m5.large",
}


def tuning_request(**members) -> dict:
    definition = training_request(metrics={"loss": "loss=([0-9.]+)"})
    del definition["TrainingJobName"], definition["AlgorithmSpecification"]["ContainerEntrypoint"]
    x = {"Name": "x", "MinValue": "0", "MaxValue": "1"}
    return {
        "HyperParameterTuningJobName": unique("tune"),
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 1, "MaxParallelTrainingJobs": 1},
            "ParameterRanges": {"ContinuousParameterRanges": [x]},
        },
        "TrainingJobDefinition": definition,
        **members,
    }


# A good request of each operation; the changes below spoil it, or make another good one of it.
GOOD = {
    "create_training_job": lambda: training_request("true"),
    "describe_training_job": lambda: {"TrainingJobName": "done"},
    "stop_training_job": lambda: {"TrainingJobName": "busy"},
    "delete_training_job": lambda: {"TrainingJobName": "done"},
    "list_training_jobs": dict,
    "create_hyper_parameter_tuning_job": tuning_request,
    "describe_hyper_parameter_tuning_job": lambda: {"HyperParameterTuningJobName": "tuned"},
    "stop_hyper_parameter_tuning_job": lambda: {"HyperParameterTuningJobName": "tuned"},
    "delete_hyper_parameter_tuning_job": lambda: {"HyperParameterTuningJobName": "tuned"},
    "list_training_jobs_for_hyper_parameter_tuning_job": lambda: {
        "HyperParameterTuningJobName": "tuned"
    },
    "list_hyper_parameter_tuning_jobs": dict,
    "create_model": lambda: {
        "ModelName": unique("model"),
        "PrimaryContainer": IMAGE,
        "ExecutionRoleArn": ROLE_ARN,
    },
    "describe_model": lambda: {"ModelName": "m"},
    "delete_model": lambda: {"ModelName": "m"},
    "list_models": dict,
    "create_endpoint_config": lambda: {
        "EndpointConfigName": unique("config"),
        "ProductionVariants": [VARIANT],
    },
    "describe_endpoint_config": lambda: {"EndpointConfigName": "c"},
    "delete_endpoint_config": lambda: {"EndpointConfigName": "c"},
    "list_endpoint_configs": dict,
    "create_endpoint": lambda: {"EndpointName": unique("endpoint"), "EndpointConfigName": "c"},
    "describe_endpoint": lambda: {"EndpointName": "e"},
    "update_endpoint": lambda: {"EndpointName": "e", "EndpointConfigName": "c"},
    "delete_endpoint": lambda: {"EndpointName": "e"},
    "list_endpoints": dict,
    "add_tags": lambda: {
        "ResourceArn": f"{ARN}model/m",
        "Tags": [{"Key": unique("k"), "Value": "v"}],
    },
    "list_tags": lambda: {"ResourceArn": f"{ARN}model/m"},
    "delete_tags": lambda: {"ResourceArn": f"{ARN}model/m", "TagKeys": ["never"]},
}


def spoilt(operation: str, changes: dict) -> dict:
    """The good request of an operation with members changed, by paths such as ``A.b.0.C``."""
    request = copy.deepcopy(GOOD[operation]())
    for path, value in changes.items():
        *folders, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        place = request
        for folder in folders:
            place = place[folder]
        if value is GONE:
            del place[last]
        else:
            place[last] = value
    return request


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """An engine that holds one of each: a job that ended, one that runs, a tuning job, ..."""
    with running_engine(tmp_path_factory.mktemp("contract")) as aws:
        sagemaker = aws.sagemaker
        aws.s3.create_bucket(Bucket=BUCKET)
        aws.s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=b"no archive")
        aws.s3.put_object(Bucket=BUCKET, Key="data/x", Body=b"x")
        sagemaker.create_model(**spoilt("create_model", {"ModelName": "m"}))
        sagemaker.create_endpoint_config(
            **spoilt("create_endpoint_config", {"EndpointConfigName": "c"})
        )
        sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
        aws.trained("true", TrainingJobName="done", Tags=[{"Key": "course", "Value": "dogs"}])
        tuning = spoilt(
            "create_hyper_parameter_tuning_job", {"HyperParameterTuningJobName": "tuned"}
        )
        sagemaker.create_hyper_parameter_tuning_job(**tuning)
        aws.tuning_job("tuned")
        assert aws.endpoint("e")["EndpointStatus"] == "Failed"  # that is no model, and well so
        lasting = {"MaxRuntimeInSeconds": 3600}  # longer than all requests, on a busy machine
        aws.train("sleep 3600", TrainingJobName="busy", StoppingCondition=lasting)
        while sagemaker.describe_training_job(TrainingJobName="busy")["SecondaryStatus"] != (
            "Training"
        ):
            pass
        raw = aws.client("sagemaker", parameter_validation=False)
        yield SimpleNamespace(aws=aws, sagemaker=sagemaker, raw=raw)


def state(sagemaker) -> dict:
    """Everything that is in the engine: names, statuses, and when each was changed last."""
    found = {
        name: list(
            sagemaker.get_paginator(name)
            .paginate(SortBy="Name", SortOrder="Ascending")
            .search(f"{member}[]")
        )
        for name, member in LISTS.items()
    }
    found["tags"] = sagemaker.list_tags(ResourceArn=f"{ARN}model/m")["Tags"]
    return found


VALIDATION, SERIALIZATION = "ValidationException", "SerializationException"
IN_USE, NOT_FOUND = "ResourceInUse", "ResourceNotFound"
A63, A64 = "a" * 63, "a" * 64
CONFIG = "HyperParameterTuningJobConfig"
DEFINITION = "TrainingJobDefinition"
METRICS = "AlgorithmSpecification.MetricDefinitions"
SUMMARY = "Value '{}' at '{}' failed to satisfy constraint: Member must "


def job(code, words, **changes):
    return "create_training_job", changes, code, words


def tune(code, words, **changes):
    return "create_hyper_parameter_tuning_job", changes, code, words


def at(**changes):
    """Paths as keywords: two underscores stand for a dot."""
    return {path.replace("__", "."): value for path, value in changes.items()}


BAD = [
    # Creating a training job
    job(VALIDATION, "Value null at 'roleArn'", RoleArn=GONE),
    job(VALIDATION, "Value null at 'trainingJobName'", TrainingJobName=GONE),
    job(VALIDATION, "Value null at 'outputDataConfig'", OutputDataConfig=GONE),
    job(VALIDATION, "Value null at 'algorithmSpecification'", AlgorithmSpecification=GONE),
    job(VALIDATION, "Value null at 'resourceConfig'", ResourceConfig=GONE),
    job(VALIDATION, "Value 'a_b' at 'trainingJobName'", TrainingJobName="a_b"),
    job(VALIDATION, "length less than or equal to 63", TrainingJobName=A64),
    job(VALIDATION, "Value '../x' at 'trainingJobName'", TrainingJobName="../x"),
    job(VALIDATION, "Value 'me' at 'roleArn'", RoleArn="me"),
    job(VALIDATION, "'algorithmSpecification.trainingInputMode'", **at(
        AlgorithmSpecification__TrainingInputMode="Slow")),
    job(VALIDATION, "TrainingImage 'ecr/xgboost:1'", **at(
        AlgorithmSpecification__TrainingImage="ecr/xgboost:1")),
    job(VALIDATION, "not both", **at(AlgorithmSpecification__AlgorithmName="mine")),
    job(VALIDATION, "the Regex of the metric 'm'", **{METRICS: [{"Name": "m", "Regex": "("}]}),
    job(VALIDATION, "'m' comes twice", **{METRICS: [{"Name": "m", "Regex": "x"}] * 2}),
    job(VALIDATION, "length less than or equal to 40", **{METRICS: [
        {"Name": f"m{n}", "Regex": "x"} for n in range(41)]}),
    job(VALIDATION, "length less than or equal to 500", **{METRICS: [
        {"Name": "m", "Regex": "x" * 501}]}),
    job(VALIDATION, "at 'hyperParameters' failed", HyperParameters={
        f"p{n}": "1" for n in range(101)}),
    job(VALIDATION, "Map value must satisfy constraint", HyperParameters={"p": "1" * 2501}),
    job(SERIALIZATION, "(at 'hyperParameters.p.member')", HyperParameters={"p": 1}),
    job(VALIDATION, "length less than or equal to 20", InputDataConfig=[
        channel(f"c{n}", f"s3://{BUCKET}/data") for n in range(21)]),
    job(VALIDATION, "'c' comes twice", InputDataConfig=[channel("c", f"s3://{BUCKET}/data")] * 2),
    job(VALIDATION, "'..' cannot be", InputDataConfig=[channel("..", f"s3://{BUCKET}/data")]),
    job(VALIDATION, "inputDataConfig.1.member.dataSource.s3DataSource.s3Uri", InputDataConfig=[
        channel("c", "data")]),
    job(VALIDATION, "'ml.laptop' at 'resourceConfig.instanceType'", **at(
        ResourceConfig__InstanceType="ml.laptop")),
    job(VALIDATION, "'resourceConfig.instanceCount'", **at(ResourceConfig__InstanceCount=0)),
    job(SERIALIZATION, "STRING_VALUE can not be converted to an Integer", **at(
        ResourceConfig__InstanceCount="1")),
    job(VALIDATION, "'stoppingCondition.maxRuntimeInSeconds'", **at(
        StoppingCondition__MaxRuntimeInSeconds=0)),
    job(VALIDATION, "only supported when EnableManagedSpotTraining", **at(
        StoppingCondition__MaxWaitTimeInSeconds=60)),
    job(VALIDATION, "It must be present", EnableManagedSpotTraining=True),
    job(VALIDATION, "greater than or equal to MaxRuntimeInSeconds", EnableManagedSpotTraining=True,
        **at(StoppingCondition__MaxWaitTimeInSeconds=59)),
    job(VALIDATION, "'checkpointConfig.s3Uri'", CheckpointConfig={"S3Uri": "here"}),
    job(VALIDATION, "'https://b/k' is no S3 address", **at(
        OutputDataConfig__S3OutputPath="https://b/k")),
    job(VALIDATION, "aws: prefixed tag key", Tags=[{"Key": "aws:x", "Value": "y"}]),
    job(VALIDATION, "Map keys must satisfy constraint", Environment={"1": "x"}),
    job(VALIDATION, "ServerlessJobConfig", ServerlessJobConfig={
        "BaseModelArn": "arn:aws:sagemaker:us-east-1:aws:hub-content/h/Model/m",
        "JobType": "FineTuning"}),
    job(IN_USE, f"already exists ({ARN}training-job/done)", TrainingJobName="done"),
    job(IN_USE, f"already exists ({ARN}training-job/busy)", TrainingJobName="busy"),
    # Other operations on training jobs
    ("describe_training_job", {"TrainingJobName": "nobody"}, VALIDATION,
     "Requested resource not found."),
    ("describe_training_job", {"TrainingJobName": A64}, VALIDATION, "'trainingJobName'"),
    ("stop_training_job", {"TrainingJobName": "nobody"}, VALIDATION,
     "Requested resource not found."),
    ("stop_training_job", {"TrainingJobName": "done"}, VALIDATION,
     "The request was rejected because the training job is in status Completed."),
    ("delete_training_job", {"TrainingJobName": "busy"}, IN_USE, "job busy is in status InProg"),
    ("delete_training_job", {"TrainingJobName": "nobody"}, NOT_FOUND, "not found"),
    ("list_training_jobs", {"MaxResults": 101}, VALIDATION, "'101' at 'maxResults'"),
    ("list_training_jobs", {"MaxResults": 0}, VALIDATION, "'0' at 'maxResults'"),
    ("list_training_jobs", {"SortBy": "Price"}, VALIDATION, "'Price' at 'sortBy'"),
    ("list_training_jobs", {"NextToken": "10"}, VALIDATION, "Invalid NextToken '10'"),
    ("list_training_jobs", {"StatusEquals": "Done"}, VALIDATION, "'Done' at 'statusEquals'"),
    ("list_training_jobs", {"NameContains": "a b"}, VALIDATION, "'a b' at 'nameContains'"),
    # Tuning jobs
    tune(VALIDATION, "length less than or equal to 32", HyperParameterTuningJobName="a" * 33),
    tune(VALIDATION, "Value null at 'hyperParameterTuningJobConfig'", **{CONFIG: GONE}),
    tune(VALIDATION, "enum value set", **{f"{CONFIG}.Strategy": "Luck"}),
    tune(VALIDATION, "A metric is required for this hyperparameter tuning job objective.", **{
        f"{CONFIG}.HyperParameterTuningJobObjective.MetricName": "f1"}),
    tune(VALIDATION, "Value null at 'trainingJobDefinition.roleArn'", **{
        f"{DEFINITION}.RoleArn": GONE}),
    tune(VALIDATION, "'ecr/xgboost:1'", **{
        f"{DEFINITION}.AlgorithmSpecification.TrainingImage": "ecr/xgboost:1"}),
    tune(IN_USE, "A hyperparameter tuning job with the name, tuned, already exists. Choose a "
         "different name.", HyperParameterTuningJobName="tuned"),
    *[
        (operation, {"HyperParameterTuningJobName": "nobody"}, NOT_FOUND,
         "Amazon SageMaker can't find a tuning job called nobody. Type another name.")
        for operation in ("describe_hyper_parameter_tuning_job", "stop_hyper_parameter_tuning_job",
                          "list_training_jobs_for_hyper_parameter_tuning_job")
    ],
    ("stop_hyper_parameter_tuning_job", {}, VALIDATION, "in status Failed"),
    ("list_hyper_parameter_tuning_jobs", {"NextToken": "x"}, VALIDATION, "Invalid NextToken"),
    # Models, configurations, endpoints
    ("create_model", {"ModelName": "m"}, VALIDATION,
     f'Cannot create already existing model "{ARN}model/m".'),
    ("create_model", {"PrimaryContainer.ModelDataUrl": f"s3://{BUCKET}/none"}, VALIDATION,
     f"Could not find model data at s3://{BUCKET}/none."),
    ("create_model", {"PrimaryContainer.Image": "ecr/xgboost:1"}, VALIDATION, "'ecr/xgboost:1'"),
    ("create_model", {"ModelName": "a_b"}, VALIDATION, "Value 'a_b' at 'modelName'"),
    ("describe_model", {"ModelName": "nobody"}, VALIDATION,
     f'Could not find model "{ARN}model/nobody".'),
    ("delete_model", {"ModelName": "nobody"}, VALIDATION,
     f'Could not find model "{ARN}model/nobody".'),
    ("create_endpoint_config", {"EndpointConfigName": "c"}, VALIDATION,
     f'Cannot create already existing endpoint configuration "{ARN}endpoint-config/c".'),
    ("create_endpoint_config", {"ProductionVariants.0.ModelName": "nobody"}, VALIDATION,
     f'Could not find model "{ARN}model/nobody".'),
    ("create_endpoint_config", {"ProductionVariants": [VARIANT, VARIANT]}, VALIDATION,
     "ProductionVariants.VariantName: the names must be unique, and 'v' comes twice"),
    ("create_endpoint_config", {"ProductionVariants": []}, VALIDATION, "'productionVariants'"),
    ("create_endpoint_config", {"ProductionVariants.0.InstanceType": "ml.toaster"}, VALIDATION,
     "'productionVariants.1.member.instanceType'"),
    ("create_endpoint", {"EndpointName": "e"}, VALIDATION,
     f'Cannot create already existing endpoint "{ARN}endpoint/e".'),
    ("create_endpoint", {"EndpointConfigName": "nobody"}, VALIDATION,
     f'Could not find endpoint configuration "{ARN}endpoint-config/nobody".'),
    *[
        (operation, {"EndpointName": "nobody"}, VALIDATION,
         f'Could not find endpoint "{ARN}endpoint/nobody".')
        for operation in ("describe_endpoint", "update_endpoint", "delete_endpoint")
    ],
    ("update_endpoint", {"EndpointConfigName": "nobody"}, VALIDATION,
     f'Could not find endpoint configuration "{ARN}endpoint-config/nobody".'),
    ("describe_endpoint_config", {"EndpointConfigName": "nobody"}, VALIDATION,
     f'Could not find endpoint configuration "{ARN}endpoint-config/nobody".'),
    ("delete_endpoint_config", {"EndpointConfigName": "nobody"}, VALIDATION,
     f'Could not find endpoint configuration "{ARN}endpoint-config/nobody".'),
    # Tags
    ("add_tags", {"ResourceArn": f"{ARN}model/nobody"}, VALIDATION, "Could not find the resource"),
    ("add_tags", {"ResourceArn": "m"}, VALIDATION, "Value 'm' at 'resourceArn'"),
    ("add_tags", {"Tags": [{"Key": "", "Value": "v"}]}, VALIDATION, "'tags.1.member.key'"),
    ("add_tags", {"Tags": [{"Key": f"k{n}", "Value": "v"} for n in range(51)]}, VALIDATION,
     "length less than or equal to 50"),
    ("add_tags", {"Tags": [{"Key": "a", "Value": "v"}] * 2}, VALIDATION, "'a' comes twice"),
    ("delete_tags", {"TagKeys": []}, VALIDATION, "'tagKeys'"),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "changes", "code", "words"), BAD)
def test_a_bad_request_is_told_why_and_changes_nothing(world, operation, changes, code, words):
    before = state(world.sagemaker)
    with pytest.raises(ClientError) as caught:
        getattr(world.raw, operation)(**spoilt(operation, changes))
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert words in error["Message"]
    assert state(world.sagemaker) == before


def test_most_operations_have_a_bad_request():
    spared = {operation for operation in GOOD if operation.startswith("list")}
    spared.add("delete_hyper_parameter_tuning_job")  # among the good ones, in its order
    assert {case[0] for case in BAD} >= GOOD.keys() - spared


def names(world, **request) -> list[str]:
    found = world.sagemaker.list_training_jobs(**request)
    return [item["TrainingJobName"] for item in found["TrainingJobSummaries"]]


@pytest.mark.parametrize(
    ("changes", "described"),
    [
        ({}, {"EnableManagedSpotTraining": False, "TrainingJobStatus": "Completed"}),
        ({"TrainingJobName": A63[:40]}, {"TrainingJobName": A63[:40]}),
        ({"StoppingCondition": GONE}, {"StoppingCondition": {"MaxRuntimeInSeconds": 86400}}),
        ({"HyperParameters": {"names": "x" * 2500}}, {"HyperParameters": {"names": "x" * 2500}}),
        ({"HyperParameters": {}}, {"HyperParameters": {}}),
        ({"Environment": {"A_1": "line\nline"}}, {"Environment": {"A_1": "line\nline"}}),
        ({"Tags": [{"Key": "Käfer", "Value": ""}]}, {"TrainingJobStatus": "Completed"}),
        (
            {
                "EnableManagedSpotTraining": True,
                "StoppingCondition.MaxWaitTimeInSeconds": 60,
            },
            {"EnableManagedSpotTraining": True},
        ),
        (
            {METRICS: [{"Name": "loss", "Regex": "x"}]},
            {"FinalMetricDataList": None},
        ),
    ],
)  # fmt: skip
def test_a_job_is_made_and_described(world, changes, described):
    request = spoilt("create_training_job", changes)
    answer = world.sagemaker.create_training_job(**request)
    name = request["TrainingJobName"]
    assert answer["TrainingJobArn"] == f"{ARN}training-job/{name}"
    job = world.aws.job(name)
    assert {member: job.get(member) for member in described} == described
    assert job["RoleArn"] == ROLE_ARN
    assert names(world, NameContains=name) == [name]
    assert world.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == request.get(
        "Tags", []
    )


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"NameContains": "don"}, ["done"]),
        ({"StatusEquals": "InProgress"}, ["busy"]),
        ({"StatusEquals": "Stopped"}, []),
        ({"WarmPoolStatusEquals": "InUse"}, []),
        ({"CreationTimeBefore": 1.0}, []),
        ({"CreationTimeAfter": 4e9}, []),
        ({"LastModifiedTimeAfter": 4e9}, []),
        ({"LastModifiedTimeBefore": 1.0}, []),
        ({"NameContains": "b", "SortBy": "Name", "StatusEquals": "InProgress"}, ["busy"]),
        ({"TrainingPlanArnEquals": f"{ARN}training-plan/none"}, []),
    ],
)
def test_jobs_are_listed_by_filters(world, request_, expected):
    assert names(world, **request_) == expected


def test_every_filter_of_every_list_is_heeded(world):
    """A member of a list's request that nobody reads would let everything pass."""
    impossible = {
        "NameContains": "nothing-has-this-name",
        "CreationTimeAfter": 4e9,
        "CreationTimeBefore": 1.0,
        "LastModifiedTimeAfter": 4e9,
        "LastModifiedTimeBefore": 1.0,
        "WarmPoolStatusEquals": "Reused",
        "TrainingPlanArnEquals": f"{ARN}training-plan/none",
        "StatusEquals": "Deleting",
    }
    lists = {**LISTS, "list_training_jobs_for_hyper_parameter_tuning_job": "TrainingJobSummaries"}
    for operation, member in lists.items():
        api = world.sagemaker.meta.method_to_api_mapping[operation]
        shape = world.sagemaker.meta.service_model.operation_model(api).input_shape
        call, good = getattr(world.sagemaker, operation), GOOD[operation]()
        assert call(**good)[member]
        for name in shape.members.keys() - good.keys() - {"SortBy", "SortOrder"}:
            if name == "MaxResults":
                found = call(**good, MaxResults=1)
                assert len(found[member]) == 1
            elif name != "NextToken":
                assert call(**good, **{name: impossible[name]})[member] == [], (operation, name)
        for order in shape.members["SortBy"].enum:
            found = [
                call(**good, MaxResults=100, SortBy=order, SortOrder=way)[member]
                for way in ("Ascending", "Descending")
            ]
            assert found[0] == found[1][::-1], (operation, order)


def test_pages_of_jobs_join(world):
    for _ in range(3):
        world.aws.trained("true")
    whole = names(world, MaxResults=100)
    paginator = world.sagemaker.get_paginator("list_training_jobs")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}))
    joined = [item["TrainingJobName"] for page in pages for item in page["TrainingJobSummaries"]]
    assert joined == whole and len(pages) > 1


def test_stop_and_delete_a_job(world):
    name = world.aws.train("sleep 600")
    world.sagemaker.stop_training_job(TrainingJobName=name)
    job = world.aws.job(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert world.sagemaker.delete_training_job(TrainingJobName=name)["ResponseMetadata"]
    assert names(world, NameContains=name) == []
    with pytest.raises(ClientError, match="Requested resource not found"):
        world.sagemaker.describe_training_job(TrainingJobName=name)
    assert world.aws.trained("true", TrainingJobName=name)["TrainingJobStatus"] == "Completed"


def test_a_tuning_job_from_its_beginning_to_its_deletion(world):
    sagemaker, request = world.sagemaker, tuning_request()
    name = request["HyperParameterTuningJobName"]
    made = sagemaker.create_hyper_parameter_tuning_job(**request)
    asked = {"HyperParameterTuningJobName": name}
    if (
        world.aws.sagemaker.describe_hyper_parameter_tuning_job(**asked)[
            "HyperParameterTuningJobStatus"
        ]
        == "InProgress"
    ):  # nearly always
        with pytest.raises(ClientError, match="only one that has ended"):
            sagemaker.delete_hyper_parameter_tuning_job(**asked)
    tuning = world.aws.tuning_job(name)
    assert made["HyperParameterTuningJobArn"] == tuning["HyperParameterTuningJobArn"]
    (summary,) = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(**asked)[
        "TrainingJobSummaries"
    ]
    job = {"TrainingJobName": summary["TrainingJobName"]}
    assert (
        sagemaker.describe_training_job(**job)["TuningJobArn"] == made["HyperParameterTuningJobArn"]
    )
    with pytest.raises(ClientError, match="belongs to") as caught:
        sagemaker.delete_training_job(**job)
    assert caught.value.response["Error"]["Code"] == IN_USE
    sagemaker.delete_hyper_parameter_tuning_job(**asked)
    with pytest.raises(ClientError, match="can't find a tuning job called"):
        sagemaker.describe_hyper_parameter_tuning_job(**asked)
    assert "TuningJobArn" not in sagemaker.describe_training_job(**job)
    sagemaker.delete_training_job(**job)


def test_what_has_no_objective_is_not_listed_by_objective(world):
    request = {"HyperParameterTuningJobName": "tuned"}
    listed = world.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job
    assert len(listed(**request)["TrainingJobSummaries"]) == 1
    assert listed(**request, SortBy="FinalObjectiveMetricValue")["TrainingJobSummaries"] == []


def holds(told, asked) -> bool:
    """Whether a description tells all that was asked for; AWS fills more in."""
    if not isinstance(asked, dict):
        return told == asked
    return all(name in told and holds(told[name], value) for name, value in asked.items())


@pytest.mark.parametrize("kind", ["model", "endpoint_config", "endpoint"])
def test_what_is_deleted_is_gone_and_its_name_is_free_and_without_tags(world, kind):
    sagemaker = world.sagemaker
    request = GOOD[f"create_{kind}"]()
    member, name = next(iter(request.items()))
    for _ in range(2):
        arn = getattr(sagemaker, f"create_{kind}")(**request)[f"{member[:-4]}Arn"]
        assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == []
        sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
        described = getattr(sagemaker, f"describe_{kind}")(**{member: name})
        assert holds(described, request)
        if kind == "endpoint":
            world.aws.endpoint(name)
        getattr(sagemaker, f"delete_{kind}")(**{member: name})
        with pytest.raises(ClientError, match="Could not find"):
            getattr(sagemaker, f"describe_{kind}")(**{member: name})
        with pytest.raises(ClientError, match="Could not find the resource"):
            sagemaker.list_tags(ResourceArn=arn)


def test_a_failed_endpoint_says_why(world):
    endpoint = world.sagemaker.describe_endpoint(EndpointName="e")
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"]
