"""Training jobs: their walk, what they see, what they leave, and how they fail."""

import itertools
import json
import math
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import processes_with, wait_until
from engine_support.clients import BUCKET, TRAINING_IMAGE, toolkit_request, training_request, unique
from engine_support.in_process import engine_here
from engine_support.sources import archive_of, source_archive
from local_sagemaker.aws.s3.service import S3
from local_sagemaker.aws.services import Services
from local_sagemaker.core.kinds import TRAINING_JOB
from local_sagemaker.core.store import Store
from local_sagemaker.training.job import TrainingJob
from local_sagemaker.training.slots import Slots
from local_sagemaker.training.statuses import SPOT_PRICE

CORES = os.cpu_count()


def steps(job):
    return [step["Status"] for step in job["SecondaryStatusTransitions"]]


# The walk


def test_a_job_walks_from_starting_to_completed(aws):
    job = aws.trained("echo hello")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Completed"
    assert steps(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    times = [(s["StartTime"], s["EndTime"]) for s in job["SecondaryStatusTransitions"]]
    assert times == sorted(times)
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(times))
    assert job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"]
    assert job["TrainingTimeInSeconds"] >= 1
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{job['TrainingJobName']}"
    assert job["TrainingJobArn"] == arn


def test_describe_gives_back_what_was_asked_and_nothing_empty(aws):
    request = training_request("true", Environment={"A": "b"}, HyperParameters={"lr": "1"})
    aws.sagemaker.create_training_job(**request)
    job = aws.job(request["TrainingJobName"])
    # AWS tells the key even where none was named, and SDK v2's attach() counts on it.
    request["OutputDataConfig"] |= {"KmsKeyId": "", "CompressionType": "GZIP"}
    request["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] = False
    assert {name: job[name] for name in request} == request
    assert not {"VpcConfig", "TuningJobArn", "FinalMetricDataList"} & job.keys()


def test_each_step_says_what_awss_step_says(aws):
    job = aws.trained("true")
    assert [step["StatusMessage"] for step in job["SecondaryStatusTransitions"]] == [
        "Preparing the instances for training",
        "Downloading the training image",
        "Training image download completed. Training in progress.",
        "Uploading generated training model",
        "Training job completed",
    ]
    lacking = aws.trained("true", channels={"train": f"s3://{BUCKET}/no/such/prefix"})
    messages = [step["StatusMessage"] for step in lacking["SecondaryStatusTransitions"]]
    assert messages[1:] == ["Downloading input data", "Training job failed"]


def test_the_output_is_in_the_log_line_by_line(aws):
    job = aws.trained(
        "echo one; echo two >&2; printf 'a\\rb\\tc\\033[0m\\n'; printf 'no newline'; echo; echo ü"
    )
    name = job["TrainingJobName"]
    assert aws.log(name) == ["one", "two", "a#015b#011c#033[0m", "no newline", "ü"]
    (stream,) = aws.logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=name
    )["logStreams"]
    assert stream["logStreamName"].startswith(f"{name}/algo-1-")


def test_a_line_that_is_longer_than_cloudwatch_takes_becomes_several_events(aws):
    command = "head -c 2500000 /dev/zero | tr '\\0' x; echo; echo end"
    *found, end = aws.log(aws.trained(command)["TrainingJobName"])
    assert end == "end" and "".join(found) == "x" * 2_500_000
    assert len(found) == 3 and max(map(len, found)) <= 1024 * 1024


def test_a_metrics_expression_sees_the_line_as_awss_log_has_it(aws):
    """As those of AWS's own algorithms: ``#011validation-error:(...)``."""
    metrics = {"acc": "#011valid-acc:([0-9.]+)", "loss": "loss=([0-9.]+)"}
    printed = r"epoch 1\tvalid-acc:0.75\n 50%%, loss=0.5\r100%%, loss=0.25\n"
    job = aws.trained(f"printf '{printed}'", metrics=metrics)
    final = {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]}
    assert final == {"acc": 0.75, "loss": 0.25}


def test_the_logs_first_line_says_which_version_runs(aws):
    name = aws.trained("echo one")["TrainingJobName"]
    first, second = aws.whole_log(name)
    assert "pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker asks for PyTorch 2.10" in first
    assert second == "one"


def test_lines_are_in_the_log_while_the_job_runs(aws):
    name = aws.train("echo early; sleep 30")
    wait_until(lambda: _log_or_nothing(aws, name) == ["early"], 10)
    assert (
        aws.sagemaker.describe_training_job(TrainingJobName=name)["SecondaryStatus"] == "Training"
    )
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    aws.job(name)


def test_metrics_are_scraped_and_readable(aws):
    metrics = {"loss": "loss=([0-9.e-]+)", "acc": "acc=(.*)", "never": "never=(.*)"}
    job = aws.trained("echo loss=0.5; echo loss=2.5e-1 acc=0.9; echo acc=nan", metrics=metrics)
    final = {m["MetricName"]: m["Value"] for m in job["FinalMetricDataList"]}
    assert final == pytest.approx({"loss": 0.25, "acc": 0.9})
    now = time.time()
    (point,) = aws.cloudwatch.get_metric_statistics(
        Namespace="/aws/sagemaker/TrainingJobs",
        MetricName="loss",
        Dimensions=[{"Name": "TrainingJobName", "Value": job["TrainingJobName"]}],
        StartTime=now - 3600,
        EndTime=now + 3600,
        Period=7200,
        Statistics=["Minimum", "Maximum", "SampleCount"],
    )["Datapoints"]
    assert (point["Minimum"], point["Maximum"], point["SampleCount"]) == (0.25, 0.5, 2)


# What a job sees


def test_a_real_opt_ml(aws):
    aws.s3.put_object(Bucket=BUCKET, Key="opt/data/a/b.txt", Body=b"deep")
    job = aws.trained(
        "hostname; pwd; getent hosts algo-1; cd /opt/ml && find . -type f | sort;"
        "cat input/data/train/a/b.txt; echo; cat input/config/hyperparameters.json",
        channels={"train": f"s3://{BUCKET}/opt/data"},
        HyperParameters={"lr": "0.1"},
    )
    log = aws.log(job["TrainingJobName"])
    assert log[:2] == ["algo-1", "/opt/ml"]
    assert re.fullmatch(r"127\.\d+\.\d+\.1 +algo-1", log[2])
    assert log[3:] == [
        "./input/config/debughookconfig.json",
        "./input/config/hyperparameters.json",
        "./input/config/inputdataconfig.json",
        "./input/config/profilerconfig.json",
        "./input/config/resourceconfig.json",
        "./input/data/train-manifest",
        "./input/data/train/a/b.txt",
        "deep",
        '{"lr": "0.1"}',
    ]


def test_tmp_is_the_jobs_own_and_ends_with_it(aws):
    name, look = f"left-{unique()}", "echo ${TMPDIR-none}; ls /tmp | grep left || true"
    job = aws.trained(f"echo x > /tmp/{name}; {look}")
    assert aws.log(job["TrainingJobName"]) == ["none", name]
    assert not Path("/tmp", name).exists()
    with tempfile.NamedTemporaryFile(prefix="left-", dir="/tmp"):  # another program's
        job = aws.trained(look)
    assert aws.log(job["TrainingJobName"]) == ["none"]


def test_the_configuration_names_the_host_and_the_channels(aws):
    aws.s3.put_object(Bucket=BUCKET, Key="conf/x", Body=b"x")
    job = aws.trained(
        "cd /opt/ml/input/config; cat resourceconfig.json; echo; cat inputdataconfig.json",
        channels={"train": f"s3://{BUCKET}/conf/"},
    )
    resources, inputs = map(json.loads, aws.log(job["TrainingJobName"]))
    assert resources["hosts"] == [resources["current_host"]] == ["algo-1"]
    assert resources["current_instance_type"] == "ml.m5.large"
    assert inputs["train"]["TrainingInputMode"] == "File"


def test_environment_and_the_engines_key_only(aws):
    job = aws.trained("env", Environment={"MINE": "yes", "OMP_NUM_THREADS": "7"})
    environment = dict(line.split("=", 1) for line in aws.log(job["TrainingJobName"]))
    assert environment["MINE"] == "yes"
    assert environment["OMP_NUM_THREADS"] == "7"
    assert environment["TRAINING_JOB_NAME"] == job["TrainingJobName"]
    keys = {name: value for name, value in environment.items() if "KEY" in name}
    assert keys == aws.key.variables()
    assert environment["AWS_ENDPOINT_URL"] == aws.url
    assert environment["HOME"] != os.environ.get("HOME")


def test_a_job_alone_gets_all_cores(aws):
    wait_until(
        lambda: (
            not aws.sagemaker.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
        )
    )
    job = aws.trained("echo $OMP_NUM_THREADS")
    assert aws.log(job["TrainingJobName"]) == [str(CORES)]


def test_a_job_reaches_the_engine(aws):
    code = "import urllib.request as u; print(u.urlopen('$AWS_ENDPOINT_URL/-/health').read())"
    job = aws.trained(f'python -S -c "{code}"')
    (said,) = aws.log(job["TrainingJobName"])
    assert said.startswith("b'ok ")


# What a job leaves


def test_model_and_output_become_archives(aws):
    job = aws.trained(
        "cd /opt/ml; mkdir model/code; echo w > model/weights; echo c > model/code/x.py;"
        "echo p > output/data/plot"
    )
    address = job["ModelArtifacts"]["S3ModelArtifacts"]
    base = f"out/{job['TrainingJobName']}/output"
    assert address == f"s3://{BUCKET}/{base}/model.tar.gz"
    assert archive_of(aws, f"{base}/model.tar.gz") == {"weights": b"w\n", "code/x.py": b"c\n"}
    assert archive_of(aws, f"{base}/output.tar.gz") == {"plot": b"p\n"}


def test_checkpoints_come_and_go(aws):
    name = unique("checkpoints")
    aws.s3.put_object(Bucket=BUCKET, Key=f"{name}/epoch", Body=b"3")
    aws.trained(
        "cat /opt/ml/checkpoints/epoch; echo 4 > /opt/ml/checkpoints/epoch;"
        "ln -s epoch /opt/ml/checkpoints/latest",
        CheckpointConfig={"S3Uri": f"s3://{BUCKET}/{name}"},
    )
    stored = {
        key: aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in aws.keys(name)
    }
    assert stored == {f"{name}/epoch": b"4\n", f"{name}/latest": b"4\n"}


def test_a_job_leaves_no_process_and_no_folder(aws):
    mark = unique("77")
    name = aws.train(f"sleep 1000 # {mark} \n setsid sh -c 'sleep 1000; : {mark}' & sleep 0.2")
    wait_until(lambda: processes_with(mark))
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    aws.job(name)
    wait_until(lambda: not processes_with(mark), 5)


def test_what_a_command_left_in_the_background_ends_with_it(aws):
    mark = unique("78")
    job = aws.trained(f"setsid sh -c 'sleep 1000; : {mark}' & sleep 0.2; echo done")
    assert job["TrainingJobStatus"] == "Completed"
    assert processes_with(mark) == []


# Ends


def test_a_failure_carries_the_exit_code_and_the_end_of_the_log(aws):
    job = aws.trained("echo useful; echo 'ValueError: lr is negative' >&2; exit 3")
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Failed"
    assert steps(job)[-1] == "Failed"
    assert "exit code: 3" in job["FailureReason"]
    assert job["FailureReason"].endswith("useful\nValueError: lr is negative")
    assert job["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job failed"
    assert "ModelArtifacts" not in job


def test_a_long_failure_keeps_its_end(aws):
    job = aws.trained("seq 1000 9999; echo the end; exit 1")
    assert len(job["FailureReason"]) <= 1024
    assert "exit code: 1" in job["FailureReason"]
    assert job["FailureReason"].endswith("9999\nthe end")


def test_the_scripts_own_failure_file_counts(aws):
    job = aws.trained("echo 'out of dogs' > /opt/ml/output/failure; exit 1")
    assert "out of dogs, exit code: 1" in job["FailureReason"]


def test_the_output_of_a_failed_job_is_kept(aws):
    job = aws.trained("echo p > /opt/ml/output/data/plot; exit 1")
    assert aws.keys(f"out/{job['TrainingJobName']}/") == [
        f"out/{job['TrainingJobName']}/output/output.tar.gz"
    ]


def test_a_command_that_does_not_exist(aws):
    request = training_request()
    request["AlgorithmSpecification"]["ContainerEntrypoint"] = ["/no/such/program"]
    aws.sagemaker.create_training_job(**request)
    job = aws.job(request["TrainingJobName"])
    assert "exit code: 127" in job["FailureReason"]
    assert "cannot run /no/such/program" in job["FailureReason"]


def test_a_command_killed_by_a_signal(aws):
    assert "exit code: 137" in aws.trained("kill -9 $$")["FailureReason"]


def test_stopping_sends_sigterm_and_keeps_the_model(aws):
    name = aws.train(
        "trap 'echo got it > /opt/ml/model/sign; echo bye; exit 0' TERM; echo ready;"
        "while :; do sleep 0.05; done"
    )
    wait_until(lambda: "ready" in _log_or_nothing(aws, name))
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    job = aws.job(name)
    assert job["TrainingJobStatus"] == job["SecondaryStatus"] == "Stopped"
    walked = ["Starting", "Downloading", "Training", "Stopping", "Uploading", "Stopped"]
    assert steps(job) == walked
    assert aws.log(name)[-1] == "bye"
    assert archive_of(aws, f"out/{name}/output/model.tar.gz") == {"sign": b"got it\n"}


def _log_or_nothing(aws, name):
    try:
        return aws.log(name)
    except ClientError:
        return []


def test_a_stopping_job_stays_so_while_it_uploads(aws):
    name = aws.train(
        "trap 'dd if=/dev/urandom of=/opt/ml/model/w bs=1M count=20 2>/dev/null; exit' TERM;"
        "echo ready; while :; do sleep 0.05; done"
    )
    wait_until(lambda: "ready" in _log_or_nothing(aws, name))
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    seen = set()
    while (job := aws.sagemaker.describe_training_job(TrainingJobName=name))[
        "TrainingJobStatus"
    ] != "Stopped":
        seen.add((job["TrainingJobStatus"], job["SecondaryStatus"]))
    assert {status for status, _ in seen} == {"Stopping"}
    assert steps(job)[-2:] == ["Uploading", "Stopped"]


def test_spot_retries_and_warm_pools_are_accepted_and_told(aws):
    spot = {
        "EnableManagedSpotTraining": True,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
        "RetryStrategy": {"MaximumRetryAttempts": 3},
    }
    job = aws.trained("true", **spot)
    assert job["TrainingJobStatus"] == "Completed"
    assert {name: job[name] for name in spot} == spot
    seconds = job["TrainingTimeInSeconds"]  # a job on a busy machine has several
    assert 1 <= job["BillableTimeInSeconds"] == math.ceil(seconds * SPOT_PRICE)
    warm = training_request()["ResourceConfig"] | {"KeepAlivePeriodInSeconds": 60}
    assert aws.trained("true", ResourceConfig=warm)["ResourceConfig"] == warm


def test_stopping_twice_is_one_stop(aws):
    name = aws.train("trap 'sleep 0.5; exit' TERM; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: "ready" in _log_or_nothing(aws, name))
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert steps(aws.job(name)).count("Stopping") == 1


def test_a_job_past_its_time_is_stopped(aws):
    job = aws.trained(
        "echo m > /opt/ml/model/w; sleep 30", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    assert steps(job)[-3:] == ["Stopping", "Uploading", "MaxRuntimeExceeded"]
    last = job["SecondaryStatusTransitions"][-1]
    assert last["StatusMessage"] == "Training job runtime exceeded MaxRuntimeInSeconds provided"
    assert archive_of(aws, f"out/{job['TrainingJobName']}/output/model.tar.gz") == {"w": b"m\n"}
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert job["TrainingTimeInSeconds"] < 10


def test_more_jobs_than_cores_wait_their_turn(aws):
    names = [aws.train("sleep 0.7") for _ in range(CORES + 1)]
    time.sleep(0.4)
    statuses = [
        aws.sagemaker.describe_training_job(TrainingJobName=n)["SecondaryStatus"] for n in names
    ]
    assert statuses[-1] == "Starting"
    first, last = aws.job(names[0]), aws.job(names[-1])
    assert last["TrainingStartTime"] >= first["TrainingStartTime"]
    assert last["TrainingJobStatus"] == "Completed"


def test_a_waiting_job_can_be_stopped(aws):
    busy = [aws.train("sleep 30") for _ in range(CORES)]
    name = aws.train("echo never")
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    job = aws.job(name, limit=5)
    assert steps(job) == ["Starting", "Stopping", "Stopped"]
    for other in busy:
        aws.sagemaker.stop_training_job(TrainingJobName=other)
        aws.job(other)


# The toolkit


HYPERPARAMETERS = {"batch-size": "16", "lr": "0.5", "name": "beagle", "on": "true"}
STRUCTURED = (
    "SM_HPS",
    "SM_HOSTS",
    "SM_CHANNELS",
    "SM_RESOURCE_CONFIG",
    "SM_INPUT_DATA_CONFIG",
    "SM_TRAINING_ENV",
)
DUMP = "import json, os; print(json.dumps(dict(os.environ)), flush=True)"


def sm_variables(aws, request):
    """The variables that a script saw; those that are JSON are read."""
    aws.s3.put_object(Bucket=BUCKET, Key="variables/x.csv", Body=b"1")
    aws.sagemaker.create_training_job(**request)
    job = aws.job(request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    (line,) = [line for line in aws.log(job["TrainingJobName"]) if line.startswith('{"')]
    found = json.loads(line)
    return found | {name: json.loads(found[name]) for name in STRUCTURED}


def gpus() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True)
    except FileNotFoundError:
        return 0
    return len(listed.stdout.splitlines())


def check_sm_variables(found):
    """What both of SageMaker's ways to run a script tell it."""
    expected = {
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_CHANNEL_VALID": "/opt/ml/input/data/valid",
        "SM_CURRENT_HOST": "algo-1",
        "SM_HOSTS": ["algo-1"],
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.large",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_NUM_CPUS": str(CORES),
        "SM_NUM_GPUS": str(gpus()),
        "SM_HP_LR": "0.5",
        "SM_HP_NAME": "beagle",
        "SM_LOG_LEVEL": "20",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert {"train", "valid"} <= set(found["SM_CHANNELS"])
    hyperparameters = {"batch-size": 16, "lr": 0.5, "name": "beagle", "on": True}
    assert hyperparameters.items() <= found["SM_HPS"].items()
    assert found["SM_RESOURCE_CONFIG"]["current_host"] == "algo-1"
    assert found["SM_INPUT_DATA_CONFIG"]["train"]["TrainingInputMode"] == "File"
    environment = found["SM_TRAINING_ENV"]
    assert environment["job_name"] == found["TRAINING_JOB_NAME"]
    assert environment["channel_input_dirs"]["train"] == "/opt/ml/input/data/train"
    assert environment["hyperparameters"]["lr"] == 0.5
    assert environment["hosts"] == ["algo-1"]


def test_the_toolkit_runs_a_program_and_tells_it_all_that_sagemaker_does(aws):
    train = f"""
import argparse, helper
{DUMP}
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
lr = parser.parse_known_args()[0].lr
print("lr", lr, helper.word, sorted(os.listdir(os.environ["SM_CHANNEL_TRAIN"])), flush=True)
open(os.environ["SM_MODEL_DIR"] + "/w", "w").write(str(lr))
"""
    data = f"s3://{BUCKET}/variables"
    request = toolkit_request(
        source_archive(aws, train=train, helper="word = 'hello'"),
        HyperParameters=HYPERPARAMETERS,
        channels={"train": data, "valid": data},
    )
    found = sm_variables(aws, request)
    check_sm_variables(found)
    assert json.loads(found["SM_USER_ARGS"])[:4] == ["--batch-size", "16", "--lr", "0.5"]
    assert found["SM_MODULE_NAME"] == "train" and found["SM_USER_ENTRY_POINT"] == "train.py"
    name = request["TrainingJobName"]
    assert "lr 0.5 hello ['x.csv']" in aws.log(name)
    assert archive_of(aws, f"out/{name}/output/model.tar.gz") == {"w": b"0.5"}


def test_the_sdks_driver_tells_a_script_all_that_sagemaker_does(aws):
    drivers = Path(find_spec("sagemaker.train").origin).parent / "container_drivers"
    base = unique("drivers")
    for file in drivers.rglob("*.py"):
        key = f"{base}/{file.relative_to(drivers)}"
        aws.s3.put_object(Bucket=BUCKET, Key=key, Body=file.read_bytes())
    settings = json.dumps({"source_dir": ".", "entry_script": "train.py"}).encode()
    aws.s3.put_object(Bucket=BUCKET, Key=f"{base}/sourcecode.json", Body=settings)
    data = f"s3://{BUCKET}/variables"
    request = training_request(
        "python /opt/ml/input/data/sm_drivers/scripts/environment.py >/dev/null 2>&1;"
        f". /opt/ml/input/sm_training.env; python -c '{DUMP}'",
        HyperParameters=HYPERPARAMETERS,
        channels={"train": data, "valid": data, "sm_drivers": f"s3://{BUCKET}/{base}"},
    )
    found = sm_variables(aws, request)
    check_sm_variables(found)
    assert found["SM_HP_BATCH_SIZE"] == "16"
    assert found["SM_ENTRY_SCRIPT"] == "train.py" and found["SM_HOST_COUNT"] == "1"


def test_a_program_that_is_not_in_the_archive(aws):
    request = toolkit_request(source_archive(aws, other="x = 1"), "absent.py")
    aws.sagemaker.create_training_job(**request)
    job = aws.job(request["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Failed"
    assert "absent.py" in job["FailureReason"]


# Refused, or failed with a reason


def test_a_name_is_used_once(aws):
    job = aws.trained("true")
    with pytest.raises(ClientError, match=job["TrainingJobName"]) as caught:
        aws.train("false", TrainingJobName=job["TrainingJobName"])
    assert caught.value.response["Error"]["Code"] == "ResourceInUse"
    again = aws.sagemaker.describe_training_job(TrainingJobName=job["TrainingJobName"])
    assert again["TrainingJobStatus"] == "Completed"


def test_unknown_jobs(aws):
    for call in (aws.sagemaker.describe_training_job, aws.sagemaker.stop_training_job):
        with pytest.raises(ClientError, match="Requested resource not found"):
            call(TrainingJobName="nobody")


def test_an_ended_job_cannot_be_stopped(aws):
    name = aws.trained("true")["TrainingJobName"]
    with pytest.raises(ClientError, match="in status Completed"):
        aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.job(name)["TrainingJobStatus"] == "Completed"


def _with_image(request, image):
    request["AlgorithmSpecification"]["TrainingImage"] = image


def _with_regex(request, regex):
    definitions = [{"Name": "loss", "Regex": regex}]
    request["AlgorithmSpecification"]["MetricDefinitions"] = definitions


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: _with_image(r, "ecr/xgboost:1.7"), "'ecr/xgboost:1.7' has no local runtime"),
        (lambda r: _with_regex(r, "loss=([0-9"), r"Regex of the metric 'loss'.*unterminated"),
        (lambda r: r["OutputDataConfig"].update(S3OutputPath="s3:/b/k"), "constraint|no S3 addr"),
    ],
)
def test_what_cannot_be_run_is_refused_and_nothing_is_made(aws, change, words):
    request = training_request()
    change(request)
    with pytest.raises(ClientError, match=words):
        aws.sagemaker.create_training_job(**request)
    with pytest.raises(ClientError, match="not found"):
        aws.sagemaker.describe_training_job(TrainingJobName=request["TrainingJobName"])


NOTHING = 'No S3 objects found under S3 URL "s3://.*" given in input data source. Please ensure'


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"channels": {"train": f"s3://{BUCKET}/nothing-here/"}}, NOTHING),
        ({"channels": {"train": "s3://nowhere/data"}}, NOTHING),
        ({"OutputDataConfig": {"S3OutputPath": "s3://nowhere/out"}}, "'nowhere' of OutputData"),
    ],
)
def test_what_lacks_its_data_fails_before_it_runs(aws, members, words):
    job = aws.trained("echo never", **members)
    assert job["TrainingJobStatus"] == "Failed"
    assert re.search(words, job["FailureReason"])
    assert "Training" not in steps(job)


def test_the_image_may_come_from_any_registry(aws):
    request = training_request("true")
    request["AlgorithmSpecification"]["TrainingImage"] = TRAINING_IMAGE.split("/", 1)[1]
    with pytest.raises(ClientError, match="no local runtime"):
        aws.sagemaker.create_training_job(**request)
    request["AlgorithmSpecification"]["TrainingImage"] = "public.ecr.aws/x/pytorch:2.13-cpu"
    aws.sagemaker.create_training_job(**request)
    assert aws.job(request["TrainingJobName"])["TrainingJobStatus"] == "Completed"


def test_a_job_that_has_trained_waits_for_room_to_say_so(tmp_path):
    store = Store(tmp_path / "state")
    services = Services(store, S3(store, moto_app=None), cloudwatch=None, url="")
    name = unique()
    steps = {"CreationTime": 1.0, "SecondaryStatusTransitions": [{"Status": "Uploading"}]}
    store.put(TRAINING_JOB.stored, name, job := {**training_request(TrainingJobName=name), **steps})
    ((pages,),) = store.query("PRAGMA page_count")
    store.query(f"PRAGMA max_page_count = {pages}")  # a full disk
    much = {"ModelArtifacts": {"S3ModelArtifacts": "x" * 100_000}}
    runner = TrainingJob(services, job, Slots(1), 1, threading.Event(), on_end=lambda job: None)
    ending = Thread(target=runner._end, args=["Completed"], kwargs=much)
    ending.start()
    ending.join(timeout=0.5)
    assert ending.is_alive() and "TrainingJobStatus" not in store.get(TRAINING_JOB.stored, name)
    store.query("PRAGMA max_page_count = 1000000")
    ending.join(timeout=30)
    assert store.get(TRAINING_JOB.stored, name)["TrainingJobStatus"] == "Completed"
    store.close()


def test_a_deleted_jobs_name_is_free_when_its_folder_is_gone(tmp_path, monkeypatch):
    ended, go_on = threading.Event(), threading.Event()

    def slow_removal(folder, **how):
        job = aws.engine.store.get(TRAINING_JOB.stored, Path(folder).name) or {}
        if Path(folder).parent == tmp_path / "jobs" and job.get("TrainingJobStatus") == "Completed":
            ended.set()
            assert go_on.wait(60)
        real_removal(folder, **how)

    real_removal = shutil.rmtree
    with engine_here(tmp_path) as aws, ThreadPoolExecutor(1) as pool:
        aws.s3.create_bucket(Bucket=BUCKET)
        monkeypatch.setattr(shutil, "rmtree", slow_removal)
        name = aws.train("true")
        try:
            assert ended.wait(60)
            aws.job(name)
            deleting = pool.submit(aws.sagemaker.delete_training_job, TrainingJobName=name)
            time.sleep(1)
            with pytest.raises(aws.sagemaker.exceptions.ResourceInUse):
                aws.train("true", TrainingJobName=name)
        finally:
            go_on.set()
        deleting.result(timeout=30)
        assert aws.trained("true", TrainingJobName=name)["TrainingJobStatus"] == "Completed"
