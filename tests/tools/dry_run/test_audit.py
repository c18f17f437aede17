"""The audit passes what AWS would take, and fails on each thing that is spoiled on purpose."""

import json
from dataclasses import asdict, replace

import pytest

from course.account import images
from course.account.standing import TAG
from tools.dry_run import audit
from tools.dry_run.audit import SPARE, Audit, filled, summary
from tools.dry_run.record import Call, read

ACCOUNT, REGION = "111122223333", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/dog-breeds-jobs"
BUCKET = f"sagemaker-{REGION}-{ACCOUNT}"
OWNER = {"ExpectedBucketOwner": ACCOUNT}
REGISTRY = f"763104351884.dkr.ecr.{REGION}.amazonaws.com"
IMAGES = {"local": images.training(REGION, "cpu"), "aws": images.training(REGION, "gpu")}
INSTANCES = {"local": "ml.m5.large", "aws": "ml.g4dn.xlarge"}


def call(service, operation, status=200, **params):
    host = f"{service}.{REGION}.amazonaws.com"
    return Call(service, operation, host, REGION, params, status=status)


def job(mode, **members):
    name = members.pop("name", "dog-breeds-20261121094104")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/dog-breeds/data/train"}
    return call(
        "sagemaker",
        "CreateTrainingJob",
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": IMAGES[mode],
            "TrainingInputMode": "File",
        },
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/dog-breeds"},
        ResourceConfig={"InstanceType": INSTANCES[mode], "InstanceCount": 1, "VolumeSizeInGB": 30},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
        Tags=[TAG],
        **members,
    )


def model(**members):
    container = {
        "Image": images.inference(REGION),
        "ModelDataUrl": f"s3://{BUCKET}/dog-breeds-1/model.tar.gz",
    }
    names = {"ModelName": "dog-breeds-1", "ExecutionRoleArn": ROLE, "Tags": [TAG]}
    return call("sagemaker", "CreateModel", PrimaryContainer=container, **names | members)


def put(**members):
    key = {"Bucket": BUCKET, "Key": "dog-breeds/data/train/1.jpg", "Body": 99}
    return call("s3", "PutObject", **key | members)


def run(mode, *more):
    own = [call("sts", "GetCallerIdentity")] if mode == "aws" else []
    return [*own, call("s3", "ListBuckets"), put(), job(mode), model(), *more]


def policies():
    """The course's own, reduced to what this little run needs."""
    whole = filled(audit.POLICIES, ROLE, REGION)
    needed = {
        "s3:ListAllMyBuckets",
        "s3:PutObject",
        "sagemaker:CreateTrainingJob",
        "sagemaker:CreateModel",
        "sagemaker:AddTags",
        "iam:PassRole",
    }
    for statement in whole["user"].statements:
        listed = statement["Action"] if isinstance(statement["Action"], list) else []
        kept = [a for a in listed or [statement["Action"]] if a in needed]
        spare = [a for a in listed if (statement["Sid"], a) in SPARE["user"]]
        statement["Action"] = kept + spare
    return whole


def problems(aws, local=None, **changed):
    made = {"policies": policies(), "role": ROLE, **changed}
    return Audit(local if local is not None else run("local"), aws, **made).problems()


@pytest.fixture(autouse=True)
def the_spare_that_it_has(monkeypatch):
    """The table of spare permissions, without those whose statements the small policy lacks."""
    written = {
        who: {(s["Sid"], a) for s in p.statements for a in s["Action"] if s["Action"] != "*"}
        for who, p in policies().items()
    }
    written["role"] = set(SPARE["role"])
    spare = {
        who: {pair: why for pair, why in table.items() if pair in written[who]}
        for who, table in SPARE.items()
    }
    monkeypatch.setattr(audit, "SPARE", spare)


def test_a_run_that_asks_for_the_same_by_the_policy_passes():
    assert problems(run("aws")) == []


def only(found, *words):
    """One problem, which holds all `words`, says what to do, and is the only one."""
    assert len(found) == 1, found
    for word in words:
        assert word in found[0]


def spoiled(call, **members):
    return replace(call, params={**call.params, **members})


def with_members(operation, **members):
    """The run in AWS mode, with other members in the requests of one operation."""
    return [spoiled(c, **members) if c.operation == operation else c for c in run("aws")]


class TestModel:
    def test_a_member_that_is_missing(self):
        broken = job("aws")
        del broken.params["OutputDataConfig"]
        found = problems(run("aws", broken), run("local", job("local")))
        assert any('Missing required parameter in input: "OutputDataConfig"' in p for p in found)

    def test_a_member_of_another_type(self):
        broken = spoiled(put(), Key=17)
        found = problems(run("aws", broken), run("local", broken))
        assert any("Invalid type for parameter Key" in text for text in found)

    def test_what_the_recorder_saw_wrong(self):
        broken = replace(put(), problems=("Value 'ml.laptop' failed ... enum value set",))
        only(problems(run("aws", broken), run("local", put())), "s3:PutObject", "ml.laptop", "Mend")


class TestPolicy:
    def test_another_bucket(self):
        other = put(Bucket="sagemaker-else")
        found = problems(run("aws", other), run("local", other))
        only(found, "user policy does not allow s3:PutObject", "sagemaker-else/dog-breeds")

    def test_objects_of_another_name(self):
        other = put(Key="secrets/1.jpg")
        found = problems(run("aws", other), run("local", other))
        only(found, "does not allow s3:PutObject", "/secrets/1.jpg")

    def test_a_name_that_is_not_the_courses(self):
        created, tagged = problems(
            run("aws", job("aws", name="cats")), run("local", job("local", name="cats"))
        )
        only([created], "does not allow sagemaker:CreateTrainingJob", "training-job/cats")
        only([tagged], "does not allow sagemaker:AddTags", "training-job/cats")

    def test_an_action_that_is_not_allowed(self):
        more = call("s3", "GetBucketCors", Bucket=BUCKET)
        only(problems(run("aws", more), run("local", more)), "does not allow s3:GetBucketCors")

    def test_a_foreign_role(self):
        other = f"arn:aws:iam::{ACCOUNT}:role/admin"
        found = problems(
            run("aws", model(ExecutionRoleArn=other)), run("local", model(ExecutionRoleArn=other))
        )
        only(found, "does not allow iam:PassRole", "role/admin")

    def test_the_role_handed_to_another_service(self, monkeypatch):
        monkeypatch.setattr(audit.permissions, "SAGEMAKER", "ec2.amazonaws.com")
        assert any("iam:PassRole" in text for text in problems(run("aws")))

    def test_what_the_role_may_not_read_or_pull(self):
        elsewhere = {"Image": f"{REGISTRY}/tensorflow:2", "ModelDataUrl": "s3://other/m.tar.gz"}
        more = spoiled(model(), PrimaryContainer=elsewhere)
        text = " ".join(problems(run("aws", more), run("local", more)))
        for words in ("role policy does not allow ecr:BatchGetImage", "s3:GetObject on arn:aws:s3"):
            assert words in text

    def test_a_permission_that_nobody_needs(self):
        surplus = policies()
        surplus["user"].statements[0]["Action"].append("sagemaker:CreateTransformJob")
        found = problems(run("aws"), policies=surplus)
        only(found, "user policy allows sagemaker:CreateTransformJob", "take it out")

    def test_a_reason_for_a_permission_that_is_gone(self, monkeypatch):
        monkeypatch.setitem(audit.SPARE["role"], ("Old", "s3:GetObject"), "nobody knows")
        only(problems(run("aws")), "tools/dry_run/audit.py speaks for s3:GetObject (Old)")

    def test_a_denial_that_the_policy_would_not_make(self):
        denied = replace(put(), status=403, refused="denied as by a policy")
        found = problems(run("aws", denied), run("local", replace(put(), status=403)))
        only(found, "s3:PutObject was denied in the run, but the user policy allows it")

    def test_a_denial_as_the_policy_makes_it(self):
        denied = call("s3", "PutBucketPolicy", 403, Bucket=BUCKET, Policy="{}")
        denied = replace(denied, refused="denied as by a policy")
        assert problems(run("aws", denied), run("local", denied)) == []


class TestManagedPolicy:
    """The same request, where caller and role have AmazonSageMakerFullAccess in place of ours."""

    def judged(self, asked):
        generous = policies()
        for policy in generous.values():
            policy.statements.append(
                {"Sid": "All", "Effect": "Allow", "Action": asked.name, "Resource": "*"}
            )
        return problems(run("aws", asked), run("local", asked), policies=generous)

    def test_a_filter_of_the_log(self):
        asked = call("logs", "FilterLogEvents", logGroupName="/aws/sagemaker/TrainingJobs")
        found = self.judged(asked)
        assert any("FullAccess does not allow logs:FilterLogEvents" in text for text in found)
        assert any("in a way that it allows" in text for text in found)

    def test_a_question_about_the_role(self):
        found = self.judged(call("iam", "GetRole", RoleName="dog-breeds-jobs"))
        assert any("FullAccess does not allow iam:GetRole" in text for text in found)

    def test_a_bucket_without_sagemaker_in_its_name(self):
        found = self.judged(put(Bucket="dogs"))
        assert any("FullAccess does not allow s3:PutObject" in text for text in found)

    def test_streams_and_events(self):
        where = {"logGroupName": "/aws/sagemaker/TrainingJobs", "logStreamName": "dog-breeds-1/a"}
        asked = call("logs", "GetLogEvents", nextToken="f/1", **where)
        assert not any("FullAccess" in text for text in self.judged(asked))


class TestLists:
    def test_a_default_order(self):
        asked = call("sagemaker", "ListEndpoints", NameContains="dog-breeds")
        text = " ".join(problems(run("aws", asked), run("local", asked)))
        assert "ListEndpoints relies on the default of SortBy and SortOrder" in text

    def test_one_page_of_several(self):
        asked = replace(call("s3", "ListObjectsV2", Bucket=BUCKET), more=True)
        text = " ".join(problems(run("aws", asked), run("local", asked)))
        assert "ListObjectsV2" in text and "follow the pages to the end" in text


class TestWhatIsMade:
    """The audit asks `created` about AWS mode's requests; its kinds are in test_created.py."""

    def test_a_spot_job_without_checkpoints(self):
        limits = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 4200}
        spot = {"EnableManagedSpotTraining": True, "StoppingCondition": limits}
        only(problems(with_members("CreateTrainingJob", **spot)), "without a CheckpointConfig")

    def test_a_model_without_the_tag(self):
        found = problems(with_members("CreateModel", Tags=[]))
        assert any("CreateModel has no tag project=dog-breeds" in text for text in found)


SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 4200},
    "CheckpointConfig": {
        "S3Uri": f"s3://{BUCKET}/dog-breeds/checkpoints/20261121094104-0007",
        "LocalPath": "/opt/ml/checkpoints",
    },
}


class TestHosts:
    def test_another_host(self):
        asked = Call("?", "?", "pypi.org", status=403, refused="not a host of AWS")
        only(problems(run("aws", asked)), "pypi.org was asked")

    def test_telemetry_is_the_sdks_own(self):
        asked = Call(
            "s3", "GetObject", params={"Bucket": f"sm-pysdk-t-{REGION}", "Key": "telemetry"}
        )
        assert problems(run("aws", asked)) == []

    def test_any_other_request_without_a_signature(self):
        asked = Call("s3", "GetObject", params={"Bucket": BUCKET, "Key": "dog-breeds/1"})
        found = problems(run("aws", asked), run("local", asked))
        only(found, "without a signature")


MANAGED = {
    "DebugHookConfig": {"S3OutputPath": f"s3://{BUCKET}/dog-breeds/debug"},
    "DebugRuleConfigurations": [{"RuleConfigurationName": "Overfit", "RuleEvaluatorImage": "i"}],
}
SELF = {"HyperParameters": {"debug-config": "{}", "system-metrics": "200"}}


class TestDifferences:
    def test_the_expected_ones_are_told_with_both_values(self):
        made = Audit(run("local"), run("aws"), ROLE, policies())
        assert made.problems() == []
        text = summary(made)
        for words in ("ml.m5.large -> ml.g4dn.xlarge", "2.13-cu133", f"bucket {'':<14} {BUCKET}"):
            assert words in text
        assert "NOT EXPECTED" not in text and "NOBODY" not in text

    @pytest.mark.parametrize(
        ("members", "words"),
        [
            ({"StoppingCondition": {"MaxRuntimeInSeconds": 60}}, "MaxRuntimeInSeconds is 60"),
            ({"EnableNetworkIsolation": True}, "EnableNetworkIsolation is true"),
            ({"HyperParameters": {"lr": "1"}}, "HyperParameters.lr is 1"),
        ],
    )
    def test_any_other(self, members, words):
        aws = [
            spoiled(c, **members) if c.operation == "CreateTrainingJob" else c for c in run("aws")
        ]
        only(problems(aws), words, "in local mode")

    def test_a_jobs_share_of_this_machine(self):
        local, aws = self.modes({"Environment": {"OMP_NUM_THREADS": "1"}}, {})
        assert Audit(local, aws, ROLE, policies()).problems() == []
        local, aws = self.modes({}, {"Environment": {"OMP_NUM_THREADS": "1"}})
        only(problems(aws, local), "OMP_NUM_THREADS is 1 in AWS mode")

    def modes(self, local, aws):
        """The runs of both modes, with members of their own in the jobs' requests."""
        runs = {"local": local, "aws": aws}
        return [
            [
                spoiled(c, **runs[mode]) if c.operation == "CreateTrainingJob" else c
                for c in run(mode)
            ]
            for mode in runs
        ]

    def test_who_evaluates_the_rules(self):
        local, aws = self.modes(MANAGED, SELF)
        assert Audit(local, aws, ROLE, policies()).problems() == []
        assert "who evaluates Debugger's rules: 5 members" in summary(
            Audit(local, aws, ROLE, policies())
        )

    def test_what_is_no_matter_of_who_evaluates_the_rules(self):
        local, aws = self.modes(MANAGED, {"HyperParameters": {"lr": "1"}})
        only(problems(aws, local), "HyperParameters.lr is 1")

    def test_other_rules_where_both_modes_leave_them_to_the_same(self):
        local, aws = self.modes(SELF, {"HyperParameters": {"debug-config": "{}"}})
        only(problems(aws, local), "HyperParameters.system-metrics is (absent)")

    def test_spot_instances(self):
        local, aws = self.modes({"EnableManagedSpotTraining": False}, SPOT)
        made = Audit(local, aws, ROLE, policies())
        assert made.problems() == []
        assert "spot instances        CreateTrainingJob.CheckpointConfig.S3Uri" in summary(made)

    def test_another_runtime_on_spot_instances_is_no_matter_of_spot(self):
        longer = SPOT | {"StoppingCondition": {**SPOT["StoppingCondition"]}}
        longer["StoppingCondition"]["MaxRuntimeInSeconds"] = 700
        local, aws = self.modes({"EnableManagedSpotTraining": False}, longer)
        only(problems(aws, local), "MaxRuntimeInSeconds is 700")

    def test_spot_members_where_both_modes_ask_for_spot_instances(self):
        elsewhere = SPOT["CheckpointConfig"] | {"S3Uri": f"s3://{BUCKET}/dog-breeds/else"}
        other = SPOT | {"CheckpointConfig": elsewhere}
        local, aws = self.modes(SPOT, other)
        only(problems(aws, local), "CheckpointConfig.S3Uri is")

    def test_what_the_clean_up_deletes_is_not_compared(self):
        def deleted(*keys, quiet=True):
            items = {"Objects": [{"Key": f"dog-breeds/{key}"} for key in keys], "Quiet": quiet}
            return call("s3", "DeleteObjects", Bucket=BUCKET, Delete=items)

        def found(quiet):
            local, aws = deleted("a", "b", quiet=quiet), deleted("c", quiet=quiet)
            return problems(run("aws", aws), run("local", local))

        assert found(quiet=True) == []
        assert any("Delete.Objects" in text for text in found(quiet=False))

    def test_another_image_than_for_another_device(self):
        image = {"TrainingImage": f"{REGISTRY}/pytorch:2.9-cu133-old", "TrainingInputMode": "File"}
        aws = with_members("CreateTrainingJob", AlgorithmSpecification=image)
        differs, unknown = sorted(problems(aws), key=lambda text: "tables" in text)
        assert "TrainingImage is" in differs and "2.9" in differs
        assert "which the SDK's tables do not name" in unknown

    def test_the_region_of_a_bucket_that_is_made(self):
        def made(**place):
            return call("s3", "CreateBucket", Bucket=BUCKET, **place)

        there = made(CreateBucketConfiguration={"LocationConstraint": REGION})
        elsewhere = made(CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
        whole = filled(audit.POLICIES, ROLE, REGION)["user"].statements
        allowed = next(s for s in whole if "s3:CreateBucket" in s["Action"])
        for asked, wrong in ((there, 0), (elsewhere, 1)):
            generous = policies()
            generous["user"].statements.append({**allowed, "Action": ["s3:CreateBucket"]})
            found = problems(run("aws", asked), run("local", made()), policies=generous)
            assert len(found) == wrong, found

    def test_a_value_that_the_search_found(self):
        def searched(value):
            ranges = {"ContinuousParameterRanges": [{"Name": "lr"}]}
            found = Call("x", "CreateHyperParameterTuningJob", params={"ParameterRanges": ranges})
            return [found], audit.Difference(
                "sagemaker:CreateTrainingJob", f"HyperParameters.{value}", "0.1", "0.2"
            )

        calls, difference = searched("lr")
        assert audit._reason(difference, calls) == "found by the search"
        assert audit._reason(searched("epochs")[1], calls) == ""

    def test_a_request_that_is_missing(self):
        found = problems([c for c in run("aws") if c.operation != "PutObject"])
        assert any("s3:PutObject: request is (absent)" in text for text in found)

    def test_the_owner_of_the_bucket_must_be_the_account(self):
        aws = with_members("PutObject", **OWNER)
        assert problems(aws) == []
        other = {"ExpectedBucketOwner": "999999999999"}
        aws = with_members("PutObject", **other)
        only(problems(aws), "ExpectedBucketOwner is 999999999999")


def written(file, calls):
    file.write_text("".join(json.dumps(asdict(c)) + "\n" for c in calls))
    return str(file)


def test_the_command_fails_on_what_is_wrong_and_says_it(tmp_path, capsys):
    local = written(tmp_path / "local.jsonl", run("local"))
    aws = written(tmp_path / "aws.jsonl", run("aws", put(Bucket="someone-elses")))
    assert audit.main([local, aws, "--role", ROLE]) == 1
    captured = capsys.readouterr()
    assert "requests" in captured.out
    assert "FAILED the user policy does not allow s3:PutObject" in captured.err


@pytest.mark.parametrize("text", ["", "no json", '{"dog": 1}\n'])
def test_a_file_that_is_no_record_is_refused(tmp_path, capsys, text):
    file = tmp_path / "record.jsonl"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"record\.jsonl"):
        read(file)
    assert audit.main([str(file), str(file), "--role", ROLE]) == 1
    assert "FAILED" in capsys.readouterr().err
