"""`python -m course.cleanup` in a crowded account: what the course made goes, all else stays."""

import pytest

from course import cleanup
from course.account import standing
from engine_support.clients import INFERENCE_IMAGE, running_engine, training_request
from engine_support.endpoints import INFERENCE
from engine_support.tuning_requests import tuning_request
from local_sagemaker import ROLE_ARN

OURS = [{"Key": "project", "Value": "dog-breeds"}]
OTHERS = [{"Key": "project", "Value": "cats"}, {"Key": "owner", "Value": "dog-breeds"}]
BUCKET = "sagemaker-us-east-1-123456789012"
SLOW = "import time\ndef model_fn(model_dir):\n    time.sleep(3)\n    return {'name': 'slow'}\n"
KEPT = {  # foreign ones, some with names like the course's
    "endpoint": {"cats", "dog-breeds-teacher"},
    "configuration": {"cats", "dog-breeds-teacher", "dog-breeds-other-project"},
    "model": {"cats", "dog-breeds-teacher", "dog-breeds-other-project"},
    "training job": {"cats-train", "dog-breeds-untagged"},
}
MINE = {  # the last of each is what an interrupted notebook left
    "endpoint": {"dog-breeds-1", "dog-breeds-being-made"},
    "configuration": {"dog-breeds-1", "dog-breeds-being-made", "dog-breeds-orphan"},
    "model": {"dog-breeds-1", "dog-breeds-being-made", "dog-breeds-orphan"},
    "training job": {"dog-breeds-running"},
    "tuning job": {"dog-breeds-search"},
}


# Objects by whom they belong to, with the SDK's own forms of addresses.
COURSES = {
    "dog-breeds/data/1.jpg",
    "breeds/dog-breeds-done/input/code/train.py",  # a job's scripts, apart from its output
    "dog-breeds-own/tuning-1764412345/input/sourcedir/sourcedir.tar.gz",  # of a search's jobs
}
OTHERS_OBJECTS = {
    "dog-breeds-data/1.jpg",
    "cats/1.jpg",
    "breeds/dog-breeds-cousin/input/code/train.py",
    "dog-breeds-own/tuning-1764412346/input/sourcedir/sourcedir.tar.gz",
    "dog-breeds-261129-205535-3641/model.tar.gz",  # of a model that is deleted, who knows whose
    "shared/code/train.py",  # which the course's job uses, and did not put there
}


def uploads(name, tuning):
    """The members of a job whose scripts the SDK has uploaded."""
    code = {"code": f"s3://{BUCKET}/breeds/{name}/input/code", "extra": f"s3://{BUCKET}/shared"}
    source = f"s3://{BUCKET}/dog-breeds-own/tuning-{tuning}/input/sourcedir/sourcedir.tar.gz"
    return {
        "channels": code,
        "HyperParameters": {"sagemaker_submit_directory": f'"{source}"'},
    }


class Account:
    """Makes things with and without the tag on an engine."""

    def __init__(self, aws, archive, slow):
        self.aws, self.sagemaker, self.archive, self.slow = aws, aws.sagemaker, archive, slow

    def model(self, name, tags, slow=False):
        """A model whose archive lies where the SDK's `ModelBuilder` puts it."""
        key, source = f"{name}/model.tar.gz", self.slow if slow else self.archive
        self.aws.s3.copy_object(Bucket=BUCKET, Key=key, CopySource=source.removeprefix("s3://"))
        address = f"s3://{BUCKET}/{key}"
        self.sagemaker.create_model(
            ModelName=name,
            PrimaryContainer={"Image": INFERENCE_IMAGE, "ModelDataUrl": address},
            ExecutionRoleArn=ROLE_ARN,
            Tags=tags,
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": name,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name, ProductionVariants=[variant], Tags=tags
        )

    def endpoint(self, name, tags, slow=False):
        self.model(name, tags, slow)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name, Tags=tags)

    def job(self, name, tags, command="sleep 600", output="out", **members):
        request = training_request(command, TrainingJobName=name, Tags=tags, **members)
        request["OutputDataConfig"]["S3OutputPath"] = f"s3://{BUCKET}/{output}"
        self.sagemaker.create_training_job(**request)

    def names(self):
        """What there is, by kind; of jobs those that run."""
        found = {}
        for kind in (*MINE, *KEPT):
            operation, member, prefix = standing.KINDS[kind]
            running = {"StatusEquals": "InProgress"} if kind.endswith("job") else {}
            pages = self.sagemaker.get_paginator(operation).paginate(**running)
            found[kind] = {each[f"{prefix}Name"] for page in pages for each in page[member]}
        # Not those of the search, which stop with it.
        found["training job"] &= KEPT["training job"] | MINE["training job"]
        return found

    def stored(self, bucket=BUCKET):
        return set(self.aws.keys("", bucket))


def archive(aws, name, code):
    """A model's archive in the foreign bucket; its address."""
    import io
    import json
    import tarfile

    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        files = {"model.json": json.dumps({"name": name}), "code/inference.py": code}
        for file, content in files.items():
            member = tarfile.TarInfo(file)
            member.size = len(content)
            target.addfile(member, io.BytesIO(content.encode()))
    aws.s3.put_object(Bucket="foreign", Key=f"{name}.tar.gz", Body=buffer.getvalue())
    return f"s3://foreign/{name}.tar.gz"


@pytest.fixture(scope="module")
def account(tmp_path_factory):
    with running_engine(tmp_path_factory.mktemp("crowded")) as aws:
        for bucket in (BUCKET, "foreign"):
            aws.s3.create_bucket(Bucket=bucket)
        made = Account(
            aws, archive(aws, "quick", INFERENCE), archive(aws, "slow", INFERENCE + SLOW)
        )
        for key in (*COURSES, *OTHERS_OBJECTS):
            aws.s3.put_object(Bucket=BUCKET, Key=key, Body=b"x" * 1000)
        # These first: an engine runs few jobs at a time, and the others go on for ten minutes.
        wrote = "echo x > /opt/ml/model/weights"
        place, second = "dog-breeds-resnet", "1764412346"
        done = uploads("dog-breeds-done", "1764412345")
        made.job("dog-breeds-done", OURS, wrote, place, **done)
        made.job("dog-breeds-cousin", OTHERS, wrote, place, **uploads("dog-breeds-cousin", second))
        for name in ("dog-breeds-done", "dog-breeds-cousin"):
            assert aws.job(name)["TrainingJobStatus"] == "Completed"
        made.endpoint("cats", OTHERS)
        made.endpoint("dog-breeds-teacher", [])
        made.model("dog-breeds-other-project", OTHERS)
        made.endpoint("dog-breeds-1", OURS)
        made.model("dog-breeds-orphan", OURS)
        made.job("cats-train", OTHERS)
        made.job("dog-breeds-untagged", [])
        made.job("dog-breeds-running", OURS)
        search = tuning_request("sleep 600")
        aws.sagemaker.create_hyper_parameter_tuning_job(
            **search | {"HyperParameterTuningJobName": "dog-breeds-search", "Tags": OURS}
        )
        aws.s3.put_object(Bucket="foreign", Key="dog-breeds/data/1.jpg", Body=b"x")
        for name in ("cats", "dog-breeds-teacher", "dog-breeds-1"):
            assert aws.endpoint(name)["EndpointStatus"] == "InService"
        yield made


@pytest.fixture
def here(account, monkeypatch):
    """The crowded account, as the command finds it."""
    variables = {"AWS_ENDPOINT_URL": account.aws.url, "LOCAL_SAGEMAKER_URL": account.aws.url}
    for name, value in {
        **variables,
        **account.aws.key.variables(),
        "AWS_DEFAULT_REGION": "us-east-1",
        "COURSE_MODE": "local",
    }.items():
        monkeypatch.setenv(name, value)
    return account


def union(*parts):
    kinds = {kind for part in parts for kind in part}
    return {kind: set().union(*(part.get(kind, set()) for part in parts)) for kind in kinds}


def test_a_crowded_account(here, capsys):
    """One story, since making the account takes longer than all questions to it."""
    here.endpoint("dog-breeds-being-made", OURS, slow=True)
    before, keys, foreign = here.names(), here.stored(), here.stored("foreign")
    assert before == union(KEPT, MINE)

    # Dry: all that costs is listed, with its price; nothing changes.
    assert cleanup.main([]) == 0
    said = capsys.readouterr().out
    for kind, names in MINE.items():
        for name in names:
            assert f"course  {kind:<18}{name} " in said, said
    for name in KEPT["endpoint"] | KEPT["training job"]:
        assert f" {name} " in said and f"course  endpoint          {name} " not in said
    assert "0.115 USD an hour, 84 USD a month" in said
    assert "of dog-breeds in" in said and "left in dog-breeds-data/" in said
    assert "nothing was changed" in said
    assert here.names() == before and here.stored() == keys

    # Deleting: the course's goes, what is still being made included; objects stay.
    assert cleanup.main(["--delete"]) == 0
    said = capsys.readouterr().out
    assert "endpoint dog-breeds-being-made: deleted" in said
    assert "training job dog-breeds-running: stopping" in said
    here.aws.job("dog-breeds-running")
    here.aws.tuning_job("dog-breeds-search")
    assert union(here.names()) == union(KEPT, {"tuning job": set()})
    assert here.stored() == keys

    # And with the objects: the course's folder, and those of jobs and models with its tag.
    here.model("dog-breeds-later", OURS)
    keys = here.stored()
    assert cleanup.main(["--delete", "--data"]) == 0
    said = capsys.readouterr().out
    gone = keys - here.stored()
    assert gone >= {*COURSES, "dog-breeds-later/model.tar.gz"}
    places = ("dog-breeds/", "dog-breeds-resnet/dog-breeds-done/", "dog-breeds-later/")
    assert all(key in COURSES or key.startswith(places) for key in gone)
    assert here.stored() >= {*OTHERS_OBJECTS, "dog-breeds-teacher/model.tar.gz"}
    assert any("dog-breeds-cousin/output" in key for key in here.stored())
    assert here.stored("foreign") == foreign
    # What has a name like the course's and no tag to go by is named, with the way to remove it.
    unknown = "dog-breeds-261129-205535-3641"
    assert f"left in {unknown}/: 1 object, 0.0 MB; nothing with the course's tag" in said
    assert f"aws s3 rm s3://{BUCKET}/{unknown}/ --recursive" in said
    assert "left in dog-breeds-resnet/" in said and "left in dog-breeds/" not in said
    assert cleanup.LOGS in said

    # Again: nothing of the course's stands any more.
    assert cleanup.main(["--delete"]) == 0
    assert "the course's: 0.000 USD an hour" in capsys.readouterr().out
    assert union(here.names()) == union(KEPT, {"tuning job": set()})


def test_the_tag_is_asked_for_again_before_a_removal(here):
    """Between the list and the removal, a name may have passed to somebody else."""
    here.model("dog-breeds-passed-on", OURS)
    listed = [each for each in standing.found(here.sagemaker) if each.name.endswith("passed-on")]
    assert {each.kind for each in listed} == {"model", "configuration"}
    for each in listed:
        here.sagemaker.delete_tags(ResourceArn=each.arn, TagKeys=["project"])
    said = []
    assert standing.remove(here.sagemaker, listed, said.append) == []
    assert all("no longer the course's" in line for line in said)
    assert "dog-breeds-passed-on" in here.names()["model"]
    here.sagemaker.delete_model(ModelName="dog-breeds-passed-on")
    here.sagemaker.delete_endpoint_config(EndpointConfigName="dog-breeds-passed-on")


def test_what_cannot_be_removed_is_said_and_the_rest_goes_on(here, capsys):
    here.endpoint("dog-breeds-stuck", OURS, slow=True)
    listed = [each for each in standing.found(here.sagemaker) if each.name == "dog-breeds-stuck"]
    said = []
    (left,) = standing.remove(here.sagemaker, listed, said.append, limit_s=0.1)
    assert left.kind == "endpoint" and any("FAILED, still being made" in line for line in said)
    assert any(line == "model dog-breeds-stuck: deleted" for line in said)
    here.aws.endpoint("dog-breeds-stuck")
    assert cleanup.main(["--delete"]) == 0


def test_the_first_line_says_which_side_was_asked(here, capsys, monkeypatch):
    """Where COURSE_MODE is lost, "nothing stands here" is about this machine, not about AWS."""
    assert cleanup.main([]) == 0
    said = capsys.readouterr().out.partition("\n")[0]
    assert said.startswith("LOCAL: ") and "COURSE_MODE=aws" in said
    assert said.endswith("region us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL")  # boto3 finds the engine in AWS's place
    for service in ("SAGEMAKER", "S3", "STS"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", here.aws.url)
    monkeypatch.setenv("COURSE_MODE", "aws")
    assert cleanup.main([]) == 0
    said = capsys.readouterr().out
    assert said.startswith("AWS: account …9012, region us-east-1\n") and "123456789012," not in said


def test_a_wrong_mode_is_told(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_MODE", "azure")
    assert cleanup.main([]) == 1
    assert "FAILED COURSE_MODE is 'azure'" in capsys.readouterr().err
