"""Workers that ask the engine for one thing after the other, and keep a ledger of its answers."""

import hashlib
import json
import random
import threading
import time

from botocore.exceptions import ClientError, EndpointConnectionError, HTTPClientError
from botocore.parsers import ResponseParserError

from engine_support.clients import BUCKET, INFERENCE_IMAGE, training_request
from engine_support.faults.ledger import ANYTHING, Ledger, says_full
from engine_support.tuning_requests import tuning_request
from local_sagemaker import ROLE_ARN

VERSIONED = "versioned"
ENDED = {"Completed", "Failed", "Stopped"}
GROUP = "/faults"
NAMESPACE = "faults"
# The engine was killed under a request, or between its answer's head and body.
CUT_OFF = (HTTPClientError, EndpointConnectionError, json.JSONDecodeError, ResponseParserError)
PART = 5 * 1024 * 1024  # bytes; no part but the last may have fewer
LINES = 5  # that each job prints
JOB = f"i=0; while [ $i -lt {LINES} ]; do echo line $i; i=$((i+1)); done; echo x > /opt/ml/model/x"


class Worker:
    """Draws operations until the engine is gone or `stop` is set; runs in a thread of its own.

    A disk without room is a problem unless `may_be_full`; then the refusals are counted.
    """

    operations: str  # names of methods; one that is there twice is drawn twice as often

    def __init__(self, number: int) -> None:
        self.ledger, self.number, self.count = Ledger(), number, 0
        self.problem: Exception | None = None
        self.cut_off: Exception | None = None  # the engine was gone
        self.may_be_full, self.refusals = False, 0

    def work(self, aws, seed: str, stop: threading.Event) -> threading.Thread:
        """Begin to ask `aws`; the order of operations follows from `seed`."""
        self.aws, self.random = aws, random.Random(f"{seed} {self.number}")
        self.cut_off = None
        thread = threading.Thread(target=self._run, args=(stop,), daemon=True)
        thread.start()
        return thread

    def _run(self, stop: threading.Event) -> None:
        try:
            while not stop.is_set():
                self._do(self.random.choice(self.operations.split()))
        except CUT_OFF as error:
            self.cut_off = error
        except Exception as error:  # an answer that nobody would expect
            self.problem = error

    def _do(self, operation: str) -> None:
        try:
            getattr(self, operation)()
        except ClientError as error:
            if not (self.may_be_full and says_full(error)):
                raise
            self.refusals += 1

    def new(self, kind: str) -> str:
        self.count += 1
        return f"{kind}-{self.number}-{self.count}"

    def known(self, kind: str) -> list:
        """The facts of a kind that are acknowledged."""
        return [fact for fact in self.ledger.facts if fact[0] == kind]


class Objects(Worker):
    """Puts, copies, deletes, tags, versions and uploads in parts, on a few keys again and again."""

    operations = (
        "put put copy delete delete_many tag version drop_version begin part complete abort"
    )

    def key(self) -> str:
        return f"{self.number}/{self.random.randrange(12)}"

    def body(self, size: int | None = None) -> bytes:
        return self.random.randbytes(size or self.random.choice([0, 10, 1000, 700_000]))

    def put(self) -> None:
        key, body, note = self.key(), self.body(), self.new("note")
        value = (_etag(body), note, ())
        with self.ledger.change({("object", BUCKET, key): value}):
            self.aws.s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"note": note})

    def copy(self) -> None:
        key = self.key() + "-copy"
        # The copy of an object that was uploaded in parts has an ETag of its own.
        plain = [fact for fact in self.known("object") if "-" not in self.ledger.facts[fact][0]]
        if found := [fact for fact in plain if fact[2] != key]:
            source = self.random.choice(found)
            with self.ledger.change({("object", BUCKET, key): self.ledger.facts[source]}):
                self.aws.s3.copy_object(
                    Bucket=BUCKET, Key=key, CopySource={"Bucket": BUCKET, "Key": source[2]}
                )

    def delete(self) -> None:
        if found := self.known("object"):
            fact = self.random.choice(found)
            with self.ledger.change({fact: None}):
                self.aws.s3.delete_object(Bucket=BUCKET, Key=fact[2])

    def delete_many(self) -> None:
        found = self.known("object")
        if len(found) > 6:
            gone = self.random.sample(found, 3)
            with self.ledger.change(dict.fromkeys(gone)):
                asked = {"Objects": [{"Key": fact[2]} for fact in gone]}
                self.aws.s3.delete_objects(Bucket=BUCKET, Delete=asked)

    def tag(self) -> None:
        if found := self.known("object"):
            fact, text = self.random.choice(found), self.new("tag")
            etag, note, _ = self.ledger.facts[fact]
            tags = {"TagSet": [{"Key": "k", "Value": text}]}
            with self.ledger.change({fact: (etag, note, (("k", text),))}):
                self.aws.s3.put_object_tagging(Bucket=BUCKET, Key=fact[2], Tagging=tags)

    def version(self) -> None:
        """One more version, or a marker of deletion."""
        fact = ("versions", VERSIONED, self.key())
        etags, markers, deleted = self.ledger.facts.get(fact, ((), 0, True))
        if not deleted and self.random.random() < 0.3:
            with self.ledger.change({fact: (etags, markers + 1, True)}):
                self.aws.s3.delete_object(Bucket=VERSIONED, Key=fact[2])
        else:
            body = self.body(20)
            with self.ledger.change({fact: ((*etags, _etag(body)), markers, False)}):
                self.aws.s3.put_object(Bucket=VERSIONED, Key=fact[2], Body=body)

    def drop_version(self) -> None:
        """Delete a version for good, but not the latest."""
        found = [fact for fact in self.known("versions") if len(self.ledger.facts[fact][0]) > 1]
        if found:
            fact = self.random.choice(found)
            etags, markers, deleted = self.ledger.facts[fact]
            index = self.random.randrange(len(etags) - 1)
            answer = self.aws.s3.list_object_versions(Bucket=VERSIONED, Prefix=fact[2])
            newest_first = [v for v in answer["Versions"] if v["Key"] == fact[2]]
            version = newest_first[::-1][index]["VersionId"]
            left = (*etags[:index], *etags[index + 1 :])
            with self.ledger.change({fact: (left, markers, deleted)}):
                self.aws.s3.delete_object(Bucket=VERSIONED, Key=fact[2], VersionId=version)

    def begin(self) -> None:
        if len(self.known("upload")) < 3:
            key = self.new("upload")
            with self.ledger.change({("upload", BUCKET, key): ANYTHING}) as changes:
                answer = self.aws.s3.create_multipart_upload(
                    Bucket=BUCKET, Key=key, Metadata={"note": key}
                )
                changes["upload", BUCKET, key] = (answer["UploadId"], ())

    def part(self) -> None:
        if found := self.known("upload"):
            fact = self.random.choice(found)
            upload, parts = self.ledger.facts[fact]
            number = self.random.randint(1, 3)
            body = bytes([self.random.randrange(256)]) * PART
            known = {**dict(parts), number: _etag(body)}
            with self.ledger.change({fact: (upload, tuple(sorted(known.items())))}):
                self.aws.s3.upload_part(
                    Bucket=BUCKET, Key=fact[2], UploadId=upload, PartNumber=number, Body=body
                )

    def complete(self) -> None:
        found = [fact for fact in self.known("upload") if self.ledger.facts[fact][1]]
        if found:
            fact = self.random.choice(found)
            upload, parts = self.ledger.facts[fact]
            digests = b"".join(bytes.fromhex(etag) for _, etag in parts)
            etag = f"{hashlib.md5(digests).hexdigest()}-{len(parts)}"
            asked = {"Parts": [{"PartNumber": n, "ETag": etag} for n, etag in parts]}
            done = {fact: None, ("object", BUCKET, fact[2]): (etag, fact[2], ())}
            with self.ledger.change(done):
                self.aws.s3.complete_multipart_upload(
                    Bucket=BUCKET, Key=fact[2], UploadId=upload, MultipartUpload=asked
                )
            # Large bodies would only slow the survey down.
            with self.ledger.change({("object", BUCKET, fact[2]): None}):
                self.aws.s3.delete_object(Bucket=BUCKET, Key=fact[2])

    def abort(self) -> None:
        found = self.known("upload")
        if len(found) == 3:
            fact = self.random.choice(found)
            with self.ledger.change({fact: None}):
                self.aws.s3.abort_multipart_upload(
                    Bucket=BUCKET, Key=fact[2], UploadId=self.ledger.facts[fact][0]
                )


class Things(Worker):
    """Buckets, roles, models, configurations, tags, log lines and metrics."""

    operations = (
        "bucket bucket_tags drop_bucket role model config tags drop_model log log metric metric"
    )

    def bucket(self) -> None:
        if len(self.known("bucket")) < 3:
            name = self.new("bucket")
            with self.ledger.change({("bucket", name): ANYTHING}) as changes:
                self.aws.s3.create_bucket(Bucket=name)
                changes["bucket", name] = (_created(self.aws, name), None)

    def bucket_tags(self) -> None:
        if found := self.known("bucket"):
            fact, text = self.random.choice(found), self.new("tag")
            created = self.ledger.facts[fact][0]
            tags = {"TagSet": [{"Key": "k", "Value": text}]}
            with self.ledger.change({fact: (created, text)}):
                self.aws.s3.put_bucket_tagging(Bucket=fact[1], Tagging=tags)

    def drop_bucket(self) -> None:
        found = self.known("bucket")
        if len(found) == 3:
            fact = self.random.choice(found)
            with self.ledger.change({fact: None}):
                self.aws.s3.delete_bucket(Bucket=fact[1])

    def role(self) -> None:
        name = self.new("role")
        with self.ledger.change({("role", name): ANYTHING}) as changes:
            role = self.aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")["Role"]
            changes["role", name] = (role["RoleId"], role["CreateDate"].isoformat())

    def model(self) -> None:
        name = self.new("model")
        with self.ledger.change({("model", name): ()}):
            self.aws.sagemaker.create_model(
                ModelName=name,
                PrimaryContainer={"Image": INFERENCE_IMAGE},
                ExecutionRoleArn=ROLE_ARN,
            )

    def config(self) -> None:
        if found := self.known("model"):
            name = self.new("config")
            variant = {"VariantName": "v", "ModelName": self.random.choice(found)[1]}
            variant |= {"InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
            with self.ledger.change({("config", name): variant["ModelName"]}):
                self.aws.sagemaker.create_endpoint_config(
                    EndpointConfigName=name, ProductionVariants=[variant]
                )

    def tags(self) -> None:
        if found := self.known("model"):
            fact, text = self.random.choice(found), self.new("tag")
            with self.ledger.change({fact: (("k", text),)}):
                self.aws.sagemaker.add_tags(
                    ResourceArn=model_arn(fact[1]), Tags=[{"Key": "k", "Value": text}]
                )

    def drop_model(self) -> None:
        used = {self.ledger.facts[fact] for fact in self.known("config")}
        free = [fact for fact in self.known("model") if fact[1] not in used]
        if len(free) > 4:
            fact = self.random.choice(free)
            with self.ledger.change({fact: None}):
                self.aws.sagemaker.delete_model(ModelName=fact[1])

    def log(self) -> None:
        fact = ("log", GROUP, f"stream-{self.number}")
        if fact not in self.ledger.facts:
            with self.ledger.change({fact: ()}):
                self.aws.logs.create_log_stream(logGroupName=GROUP, logStreamName=fact[2])
            return
        lines = [self.new("line") for _ in range(self.random.randint(1, 20))]
        now = int(time.time() * 1000)
        with self.ledger.change({fact: (*self.ledger.facts[fact], *lines)}):
            self.aws.logs.put_log_events(
                logGroupName=GROUP,
                logStreamName=fact[2],
                logEvents=[{"timestamp": now, "message": line} for line in lines],
            )

    def metric(self) -> None:
        fact = ("metric", f"metric-{self.number}")
        count, total = self.ledger.facts.get(fact, (0, 0))
        with self.ledger.change({fact: (count + 1, total + self.count)}):
            self.aws.cloudwatch.put_metric_data(
                Namespace=NAMESPACE, MetricData=[{"MetricName": fact[1], "Value": self.count}]
            )


class Jobs(Worker):
    """Training jobs and tuning jobs: started, stopped, and described when they have ended."""

    operations = "job job job tuning end end end end end stop"

    def job(self) -> None:
        name = self.new("job")
        with self.ledger.change({("job", name): "there"}):
            self.aws.sagemaker.create_training_job(**training_request(JOB, TrainingJobName=name))

    def tuning(self) -> None:
        name = self.new("tuning")
        request = tuning_request(command="echo objective=1", jobs=2)
        with self.ledger.change({("tuning", name): "there"}):
            self.aws.sagemaker.create_hyper_parameter_tuning_job(
                **request | {"HyperParameterTuningJobName": name}
            )

    def stop(self) -> None:
        if found := self.known("job"):
            name = self.random.choice(found)[1]
            try:
                self.aws.sagemaker.stop_training_job(TrainingJobName=name)
            except ClientError as error:  # it has ended
                if "in status" not in str(error):
                    raise

    def end(self) -> None:
        """Note how a job ended; from then on nothing of it may change."""
        time.sleep(0.02)
        for kind, name in self.known("job"):
            described = self.aws.sagemaker.describe_training_job(TrainingJobName=name)
            if (f"ended {kind}", name) not in self.ledger.facts and is_over(described):
                with self.ledger.change({("ended job", name): as_text(described)}):
                    return


def is_over(job: dict) -> bool:
    return job["TrainingJobStatus"] in ENDED


def as_text(described: dict) -> str:
    kept = {name: value for name, value in described.items() if name != "ResponseMetadata"}
    return json.dumps(kept, sort_keys=True, default=str)


def _etag(body: bytes) -> str:
    return hashlib.md5(body).hexdigest()


def _created(aws, name: str) -> str:
    buckets = aws.s3.list_buckets()["Buckets"]
    return next(b["CreationDate"].isoformat() for b in buckets if b["Name"] == name)


def model_arn(name: str) -> str:
    return f"arn:aws:sagemaker:us-east-1:123456789012:model/{name}"
