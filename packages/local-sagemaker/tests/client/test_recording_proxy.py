"""The stand-in, asked by boto3 in both ways: what it hands on, what it refuses, what it records."""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, ProxyConnectionError

from debugger_support.processes import wait_until
from engine_support.clients import BUCKET, TRAINING_IMAGE, training_request, unique
from local_sagemaker import REGION, ROLE_ARN
from local_sagemaker.client.recording_proxy import RecordingProxy


class Recorded:
    """A stand-in before the run's engine, clients of it, and what it has recorded."""

    def __init__(self, aws, folder, **options) -> None:
        self.file = folder / "record.jsonl"
        self.keys = {"aws_access_key_id": aws.key.id, "aws_secret_access_key": aws.key.secret}
        self.proxy = RecordingProxy(aws.url, self.file, **options)
        self.certificate = self.proxy.authority.write(folder / "ca.pem")

    def on_aws(self, service: str, **config):
        """A client as a student on AWS has it, but for the proxy in its network."""
        config = Config(proxies={"https": self.proxy.url}, retries={"max_attempts": 0}, **config)
        where = {"region_name": REGION, "verify": str(self.certificate)}
        return boto3.client(service, config=config, **where, **self.keys)

    def at_its_address(self, service: str):
        where = {"endpoint_url": self.proxy.url, "region_name": REGION}
        return boto3.client(service, **where, **self.keys)

    def calls(self) -> list[dict]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def call(self) -> dict:
        (one,) = self.calls()
        return one


@pytest.fixture(scope="module")
def proxies():
    """The stand-ins of all tests, ended together: each end takes half a second."""
    made = []
    yield made
    ends = [threading.Thread(target=proxy.shutdown) for proxy in made]
    for end in ends:
        end.start()
    for end, proxy in zip(ends, made, strict=True):
        end.join()
        proxy.server_close()


@pytest.fixture
def recorded(aws, proxies, tmp_path, monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)

    def start(**options) -> Recorded:
        made = Recorded(aws, tmp_path, **options)
        proxies.append(made.proxy)
        return made

    return start


def test_sts_answers_at_its_own_host(recorded):
    recording = recorded()
    sts = recording.on_aws("sts")
    assert sts.meta.endpoint_url == "https://sts.us-east-1.amazonaws.com"
    assert sts.get_caller_identity()["Account"] == "123456789012"
    call = recording.call()
    assert (call["service"], call["operation"]) == ("sts", "GetCallerIdentity")
    assert (call["host"], call["status"]) == ("sts.us-east-1.amazonaws.com", 200)
    assert call["problems"] == []


@pytest.mark.parametrize("style", ["virtual", "path"])
def test_objects_come_and_go_by_either_style_of_address(recorded, style):
    recording = recorded()
    s3 = recording.on_aws("s3", s3={"addressing_style": style})
    key = f"{unique()}/a b+c%41.txt"
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"a dog", Metadata={"breed": "Beagle"})
    answer = s3.get_object(Bucket=BUCKET, Key=key)
    assert (answer["Body"].read(), answer["Metadata"]) == (b"a dog", {"breed": "Beagle"})
    put, got = recording.calls()
    assert (
        put["host"] == {"virtual": f"{BUCKET}.s3.amazonaws.com", "path": "s3.amazonaws.com"}[style]
    )
    assert (put["operation"], put["params"]["Key"], put["params"]["Body"]) == ("PutObject", key, 5)
    assert (got["operation"], got["params"]["Key"]) == ("GetObject", key)


def test_a_large_body_passes_whole(recorded):
    recording = recorded()
    s3, key, content = recording.on_aws("s3"), unique(), os.urandom(1024) * 12_000
    # As a stream of unknown digest: chunked, in AWS's chunks, after `Expect: 100-continue`.
    s3.put_object(Bucket=BUCKET, Key=key, Body=io.BytesIO(content))
    s3.upload_fileobj(io.BytesIO(content), BUCKET, key + "-parts")
    for name in (key, key + "-parts"):
        target = io.BytesIO()
        s3.download_fileobj(BUCKET, name, target)
        assert hashlib.md5(target.getvalue()).digest() == hashlib.md5(content).digest()
    put = next(c for c in recording.calls() if c["operation"] == "PutObject")
    assert put["params"]["Body"] == len(content)
    parts = [c["params"]["Body"] for c in recording.calls() if c["operation"] == "UploadPart"]
    assert sum(parts) == len(content) and len(parts) > 1


def test_no_body_of_an_object_is_held_in_memory(recorded, tmp_path):
    code = (
        "import resource, sys, boto3, pathlib\n"
        "from botocore.config import Config\n"
        "from local_sagemaker.client.recording_proxy import RecordingProxy\n"
        "before = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "proxy = RecordingProxy(sys.argv[1], pathlib.Path(sys.argv[2]) / 'r.jsonl')\n"
        "big = open(sys.argv[3], 'rb')\n"
        "ca = str(proxy.authority.write(pathlib.Path(sys.argv[2]) / 'ca.pem'))\n"
        "keys = dict(aws_access_key_id=sys.argv[4], aws_secret_access_key=sys.argv[5])\n"
        "s3 = boto3.client('s3', region_name='us-east-1', verify=ca, **keys,\n"
        "    config=Config(proxies={'https': proxy.url}))\n"
        "s3.put_object(Bucket='work', Key='warm', Body=b'x')\n"
        "start = before(); s3.put_object(Bucket='work', Key='big', Body=big)\n"
        "print(before() - start)\n"
    )
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(150_000_000)
    engine = f"http://{recorded().proxy.engine}"
    words = [sys.executable, "-c", code, engine, str(tmp_path), str(big)]
    words += recorded().keys.values()
    grown = int(subprocess.check_output(words, text=True))
    assert grown < 60_000  # kilobytes, of both ends in one process


def test_a_photo_and_a_word_of_json_at_the_runtimes_host(recorded):
    recording = recorded()
    with pytest.raises(ClientError, match="not found"):
        recording.on_aws("sagemaker-runtime").invoke_endpoint(EndpointName="none", Body=b"\xff\xd8")
    assert recording.on_aws("sagemaker").list_endpoints(NameContains="none")["Endpoints"] == []
    invoked, listed = recording.calls()
    assert invoked["host"] == "runtime.sagemaker.us-east-1.amazonaws.com"
    assert (invoked["operation"], invoked["params"]["Body"]) == ("InvokeEndpoint", 2)
    assert (listed["host"], listed["status"]) == ("api.sagemaker.us-east-1.amazonaws.com", 200)


def test_as_an_address_it_records_the_same(recorded):
    recording = recorded()
    assert recording.at_its_address("sts").get_caller_identity()["Account"] == "123456789012"
    s3, key = recording.at_its_address("s3"), unique()
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"12345")
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"12345"
    assert [c["operation"] for c in recording.calls()] == [
        "GetCallerIdentity",
        "PutObject",
        "GetObject",
    ]
    assert {c["host"] for c in recording.calls()} == {"127.0.0.1"}
    assert recording.calls()[1]["params"]["Body"] == 5


@pytest.mark.parametrize("url", ["https://pypi.org/simple/", "http://169.254.169.254/latest/"])
def test_every_other_host_is_refused_and_recorded(recorded, url):
    recording = recorded()
    proxies = {"https": recording.proxy.url, "http": recording.proxy.url}
    try:
        assert requests.get(url, proxies=proxies, timeout=5).status_code == 403
    except requests.exceptions.ProxyError as error:
        assert "403 Forbidden" in str(error)
    call = recording.call()
    assert call["host"] in url and call["refused"] == "not a host of AWS"


def test_a_host_that_only_looks_like_aws_is_refused(recorded):
    recording = recorded()
    config = Config(proxies={"https": recording.proxy.url}, retries={"max_attempts": 0})
    client = boto3.client(
        "sts",
        endpoint_url="https://sts.amazonaws.com.example.org",
        region_name=REGION,
        config=config,
        **recording.keys,
    )
    with pytest.raises(ProxyConnectionError):
        client.get_caller_identity()
    assert recording.call()["refused"]


def test_a_client_that_does_not_trust_it_is_recorded_too(recorded):
    recording = recorded()
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(
            "https://sts.amazonaws.com",
            proxies={"https": recording.proxy.url},
            timeout=5,
            verify=True,
        )
    wait_until(recording.file.read_text)
    call = recording.call()
    assert call["host"] == "sts.amazonaws.com" and "AWS_CA_BUNDLE" in call["refused"]


def test_a_request_without_a_signature_is_recorded_as_such(recorded):
    recording = recorded()
    answer = requests.get(
        "https://sm-pysdk-t-us-east-1.s3.us-east-1.amazonaws.com/telemetry?x-status=1",
        proxies={"https": recording.proxy.url},
        verify=str(recording.certificate),
        timeout=5,
    )
    assert answer.status_code == 403
    call = recording.call()
    assert (call["region"], call["params"]["Bucket"]) == (None, "sm-pysdk-t-us-east-1")


@pytest.mark.parametrize(
    ("denied", "service", "method", "arguments"),
    [
        ("iam:GetRole", "iam", "get_role", {"RoleName": "local-sagemaker"}),
        ("sagemaker:ListModels", "sagemaker", "list_models", {}),
        ("s3:ListBuckets", "s3", "list_buckets", {}),
        (
            "s3:PutObject",
            "s3",
            "put_object",
            {"Bucket": BUCKET, "Key": "k", "Body": b"x" * 9_000_000},
        ),
    ],
)
def test_what_is_denied_is_answered_as_aws_does(recorded, denied, service, method, arguments):
    recording = recorded(deny=[denied])
    with pytest.raises(ClientError) as caught:
        getattr(recording.on_aws(service), method)(**arguments)
    assert caught.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    call = recording.call()
    assert (f"{call['service']}:{call['operation']}", call["status"]) == (denied, 403)
    assert call["refused"]


def test_a_page_that_another_one_follows_is_recorded_as_such(recorded):
    recording = recorded()
    s3, sagemaker = recording.on_aws("s3"), recording.on_aws("sagemaker")
    prefix = f"pages-{unique()}/"
    for number in range(3):
        s3.put_object(Bucket=BUCKET, Key=f"{prefix}{number}", Body=b"x")
    for number in range(2):
        sagemaker.create_model(
            ModelName=f"page-{number}-{prefix[6:-1]}", ExecutionRoleArn=ROLE_ARN,
            PrimaryContainer={"Image": TRAINING_IMAGE},
        )  # fmt: skip
    begun = len(recording.calls())
    s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix, MaxKeys=2)
    list(s3.get_paginator("list_objects").paginate(
        Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 2}
    ))  # fmt: skip
    sagemaker.list_models(NameContains=prefix[6:-1], MaxResults=1)
    sagemaker.list_models(NameContains=prefix[6:-1])
    with pytest.raises(ClientError):
        s3.list_objects_v2(Bucket="nobody-has-this-bucket")
    found = [(call["operation"], call["more"]) for call in recording.calls()[begun:]]
    assert found == [
        ("ListObjectsV2", True),
        ("ListObjects", True),
        ("ListObjects", False),
        ("ListModels", True),
        ("ListModels", False),
        ("ListObjectsV2", False),
    ]


def test_what_the_model_forbids_is_recorded_with_the_engines_refusal(recorded):
    recording = recorded()
    sagemaker = recording.on_aws("sagemaker", parameter_validation=False)
    request = training_request(TrainingJobName="x" * 64, RoleArn=None)
    request["ResourceConfig"]["InstanceType"] = "ml.laptop"
    with pytest.raises(ClientError, match="ValidationException"):
        sagemaker.create_training_job(**request)
    (problem,) = recording.call()["problems"]
    for words in ("4 validation errors", "ml.laptop", "less than or equal to 63", "roleArn"):
        assert words in problem
    assert recording.call()["status"] == 400


def test_the_record_holds_no_keys_and_no_bodies(recorded):
    recording = recorded()
    s3 = recording.on_aws("s3")
    s3.put_object(Bucket=BUCKET, Key=unique(), Body=b"the-photo-itself")
    recording.on_aws("sts").get_caller_identity()
    text = recording.file.read_text()
    assert text.count("\n") == 2
    for secret in (*recording.keys.values(), "Signature", "the-photo-itself"):
        assert secret not in text


def test_what_belongs_to_one_connection_is_not_handed_on(tmp_path):
    class Engine(BaseHTTPRequestHandler):
        def do_GET(self):
            heads.append(self.headers)
            self.send_response(204)
            self.end_headers()

    heads, engine = [], HTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=engine.handle_request, daemon=True).start()
    proxy = RecordingProxy(f"http://127.0.0.1:{engine.server_port}", tmp_path / "record.jsonl")
    sent = {"Connection": "close", "Proxy-Connection": "close", "Host": "localhost:1", "X-Own": "1"}
    assert requests.get(proxy.url, headers=sent, timeout=5).status_code == 204
    proxy.shutdown()
    proxy.server_close()
    engine.server_close()
    assert heads[0]["X-Own"] == "1" and heads[0]["Host"] == f"127.0.0.1:{engine.server_port}"
    assert "Connection" not in heads[0] and "Proxy-Connection" not in heads[0]


@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example:80", False),
    ],
)
def test_a_host_needs_no_port_and_must_be_loopback(recorded, host, served):
    recording = recorded()
    answer = requests.get(f"{recording.proxy.url}/-/health", headers={"Host": host}, timeout=5)
    assert (answer.status_code == 200) is served, answer.text
    (call,) = recording.calls()
    assert (call["refused"] == "") is served


def test_it_listens_on_loopback_only(recorded):
    assert recorded().proxy.server_address[0] == "127.0.0.1"


STUDENT = """
import os, boto3
print(sorted(n for n in os.environ if n in {"AWS_ENDPOINT_URL", "LOCAL_SAGEMAKER_URL",
    "SAGEMAKER_VALIDATE_ROLE", "SAGEMAKER_USER_CONFIG_OVERRIDE", "SAGEMAKER_ROLE", "AWS_PROFILE"}))
account = boto3.client("sts").get_caller_identity()["Account"]
s3, bucket = boto3.client("s3"), f"sagemaker-{os.environ['AWS_REGION']}-{account}"
there = {"LocationConstraint": os.environ["AWS_REGION"]}
s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=there)
print(bucket)
sagemaker = boto3.client("sagemaker")
sagemaker.create_training_job(**REQUEST)
waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
waiter.wait(TrainingJobName="j", WaiterConfig={"Delay": 1})
group = "/aws/sagemaker/TrainingJobs"
for event in boto3.client("logs").filter_log_events(logGroupName=group)["events"]:
    print(event["message"])
"""


def test_a_command_believes_that_it_is_on_aws_and_its_jobs_reach_the_engine(tmp_path):
    """The account comes from STS; a job sees the engine's address and no proxy."""
    request = training_request("env | grep -i proxy; echo at $AWS_ENDPOINT_URL")
    request |= {"TrainingJobName": "j", "RoleArn": ROLE_ARN}
    request["OutputDataConfig"] = {"S3OutputPath": "s3://sagemaker-eu-west-1-123456789012/out"}
    request["AlgorithmSpecification"]["TrainingImage"] = TRAINING_IMAGE
    script, record = tmp_path / "student.py", tmp_path / "record.jsonl"
    script.write_text(STUDENT.replace("REQUEST", repr(request)))
    words = [sys.executable, "-m", "local_sagemaker.cli", "run", "--as-aws", "--record", record]
    hostile = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "SAGEMAKER_ROLE": "left over",
        "AWS_REGION": "eu-west-1",  # the one setting of the caller's that counts
    }
    done = subprocess.run(
        [*map(str, words), "--", sys.executable, str(script)],
        capture_output=True,
        text=True,
        env=os.environ | hostile,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said = done.stdout.splitlines()
    assert said[:2] == ["[]", "sagemaker-eu-west-1-123456789012"]
    assert said[2].startswith("local_sagemaker: pytorch-training:")  # the job's log
    assert len(said) == 4 and said[3].startswith("at http://127.0.0.1:")
    calls = [json.loads(line) for line in record.read_text().splitlines()]
    assert {c["host"].endswith(".amazonaws.com") for c in calls} == {True}
    assert {c["region"] for c in calls} == {"eu-west-1"}
    assert {"GetCallerIdentity", "CreateBucket"} <= {c["operation"] for c in calls}


def test_as_aws_needs_a_record():
    words = [sys.executable, "-m", "local_sagemaker.cli", "run", "--as-aws", "--", "true"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1 and "need --record FILE" in done.stderr


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:80"])
def test_a_foreign_name_that_was_made_to_lead_here_is_refused(recorded, host):
    recording = recorded()
    answer = requests.get(recording.proxy.url, headers={"Host": host}, timeout=60)
    assert answer.status_code == 403
    assert recording.call()["refused"] == "not a host of AWS"
