"""The requests of `make aws-smoke`, in an order in which each needs only what came before.

The photos are drawn, eight of two breeds. The scripts are the course's own, as its tuning jobs
send them. All that is made carries the course's tag, and is deleted at the end, whatever happened.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.aws_smoke.record import Record

SCRIPTS = Path(__file__).resolve().parents[2] / "entry_points"
INSTANCE = "ml.m5.large"  # of both jobs and the endpoint
TRIALS = 2
JOB_S, ENDPOINT_S = 900, 1800  # the longest that a job, and the endpoint, may live
TAGS = [{"Key": "project", "Value": "dog-breeds"}, {"Key": "made-by", "Value": "aws-smoke"}]
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
SETTINGS = {
    "model": "mobilenet_v3_small",
    "weights": "random",
    "image-size": "32",
    "batch-size": "4",
    "epochs": "1",
}
# Of the lists of what is to be deleted: operation, member of the answer, name of an item.
KINDS = (
    ("list_endpoints", "Endpoints", "EndpointName"),
    ("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName"),
    ("list_models", "Models", "ModelName"),
)
FINAL = {"Completed", "Failed", "Stopped", "InService"}


@dataclass(frozen=True)
class Place:
    """Where the requests go, and what they name.

    Attributes:
        client: makes a boto3 client of a service.
        role: ARN of the jobs' role.
        bucket: where all objects go, below `name`.
        name: of the tuning job, the model and the endpoint; at most 32 characters.
        pause_s: seconds between two questions after a state.
    """

    client: Callable[[str], Any]
    role: str
    bucket: str
    name: str
    training_image: str
    inference_image: str
    pause_s: float = 15

    @property
    def nobody(self) -> str:
        """A name that nothing has."""
        return f"{self.name}-nobody"

    def uri(self, *parts: str) -> str:
        """An address below the run's own."""
        return "/".join([f"s3://{self.bucket}", self.name, *parts])


def run(place: Place, record: Record, say: Callable[[str], None]) -> None:
    """Make all the requests, and delete what they made.

    Raises:
        RuntimeError: something that should succeed did not; the text says what AWS said.
    """
    with _deleted_at_the_end(place, record, say):
        say("photos and scripts into the bucket")
        _store(place, record)
        say(f"a tuning job of {TRIALS} trials; each takes minutes on AWS")
        best = _tune(place, record)
        say("what AWS refuses")
        _refusals(place, record, best)
        say("an endpoint; takes some minutes on AWS")
        _serve(place, record, best)


# ------------------------------------------------------------------------------------ the requests


def _store(place: Place, record: Record) -> None:
    s3 = place.client("s3")
    for key, body in _photos():
        s3.put_object(Bucket=place.bucket, Key=f"{place.name}/{key}", Body=body)
    scripts = {"Key": f"{place.name}/source/sourcedir.tar.gz", "Body": _archive(_scripts())}
    _needed(record, record.ask("store", s3, "put_object", Bucket=place.bucket, **scripts))
    record.ask("list", s3, "list_objects_v2", Bucket=place.bucket, Prefix=f"{place.name}/data/")


def _tune(place: Place, record: Record) -> str:
    """Run the tuning job to its end; the name of the best training job."""
    sagemaker, name = place.client("sagemaker"), place.name
    request = _tuning_request(place)
    create = "create_hyper_parameter_tuning_job"
    _needed(record, record.ask("tune", sagemaker, create, **request))
    named = {"HyperParameterTuningJobName": name}
    describe = "describe_hyper_parameter_tuning_job"
    _wait(place, lambda: getattr(sagemaker, describe)(**named)["HyperParameterTuningJobStatus"])
    job = _needed(record, record.ask("tuned", sagemaker, describe, **named))
    listed = record.ask(
        "trials",
        sagemaker,
        "list_training_jobs_for_hyper_parameter_tuning_job",
        **named,
        SortBy="CreationTime",
        SortOrder="Ascending",
    )
    reasons = [job.get("FailureReason")]
    for trial in _needed(record, listed)["TrainingJobSummaries"]:
        one = {"TrainingJobName": trial["TrainingJobName"]}
        found = record.ask("trial", sagemaker, "describe_training_job", **one) or {}
        reasons.append(found.get("FailureReason"))
    best = job.get("BestTrainingJob", {}).get("TrainingJobName")
    if best is None:
        why = "; ".join(dict.fromkeys(filter(None, reasons)))
        raise RuntimeError(f"the tuning job {name} has no best job: {why or 'no reason is given'}")
    record.ask("tags", sagemaker, "list_tags", ResourceArn=job["HyperParameterTuningJobArn"])
    _read_log(place, record, best)
    return best


def _read_log(place: Place, record: Record, job: str) -> None:
    logs, group = place.client("logs"), {"logGroupName": LOG_GROUP}
    streams = record.ask(
        "log", logs, "describe_log_streams", **group, logStreamNamePrefix=f"{job}/"
    )
    for stream in (streams or {}).get("logStreams", []):
        place_in = {**group, "logStreamName": stream["logStreamName"]}
        found = logs.get_log_events(**place_in, startFromHead=True)["events"]
        epochs = [each["message"] for each in found if each["message"].startswith("epoch=")]
        if not epochs:
            raise RuntimeError(f"no line of the log of {job} begins with epoch=")


def _refusals(place: Place, record: Record, best: str) -> None:
    """Requests that are wrong: AWS's codes and words, for nothing.

    Where AWS takes one all the same, what it makes is called "nobody", and `_delete` ends it.
    """
    sagemaker, runtime = place.client("sagemaker"), place.client("sagemaker-runtime")
    nobody = place.nobody

    def wrong(step: str, operation: str, client: Any = sagemaker, **params: Any) -> None:
        record.ask(f"refused: {step}", client, operation, **params)

    wrong("no such job", "describe_training_job", TrainingJobName=nobody)
    wrong("a job that has ended", "stop_training_job", TrainingJobName=best)
    wrong("the name is taken", "create_hyper_parameter_tuning_job", **_tuning_request(place))
    job = _training_request(place, nobody)
    wrong("spot without a wait", "create_training_job", **job, EnableManagedSpotTraining=True)
    limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
    waiting = {**job, "StoppingCondition": limits}
    wrong("a wait without spot", "create_training_job", **waiting)
    limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 59}
    spot = {**job, "StoppingCondition": limits, "EnableManagedSpotTraining": True}
    wrong("a wait that is too short", "create_training_job", **spot)
    twice = {**job, "InputDataConfig": [_channel(place, "train")] * 2}
    wrong("a channel twice", "create_training_job", **twice)
    wrong("no such model", "describe_model", ModelName=nobody)
    wrong("no such configuration", "describe_endpoint_config", EndpointConfigName=nobody)
    wrong("no such endpoint", "describe_endpoint", EndpointName=nobody)
    wrong("nobody answers", "invoke_endpoint", runtime, EndpointName=nobody, Body=b"x")
    variant = {"VariantName": "one", "ModelName": nobody, "InstanceType": INSTANCE}
    variants = [{**variant, "InitialInstanceCount": 1}]
    name = {"EndpointConfigName": nobody}
    wrong("of no model", "create_endpoint_config", **name, ProductionVariants=variants)


def _serve(place: Place, record: Record, best: str) -> None:
    sagemaker, runtime = place.client("sagemaker"), place.client("sagemaker-runtime")
    name, environment = place.name, {"SAGEMAKER_PROGRAM": "inference.py"}
    environment |= {"SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code"}
    container = {
        "Image": place.inference_image,
        "ModelDataUrl": _with_code(place, record, best),
        "Environment": environment,
    }
    model = {"ModelName": name, "ExecutionRoleArn": place.role, "Tags": TAGS}
    answer = record.ask("model", sagemaker, "create_model", **model, PrimaryContainer=container)
    _needed(record, answer)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": INSTANCE}
    config = {"EndpointConfigName": name, "Tags": TAGS}
    config["ProductionVariants"] = [{**variant, "InitialInstanceCount": 1}]
    _needed(record, record.ask("configuration", sagemaker, "create_endpoint_config", **config))
    endpoint = {"EndpointName": name, "EndpointConfigName": name, "Tags": TAGS}
    _needed(record, record.ask("endpoint", sagemaker, "create_endpoint", **endpoint))
    one = {"EndpointName": name}
    status = _wait(place, lambda: sagemaker.describe_endpoint(**one)["EndpointStatus"], ENDPOINT_S)
    record.ask("endpoint", sagemaker, "describe_endpoint", **one)
    record.ask("model", sagemaker, "describe_model", ModelName=name)
    record.ask("configuration", sagemaker, "describe_endpoint_config", EndpointConfigName=name)
    if status != "InService":
        raise RuntimeError(f"the endpoint {name} is {status}: its log group says why")
    photo = {"ContentType": "image/jpeg", "Body": next(_photos())[1]}
    answer = _needed(record, record.ask("query", runtime, "invoke_endpoint", **one, **photo))
    predictions = json.loads(answer["Body"].read())["predictions"]
    if not predictions:
        raise RuntimeError("the endpoint answered without a prediction")
    empty = {"ContentType": "image/jpeg", "Body": b"no photo"}
    record.ask("refused: no photo", runtime, "invoke_endpoint", **one, **empty)


# ---------------------------------------------------------------------------- what they consist of


def _training_request(place: Place, name: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": _algorithm(place),
        "HyperParameters": SETTINGS,
        **_definition(place),
    }


def _tuning_request(place: Place) -> dict[str, Any]:
    limits = {"MaxNumberOfTrainingJobs": TRIALS, "MaxParallelTrainingJobs": TRIALS}
    objective = {"Type": "Maximize", "MetricName": "valid_accuracy"}
    rates = {"Name": "lr", "MinValue": "0.0001", "MaxValue": "0.01", "ScalingType": "Logarithmic"}
    source = {
        "sagemaker_program": '"train.py"',
        "sagemaker_submit_directory": json.dumps(place.uri("source", "sourcedir.tar.gz")),
    }
    return {
        "HyperParameterTuningJobName": place.name,
        "HyperParameterTuningJobConfig": {
            "Strategy": "Random",
            "RandomSeed": 1,
            "HyperParameterTuningJobObjective": objective,
            "ResourceLimits": limits,
            "ParameterRanges": {"ContinuousParameterRanges": [rates]},
        },
        "TrainingJobDefinition": {
            "AlgorithmSpecification": _algorithm(place),
            "StaticHyperParameters": SETTINGS | source,
            **_definition(place),
        },
        "Tags": TAGS,
    }


def _algorithm(place: Place) -> dict[str, Any]:
    metric = {"Name": "valid_accuracy", "Regex": r"\bvalid_accuracy=([0-9.]+)"}
    return {
        "TrainingImage": place.training_image,
        "TrainingInputMode": "File",
        "MetricDefinitions": [metric],
    }


def _definition(place: Place) -> dict[str, Any]:
    """What a training job and the definition of a tuning job's have in common."""
    return {
        "RoleArn": place.role,
        "InputDataConfig": [_channel(place, name) for name in ("train", "valid")],
        "OutputDataConfig": {"S3OutputPath": place.uri("output")},
        "ResourceConfig": {"InstanceType": INSTANCE, "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": JOB_S},
    }


def _channel(place: Place, name: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3DataDistributionType": "FullyReplicated"}
    source["S3Uri"] = place.uri("data", name)
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def _photos() -> Iterator[tuple[str, bytes]]:
    """Keys below the run's folder, and photos of one colour with some noise."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for breed, colour in (
        ("001.Affenpinscher", (200, 60, 60)),
        ("002.Afghan_hound", (60, 60, 200)),
    ):
        for number in range(8):
            pixels = np.array(colour) + random.integers(-50, 50, (40, 48, 3))
            file = io.BytesIO()
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG")
            channel = "train" if number < 6 else "valid"
            yield f"data/{channel}/{breed}/{number:03}.jpg", file.getvalue()


def _scripts() -> dict[str, bytes]:
    files = [each for each in SCRIPTS.rglob("*") if each.suffix in {".py", ".txt"}]
    return {str(each.relative_to(SCRIPTS)): each.read_bytes() for each in sorted(files)}


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _with_code(place: Place, record: Record, job: str) -> str:
    """Put the scripts into a model's archive, as the SDK does; the new archive's address."""
    s3, key = place.client("s3"), f"{place.name}/output/{job}/output/model.tar.gz"
    answer = _needed(
        record, record.ask("model data", s3, "get_object", Bucket=place.bucket, Key=key)
    )
    with tarfile.open(fileobj=io.BytesIO(answer["Body"].read())) as source:
        members = [member for member in source.getmembers() if member.isfile()]
        files = {each.name.removeprefix("./"): source.extractfile(each).read() for each in members}
    code = {f"code/{name}": content for name, content in _scripts().items()}
    key = f"{place.name}/model/model.tar.gz"
    s3.put_object(Bucket=place.bucket, Key=key, Body=_archive(files | code))
    return f"s3://{place.bucket}/{key}"


# ----------------------------------------------------------------------------- waiting, cleaning up


def _needed(record: Record, answer: dict[str, Any] | None) -> dict[str, Any]:
    """The answer, without which the rest makes no sense.

    Raises:
        RuntimeError: it was an error.
    """
    if answer is None:
        last = record.answers[-1]
        raise RuntimeError(
            f"{last['operation']}: {last['error']['code']}: {last['error']['message']}"
        )
    return answer


def _wait(place: Place, ask: Callable[[], str], limit_s: float = TRIALS * JOB_S + 900) -> str:
    deadline = time.monotonic() + limit_s
    while (status := ask()) not in FINAL and time.monotonic() < deadline:
        time.sleep(place.pause_s)
    return status


@contextmanager
def _deleted_at_the_end(place: Place, record: Record, say: Callable[[str], None]) -> Iterator[None]:
    try:
        yield
    finally:
        say("deleting all of it")
        left = _delete(place, record)
        nothing = "nothing is left but the jobs' descriptions and logs, which cost nothing"
        say(f"STILL THERE, delete it by hand: {', '.join(left)}" if left else nothing)


def _delete(place: Place, record: Record) -> list[str]:
    """Delete what the run may have made, the expensive first; what is still there by its name.

    The jobs' descriptions and logs stay. They cost nothing.
    """
    sagemaker, name = place.client("sagemaker"), place.name
    tuning = {"HyperParameterTuningJobName": name}
    record.ask("delete", sagemaker, "delete_endpoint", EndpointName=name)
    record.ask("stop", sagemaker, "stop_hyper_parameter_tuning_job", **tuning)
    record.ask("delete", sagemaker, "delete_endpoint_config", EndpointConfigName=name)
    record.ask("delete", sagemaker, "delete_model", ModelName=name)
    _try(lambda: sagemaker.stop_training_job(TrainingJobName=place.nobody))
    _try(lambda: sagemaker.delete_endpoint_config(EndpointConfigName=place.nobody))
    _wait(place, lambda: _status_of(sagemaker, tuning), JOB_S)  # until then, it may store more
    _empty(place)
    deadline = time.monotonic() + JOB_S
    while (left := _left(place)) and time.monotonic() < deadline:
        time.sleep(place.pause_s)
    return left


def _empty(place: Place) -> None:
    s3 = place.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=place.bucket, Prefix=f"{place.name}/"
    )
    for page in pages:
        if keys := [{"Key": item["Key"]} for item in page.get("Contents", [])]:
            s3.delete_objects(Bucket=place.bucket, Delete={"Objects": keys})


def _left(place: Place) -> list[str]:
    """What SageMaker lists of the run that costs money, or belongs to what does."""
    sagemaker, left = place.client("sagemaker"), []
    for operation, member, key in KINDS:
        answer = _try(lambda operation=operation: getattr(sagemaker, operation)(
            NameContains=place.name
        ))  # fmt: skip
        if answer is None:
            left.append(f"whatever {operation} would list, which was refused")
        else:
            left += [f"{key} {item[key]}" for item in answer[member]]
    return left


def _status_of(sagemaker: Any, tuning: dict[str, str]) -> str:
    """A tuning job's status; Stopped if there is none."""
    answer = _try(lambda: sagemaker.describe_hyper_parameter_tuning_job(**tuning))
    return answer["HyperParameterTuningJobStatus"] if answer else "Stopped"


def _try(ask: Callable[[], Any]) -> Any:
    """The answer, or None for an error."""
    from botocore.exceptions import ClientError

    try:
        return ask()
    except ClientError:
        return None
