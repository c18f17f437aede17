"""Jobs of several instances: what they know of each other, and how they end together."""

import contextlib
import ipaddress
import json
import re

import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import processes_with, wait_until
from engine_support.clients import BUCKET, channel, training_request, unique
from engine_support.sources import archive_of
from local_sagemaker.training import cluster

# Each instance tells its name to all others over TCP, on a port that is the same in every job.
MEET = b"""
import json, socket, threading
config = json.load(open("/opt/ml/input/config/resourceconfig.json"))
me = config["current_host"]
server = socket.create_server((socket.gethostbyname(me), 7777))
heard = []
def listen():
    for _ in config["hosts"]:
        with server.accept()[0] as link:
            heard.append(link.recv(100).decode())
listener = threading.Thread(target=listen)
listener.start()
for host in config["hosts"]:
    while True:
        try:
            with socket.create_connection((host, 7777)) as link:
                link.sendall(me.encode())
            break
        except ConnectionRefusedError:
            pass
listener.join()
print("heard", *sorted(heard), "on", socket.gethostname())
"""


def of(count, **members):
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": count, "VolumeSizeInGB": 1}
    return {"ResourceConfig": resources, **members}


def logs_by_host(aws, name):
    """The log lines of each host of a job."""
    events = aws.logs.filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["events"]
    found = {}
    for event in events:
        host = re.fullmatch(rf"{name}/(algo-\d+)-\d+", event["logStreamName"])[1]
        found.setdefault(host, []).append(event["message"])
    return {host: lines[1:] for host, lines in sorted(found.items())}  # without what runs here


def _logs_or_nothing(aws, name):
    with contextlib.suppress(aws.logs.exceptions.ResourceNotFoundException):
        return logs_by_host(aws, name)


def test_instances_talk_to_each_other_and_not_to_other_jobs(aws):
    aws.s3.put_object(Bucket=BUCKET, Key="meet/meet.py", Body=MEET)
    run = {"command": "python input/data/code/meet.py", "channels": {"code": f"s3://{BUCKET}/meet"}}
    names = {aws.train(**run, **of(count)): count for count in (3, 2)}
    for name, count in names.items():
        hosts = [f"algo-{number + 1}" for number in range(count)]
        job = aws.job(name)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        heard = {host: [f"heard {' '.join(hosts)} on {host}"] for host in hosts}
        assert logs_by_host(aws, name) == heard


def test_each_instance_has_an_opt_ml_of_its_own_and_the_models_are_combined(aws):
    aws.s3.put_object(Bucket=BUCKET, Key="cluster/x", Body=b"data")
    job = aws.trained(
        "cp input/data/train/x model/$(hostname); mkdir -p model/deep output/data;"
        "hostname > model/deep/$(hostname); echo $(hostname) > model/both;"
        "hostname > output/data/$(hostname); find model output -type f | wc -l;"
        "cat input/config/resourceconfig.json",
        channels={"train": f"s3://{BUCKET}/cluster"},
        **of(2),
    )
    name = job["TrainingJobName"]
    log = logs_by_host(aws, name)
    assert [lines[0] for lines in log.values()] == ["4", "4"]
    first, second = (json.loads(lines[1]) for lines in log.values())
    assert (first.pop("current_host"), second.pop("current_host")) == ("algo-1", "algo-2")
    assert first == second
    assert first["hosts"] == ["algo-1", "algo-2"]
    assert archive_of(aws, f"out/{name}/output/model.tar.gz") == {
        "algo-1": b"data",
        "algo-2": b"data",
        "deep/algo-1": b"algo-1\n",
        "deep/algo-2": b"algo-2\n",
        "both": b"algo-1\n",
    }
    output = archive_of(aws, f"out/{name}/output/output.tar.gz")
    assert output == {"algo-1": b"algo-1\n", "algo-2": b"algo-2\n"}


def test_a_sharded_channel_is_divided_between_the_instances(aws):
    for number in range(4):
        aws.s3.put_object(Bucket=BUCKET, Key=f"shards/{number}", Body=b"x")
    given = channel("train", f"s3://{BUCKET}/shards")
    given["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    job = aws.trained(
        "ls input/data/train | tr '\\n' ' '; echo end", InputDataConfig=[given], **of(2)
    )
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    first, second = (
        lines[0].split() for lines in logs_by_host(aws, job["TrainingJobName"]).values()
    )
    assert sorted(first + second) == ["0", "1", "2", "3", "end", "end"]
    assert len(first) == len(second) == 3


def test_when_one_instance_fails_the_others_end_and_the_job_says_which(aws):
    mark = unique("fails")
    job = aws.trained(
        f"test $(hostname) = algo-1 && sleep 300; echo broken pipe; exit 3 # {mark}", **of(2)
    )
    assert job["TrainingJobStatus"] == "Failed"
    expected = "exit code: 3. Last lines of the log of algo-2:\nbroken pipe"
    assert job["FailureReason"].endswith(expected)
    assert processes_with(mark) == []


def test_stop_reaches_every_instance(aws):
    name = aws.train(
        "trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 0.05; done", **of(2)
    )
    up = {"algo-1": ["up"], "algo-2": ["up"]}
    wait_until(lambda: _logs_or_nothing(aws, name) == up)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.job(name)["TrainingJobStatus"] == "Stopped"
    assert logs_by_host(aws, name) == {host: ["up", "stopped"] for host in ("algo-1", "algo-2")}


def test_a_job_wider_than_the_machine_runs_and_lets_others_follow(aws):
    names = [aws.train("hostname", **of(count)) for count in (5, 1, 5)]
    for name in names:
        assert aws.job(name)["TrainingJobStatus"] == "Completed"
    assert len(logs_by_host(aws, names[0])) == 5


def test_more_instances_than_an_account_has_are_refused(aws):
    request = training_request(**of(21))
    with pytest.raises(ClientError, match=r"service limit .* 20 Instances") as raised:
        aws.sagemaker.create_training_job(**request)
    assert raised.value.response["Error"]["Code"] == "ResourceLimitExceeded"


def test_hosts_of_two_jobs_share_no_address():
    seen = {host.address for _ in range(2000) for host in cluster.hosts({"InstanceCount": 3})}
    assert len(seen) == 6000  # random ones would hardly be all different
    assert all(ipaddress.ip_address(address).is_loopback for address in seen)
