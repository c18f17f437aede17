"""What an engine holds, as facts of the same form as the ledgers'."""

import hashlib
import re
import time

from engine_support.clients import BUCKET
from engine_support.faults.ledger import Fact
from engine_support.faults.workload import (
    ENDED,
    GROUP,
    LINES,
    NAMESPACE,
    VERSIONED,
    as_text,
    is_over,
    model_arn,
)

ORDER = ["Starting", "Downloading", "Training", "Stopping", "Uploading"]  # then the end
PRINTED = [f"line {number}" for number in range(LINES)]
LOST = re.compile(r"local_sagemaker: (\d+) lines of output before this one were lost")
SETUP = {BUCKET, VERSIONED}  # buckets that the suite makes itself


def survey(aws, ended: set[str]) -> dict[Fact, object]:
    """Every bucket, object, upload, role, model, ... that can be listed.

    `ended` are the jobs whose descriptions are of interest.
    """
    found: dict[Fact, object] = {}
    for look in (_buckets, _objects, _versions, _uploads, _roles, _models, _logs, _metrics):
        found |= look(aws)
    for job in jobs(aws):
        name = job["TrainingJobName"]
        if not name.startswith("tuning-"):
            found["job", name] = "there"
        if name in ended:
            found["ended job", name] = as_text(job)
    for job in tuning_jobs(aws):
        found["tuning", job["HyperParameterTuningJobName"]] = "there"
    return found


def _buckets(aws) -> dict[Fact, object]:
    found = {}
    for bucket in aws.s3.list_buckets()["Buckets"]:
        if (name := bucket["Name"]) not in SETUP:
            try:
                text = aws.s3.get_bucket_tagging(Bucket=name)["TagSet"][0]["Value"]
            except aws.s3.exceptions.ClientError as error:
                assert error.response["Error"]["Code"] == "NoSuchTagSet", error
                text = None
            found["bucket", name] = (bucket["CreationDate"].isoformat(), text)
    return found


def _objects(aws) -> dict[Fact, object]:
    found = {}
    for key in aws.keys(""):
        if key.startswith(("out/", "fixed/")):
            continue  # what jobs left, and the endpoint's model
        answer = aws.s3.get_object(Bucket=BUCKET, Key=key)
        etag = answer["ETag"].strip('"')
        body = hashlib.md5(answer["Body"].read()).hexdigest()
        tags = ()
        if answer.get("TagCount"):
            listed = aws.s3.get_object_tagging(Bucket=BUCKET, Key=key)["TagSet"]
            tags = tuple((tag["Key"], tag["Value"]) for tag in listed)
        value = (etag if "-" in etag else body, answer["Metadata"].get("note"), tags)
        found["object", BUCKET, key] = value
    return found


def _versions(aws) -> dict[Fact, object]:
    answer = aws.s3.list_object_versions(Bucket=VERSIONED)
    found: dict[str, tuple[list, list]] = {}
    for item in answer.get("Versions", []):
        found.setdefault(item["Key"], ([], []))[0].append(item["ETag"].strip('"'))
    for item in answer.get("DeleteMarkers", []):
        found.setdefault(item["Key"], ([], []))[1].append(item["IsLatest"])
    return {
        ("versions", VERSIONED, key): (tuple(etags[::-1]), len(markers), any(markers))
        for key, (etags, markers) in found.items()
    }


def _uploads(aws) -> dict[Fact, object]:
    found = {}
    for upload in aws.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        key, number = upload["Key"], upload["UploadId"]
        listed = aws.s3.list_parts(Bucket=BUCKET, Key=key, UploadId=number).get("Parts", [])
        parts = tuple((part["PartNumber"], part["ETag"].strip('"')) for part in listed)
        found["upload", BUCKET, key] = (number, parts)
    return found


def _roles(aws) -> dict[Fact, object]:
    pages = aws.iam.get_paginator("list_roles").paginate()
    roles = [role for page in pages for role in page["Roles"]]
    return {("role", r["RoleName"]): (r["RoleId"], r["CreateDate"].isoformat()) for r in roles}


def _models(aws) -> dict[Fact, object]:
    found = {}
    for page in aws.sagemaker.get_paginator("list_models").paginate():
        for model in page["Models"]:
            tags = aws.sagemaker.list_tags(ResourceArn=model_arn(model["ModelName"]))["Tags"]
            found["model", model["ModelName"]] = tuple((t["Key"], t["Value"]) for t in tags)
    for page in aws.sagemaker.get_paginator("list_endpoint_configs").paginate():
        for item in page["EndpointConfigs"]:
            name = item["EndpointConfigName"]
            described = aws.sagemaker.describe_endpoint_config(EndpointConfigName=name)
            found["config", name] = described["ProductionVariants"][0]["ModelName"]
    return found


def _logs(aws) -> dict[Fact, object]:
    streams = aws.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    found: dict[Fact, object] = {("log", GROUP, s["logStreamName"]): () for s in streams}
    pages = aws.logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP)
    for event in (event for page in pages for event in page["events"]):
        found["log", GROUP, event["logStreamName"]] += (event["message"],)
    return found


def _metrics(aws) -> dict[Fact, object]:
    found = {}
    for metric in aws.cloudwatch.list_metrics(Namespace=NAMESPACE)["Metrics"]:
        points = aws.cloudwatch.get_metric_statistics(
            Namespace=NAMESPACE,
            MetricName=metric["MetricName"],
            StartTime=time.time() - 86400,
            EndTime=time.time() + 86400,
            Period=3 * 86400,
            Statistics=["SampleCount", "Sum"],
        )["Datapoints"]
        count = sum(point["SampleCount"] for point in points)
        found["metric", metric["MetricName"]] = (count, sum(point["Sum"] for point in points))
    return found


def jobs(aws) -> list[dict]:
    """The descriptions of all training jobs."""
    pages = aws.sagemaker.get_paginator("list_training_jobs").paginate()
    names = [job["TrainingJobName"] for page in pages for job in page["TrainingJobSummaries"]]
    return [aws.sagemaker.describe_training_job(TrainingJobName=name) for name in names]


def tuning_jobs(aws) -> list[dict]:
    """The summaries of all tuning jobs."""
    pages = aws.sagemaker.get_paginator("list_hyper_parameter_tuning_jobs").paginate()
    return [job for page in pages for job in page["HyperParameterTuningJobSummaries"]]


def all_over(aws) -> bool:
    """Whether every training job and every tuning job has ended."""
    statuses = {job["HyperParameterTuningJobStatus"] for job in tuning_jobs(aws)}
    return statuses <= ENDED and all(map(is_over, jobs(aws)))


def illegal(aws) -> list[str]:
    """Jobs, once all have ended, whose statuses, logs or results contradict each other."""
    keys, lines = set(aws.keys("out/")), _lines(aws)
    wrong = []
    tuned: set[str] = set()
    for tuning in tuning_jobs(aws):
        listed = aws.sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=tuning["HyperParameterTuningJobName"]
        )["TrainingJobSummaries"]
        tuned |= {job["TrainingJobName"] for job in listed}
    for job in jobs(aws):
        name = job["TrainingJobName"]
        for what in _contradictions(job, keys, lines.get(name, [])):
            wrong.append(f"{name}: {what}")
        if name.startswith("tuning-") and name not in tuned:
            wrong.append(f"{name} is not among its tuning job's")
    return wrong


def _contradictions(job: dict, keys: set[str], lines: list[str]) -> list[str]:
    name, status = job["TrainingJobName"], job["TrainingJobStatus"]
    steps = [step["Status"] for step in job["SecondaryStatusTransitions"]]
    places = [ORDER.index(step) for step in steps if step in ORDER]
    wrong = []
    if not is_over(job) or steps[-1] != status:
        wrong.append(f"status {status} after {steps}")
    if places != sorted(places) or len(set(steps)) != len(steps):
        wrong.append(f"its steps are {steps}")
    if status == "Failed" and not job.get("FailureReason"):
        wrong.append("no reason for its failure")
    if name.startswith("job-"):
        printed = [line for line in lines if line.startswith("line ")]
        lost = sum(int(found[1]) for line in lines if (found := LOST.match(line)))
        if printed != sorted(set(printed)) or (not lost and printed != PRINTED[: len(printed)]):
            wrong.append(f"its log is {printed}")
        if status == "Completed" and not len(printed) <= LINES <= len(printed) + lost:
            wrong.append(f"its log has {len(printed)} lines of {LINES}, and {lost} are said lost")
        if status == "Completed" and f"out/{name}/output/model.tar.gz" not in keys:
            wrong.append("its model is not in S3")
    return wrong


def _lines(aws) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    pages = aws.logs.get_paginator("filter_log_events")
    for page in pages.paginate(logGroupName="/aws/sagemaker/TrainingJobs"):
        for event in page["events"]:
            name = event["logStreamName"].partition("/")[0]
            found.setdefault(name, []).append(event["message"])
    return found
