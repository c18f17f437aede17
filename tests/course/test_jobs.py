"""Jobs: found by time, waited for to their end, and their failure told with reason and log."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import botocore.session
import pytest

from course import MissingStep, jobs
from course.jobs import JobFailed, State
from engine_support.clients import training_request, unique
from local_sagemaker import REGION

BEGUN = datetime(2026, 11, 29, 9, tzinfo=UTC)


def done(name="done", status="Completed", reason=None, **members):
    """A training job as the SDK has it, which has ended after 75 seconds."""
    return training(name, [(status, status, reason)], **members)


def training(name, answers, **members):
    """A training job that has the next of the answers after each refresh."""
    job = SimpleNamespace(
        training_job_name=name,
        creation_time=BEGUN,
        training_end_time=BEGUN + timedelta(seconds=75),
        final_metric_data_list=object(),  # the SDK's "not said"
        **members,
    )
    waiting = iter(answers)

    def refresh():
        answer = next(waiting)
        job.training_job_status, job.secondary_status, job.failure_reason = answer
        return job

    job.refresh = refresh
    return refresh()


def tuning(statuses):
    counts = iter(statuses)
    job = SimpleNamespace(
        hyper_parameter_tuning_job_name="search",
        failure_reason=object(),
        hyper_parameter_tuning_job_config=SimpleNamespace(
            resource_limits=SimpleNamespace(max_number_of_training_jobs=6)
        ),
    )

    def refresh():
        status, count = next(counts)
        job.hyper_parameter_tuning_job_status = status
        job.training_job_status_counters = SimpleNamespace(completed=count)
        return job

    job.refresh = refresh
    return refresh()


@pytest.fixture(autouse=True)
def logs(monkeypatch, aws):
    """CloudWatch of the engine that the tests run on."""
    monkeypatch.setattr(jobs, "_client", aws.client)


# ----------------------------------------------------------------------------------------- statuses


def test_every_status_of_the_service_is_known():
    shapes = botocore.session.get_session().get_service_model("sagemaker")
    known = jobs.GOOD | jobs.BAD | jobs.UNDER_WAY
    for name in (
        "TrainingJobStatus", "SecondaryStatus", "HyperParameterTuningJobStatus", "EndpointStatus",
    ):  # fmt: skip
        assert set(shapes.shape_for(name).enum) <= known, name


def test_no_status_is_of_two_kinds():
    kinds = jobs.GOOD, jobs.BAD, jobs.UNDER_WAY
    assert len(set.union(*kinds)) == sum(map(len, kinds))


@pytest.mark.parametrize(
    ("status", "ended"), [("Completed", True), ("Failed", True), ("Stopping", False)]
)
def test_what_is_not_under_way_has_ended(status, ended):
    assert State(status).ended is ended


@pytest.mark.parametrize("answer", ["Training", ("Training",), State("Training")])
def test_a_status_alone_will_do(answer):
    assert jobs.as_state(answer) == State("Training", None, None)


def test_what_the_sdk_gives_for_not_said_is_no_reason_and_no_count():
    assert jobs.as_state(("Failed", object(), object())) == State("Failed")
    assert jobs.as_state(("Failed", 3, "no data")) == State("Failed", 3, "no data")


def test_what_is_no_status_is_refused():
    with pytest.raises(ValueError, match="'Ready' is no status"):
        jobs.as_state("Ready")


# ---------------------------------------------------------------------------------- earlier results


def test_what_is_there_is_given_back():
    assert jobs.require(["job"], "a job", "02-hpo") == ["job"]


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_what_is_missing_names_the_notebook(nothing):
    with pytest.raises(MissingStep, match="a job is not there yet: run notebook 02-hpo first"):
        jobs.require(nothing, "a job", "02-hpo")


def test_until_asks_again_until_there_is_an_answer():
    answers = iter([None, None, 0])  # an answer may be falsy
    assert jobs.until(lambda: next(answers), pause_s=0) == 0


def test_until_gives_up():
    with pytest.raises(TimeoutError, match=r"within 0\.01 s"):
        jobs.until(lambda: None, limit_s=0.01, pause_s=0)


@pytest.fixture
def listed(monkeypatch):
    """What the SDK's resources are asked for, by name."""
    from sagemaker.core import resources

    found = []
    for name in ("TrainingJob", "HyperParameterTuningJob"):
        kind = SimpleNamespace(get=lambda name, region: found.append(name) or name)
        monkeypatch.setattr(resources, name, kind)
    return found


def workspace(aws):
    session = SimpleNamespace(boto_session=SimpleNamespace(client=aws.client))
    return SimpleNamespace(
        session=session, bucket="work", prefix="dogs", mode="local", region=REGION
    )


def test_the_latest_completed_job_of_a_name_is_found(aws, listed):
    base = unique("dog_breeds").replace("_", "-")
    for end in ("20261129090000", "20261129090100", "scratch-20261129090200"):
        aws.trained("true", TrainingJobName=f"{base}-{end}")
    aws.trained("exit 1", TrainingJobName=f"{base}-20261129090300")
    assert jobs.latest_training_job(workspace(aws), base) == f"{base}-20261129090100"
    assert jobs.latest_training_job(workspace(aws), f"{base}_scratch").endswith("0200")


def test_a_job_on_a_later_page_is_found_as_well(aws, listed, monkeypatch):
    """The answer's first page may hold nothing of this name: other jobs contain it too."""
    base = unique("paged")
    aws.trained("true", TrainingJobName=f"{base}-2026")
    for number in range(3):
        aws.trained("true", TrainingJobName=f"{base}-other-{number}-x")
    client = aws.client("sagemaker")
    asked = client.get_paginator

    def pages(operation):
        paginate = asked(operation).paginate
        config = {"PageSize": 1}
        return SimpleNamespace(paginate=lambda **k: paginate(PaginationConfig=config, **k))

    monkeypatch.setattr(client, "get_paginator", pages)
    ws = workspace(aws)
    ws.session.boto_session.client = lambda name: client
    assert jobs.latest_training_job(ws, base) == f"{base}-2026"


def test_without_a_job_the_notebook_is_named(aws, listed):
    with pytest.raises(MissingStep, match=r"a completed tuning job nothing-here .* 02-hpo first"):
        jobs.latest_tuning_job(workspace(aws), "nothing-here")
    with pytest.raises(MissingStep, match="run notebook 03-train-debug-profile first"):
        jobs.latest_training_job(workspace(aws), "nothing-here")


# ------------------------------------------------------------------------------------------ waiting


def test_it_waits_until_the_last_of_the_jobs_has_ended(capsys):
    slow = training("slow", [("InProgress", "Starting", None)] * 3 + [("Completed",) * 2 + (None,)])
    fast = done()
    assert jobs.wait(slow, fast, every_s=0) == [slow, fast]
    assert slow.training_job_status == "Completed"
    assert capsys.readouterr().out.splitlines() == [
        "slow · Completed · 75 s",
        "done · Completed · 75 s",
    ]


def test_it_waits_as_long_as_a_job_may_take(monkeypatch):
    """boto3's waiter gives up after an hour, while a spot job may wait and train for longer."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(
        jobs,
        "time",
        SimpleNamespace(
            monotonic=lambda: clock.now,
            sleep=lambda seconds: setattr(clock, "now", clock.now + seconds),
        ),
    )
    longest = jobs.stopping_condition(SimpleNamespace(spot=True), 1800).max_wait_time_in_seconds

    def answers():
        while clock.now < longest:
            yield "InProgress", "Training", None
        yield "Completed", "Completed", None

    job = training("slow", answers())
    assert jobs.wait(job) is job
    assert clock.now >= longest == 5400


def test_one_job_is_given_back_by_itself_and_a_trainer_stands_for_its_job():
    job = done()
    assert jobs.wait(job, every_s=0) is job
    assert jobs.wait(SimpleNamespace(_latest_training_job=job), every_s=0) is job


def test_a_tuning_job_counts_what_is_done(capsys):
    search = tuning([("InProgress", 0), ("InProgress", 2), ("Completed", 6)])
    assert jobs.wait(SimpleNamespace(latest_tuning_job=search), every_s=0) is search
    assert capsys.readouterr().out == "search · Completed · 6 of 6 jobs\n"


def test_a_failed_job_stops_with_its_reason_and_the_end_of_its_log(aws):
    name = aws.train("for i in $(seq 30); do echo line $i; done; exit 3")
    aws.job(name)
    failed = done(name, "Failed", "ExecuteUserScriptError: no dogs")
    with pytest.raises(JobFailed) as caught:
        jobs.wait(failed, done("fine"), every_s=0)
    said = str(caught.value)
    assert said.startswith(f"{name} · Failed · 75 s: ExecuteUserScriptError: no dogs\n")
    assert said.endswith("line 30") and "line 19" in said and "line 1\n" not in said
    assert "fine" not in said


def test_a_stopped_job_is_a_failure_unless_it_is_expected():
    with pytest.raises(JobFailed, match="no reason is given"):
        jobs.wait(done(status="Stopped"), every_s=0)
    stopped = done(status="Stopped")
    assert jobs.wait(stopped, expect={"Stopped"}, every_s=0) is stopped


@pytest.mark.parametrize("what", [SimpleNamespace(_latest_training_job=None), "name", None])
def test_what_has_not_been_started_is_refused(what):
    with pytest.raises(TypeError, match="is no job: give a trainer"):
        jobs.wait(what)


# ----------------------------------------------------------------------------------- what they said


def values(**found):
    return [SimpleNamespace(metric_name=name, value=value) for name, value in found.items()]


def test_late_metrics_are_waited_for():
    job = done()
    answers = iter([object(), values(loss=1.0), values(loss=1.0, accuracy=0.5)])

    def refresh():
        job.final_metric_data_list = next(answers)

    job.refresh = refresh
    assert jobs.metrics(job, "accuracy", pause_s=0) == {"loss": 1.0, "accuracy": 0.5}


def test_a_metric_that_never_comes_is_named():
    job = done()
    job.final_metric_data_list = values(loss=1.0)
    job.refresh = lambda: None
    with pytest.raises(TimeoutError, match=r"done has not reported accuracy within 0\.01 s"):
        jobs.metrics(job, "loss", "accuracy", limit_s=0.01, pause_s=0)
    assert jobs.metrics(job) == {"loss": 1.0}


def test_lines_of_the_log_are_found_by_a_pattern(aws):
    name = aws.train("echo epoch=1 loss=2; echo other; echo epoch=2 loss=1")
    aws.job(name)
    assert jobs.log(name, r"^epoch=") == ["epoch=1 loss=2", "epoch=2 loss=1"]
    assert jobs.log(name, "nothing", limit_s=0.01, pause_s=0) == []


def test_all_pages_of_a_log_are_read(aws, monkeypatch):
    name = aws.train("for i in $(seq 25); do echo line $i; done")
    aws.job(name)
    client = aws.client("logs")
    asked = client.get_log_events
    monkeypatch.setattr(client, "get_log_events", lambda **members: asked(limit=4, **members))
    monkeypatch.setattr(jobs, "_client", lambda service: client)
    assert jobs.log(name, r"^line ") == [f"line {i}" for i in range(1, 26)]


def test_hyperparameters_are_numbers_and_texts_again():
    given = {
        "lr": "0.002", "batch-size": '"32"', "model": '"vgg16"', "weights": "imagenet",
        "_tuning_objective_metric": "valid_accuracy", "sagemaker_program": "train.py",
    }  # fmt: skip
    found = jobs.hyperparameters(done(hyper_parameters=given))
    assert found == {"lr": 0.002, "batch-size": 32, "model": "vgg16", "weights": "imagenet"}


# ------------------------------------------------------------------------ what they cost, are given


def billed(name, seconds, count=1):
    machines = SimpleNamespace(instance_type="ml.g4dn.xlarge", instance_count=count)
    job = done(name, billable_time_in_seconds=seconds, resource_config=machines)
    job.refresh = lambda: job
    return job


def test_on_aws_the_billable_seconds_of_all_machines_cost_their_price(aws):
    ws = workspace(aws)
    ws.mode = "aws"
    table = jobs.costs(ws, billed("one", 3600), billed("two", 1800, count=4))
    assert list(table.index) == ["one", "two"]
    assert list(table["USD"]) == pytest.approx([0.736, 1.472])
    assert set(table.instance) == {"ml.g4dn.xlarge"}


def test_on_this_machine_nothing_is_billed(aws):
    table = jobs.costs(workspace(aws), billed("one", 3600))
    assert table.loc["one"].tolist() == ["this machine", 3600, 0.0]


def test_the_savings_are_what_awss_formula_says(aws):
    job = billed("one", 30)
    job.training_time_in_seconds = 120
    states = ("Starting", "Training", "Interrupted", "Starting", "Training", "Completed")
    job.secondary_status_transitions = [SimpleNamespace(status=status) for status in states]
    table = jobs.savings(workspace(aws), job)
    assert table.loc["one"].to_dict() == {
        "interruptions": 1, "trained": 120, "billed": 30, "saved": 0.75
    }  # fmt: skip


@pytest.mark.parametrize(("cores", "threads"), [(1, "1"), (2, "1"), (8, "4"), (None, "1")])
def test_jobs_on_one_machine_share_its_cores(aws, monkeypatch, cores, threads):
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    ws = workspace(aws)
    assert jobs.environment(ws, at_once=2) == {"OMP_NUM_THREADS": threads}
    ws.mode = "aws"
    assert jobs.environment(ws, at_once=2) == {}


def test_on_spot_instances_a_job_may_wait_and_keeps_checkpoints_of_its_own(aws):
    ws = workspace(aws)
    ws.uri = lambda *parts: "/".join(["s3://b/dogs", *parts])
    ws.spot = False
    assert jobs.checkpoints(ws) is None
    limits = jobs.stopping_condition(ws, 1800)
    assert limits.max_runtime_in_seconds == 1800
    assert not isinstance(limits.max_wait_time_in_seconds, int)
    ws.spot = True
    assert jobs.stopping_condition(ws, 1800).max_wait_time_in_seconds == 5400
    addresses = {jobs.checkpoints(ws).s3_uri for _ in range(3)}
    assert len(addresses) == 3 and all(a.startswith("s3://b/dogs/checkpoints/") for a in addresses)


def test_the_channels_are_those_of_the_bucket_and_weights_if_there_are_any(aws):
    ws = workspace(aws)
    ws.prefix = unique("dogs")
    ws.uri = lambda *parts: "/".join([f"s3://{ws.bucket}", ws.prefix, *parts])
    with pytest.raises(MissingStep, match=r"data/train is not there yet: run notebook 01-data"):
        jobs.channels(ws, "train")
    aws.s3.put_object(Bucket=ws.bucket, Key=f"{ws.prefix}/data/train/a/1.jpg", Body=b"1")
    [train] = jobs.channels(ws, "train")
    assert (train.channel_name, train.input_mode) == ("train", "File")
    assert train.data_source.s3_data_source.s3_uri == ws.uri("data", "train")
    aws.s3.put_object(Bucket=ws.bucket, Key=f"{ws.prefix}/weights/n-12345678.pth", Body=b"1")
    assert [each.channel_name for each in jobs.channels(ws, "train")] == ["train", "weights"]


def test_the_tags_are_what_sagemaker_takes(aws):
    asked = [{"Key": tag.key, "Value": tag.value} for tag in jobs.tags()]
    request = training_request("true", Tags=asked)
    arn = aws.sagemaker.create_training_job(**request)["TrainingJobArn"]
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == asked
