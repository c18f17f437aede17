"""The sampler beside a profiled job: what it leaves, and that it neither outlives nor fails it."""

import itertools
import json
import os
import subprocess

import pytest
from botocore.exceptions import ClientError

from debugger_support.processes import processes_with, wait_until
from engine_support.clients import unique
from engine_support.profiles import FOREVER, PLACE, files, lines, profiled, samples, until_sampled
from engine_support.shared_files import shared_folder
from local_sagemaker.client.environment import aws_variables
from local_sagemaker.training import cluster, profiling
from local_sagemaker.training.instance import Instance
from local_sagemaker.training.profiling import PROGRAM, sampling

SAMPLED = "wait until sampled"  # in a job's command


def processes(name):
    """What runs of a job, or beside it."""
    return processes_with(f"/{name}/algo-")


def samplers(name):
    return [each for each in processes(name) if PROGRAM in each.info["cmdline"]]


def sampled(aws, name):
    """The moments that were sampled of a running job, also those that are not on S3 yet."""
    folder = aws.state / "jobs" / name / "algo-1/profiler/system"
    texts = [file.read_text() for file in folder.rglob("*.json")]
    read = [json.loads(line) for text in texts for line in text.splitlines(True) if "\n" in line]
    return sorted({line["Timestamp"] for line in read})


@pytest.fixture
def job(aws):
    """Starts a job that runs until it is stopped."""
    started = []

    def start(command=FOREVER, **members):
        name = unique("profiled")
        members = {"StoppingCondition": {"MaxRuntimeInSeconds": 300}, **members}
        gate = shared_folder() / "gate"  # a job does not see the engine's folder if that is in /tmp
        wait = f"until [ -e {gate} ]; do sleep 0.05; done; sleep 0.5"
        started.append(aws.train(command.replace(SAMPLED, wait), TrainingJobName=name, **members))
        if SAMPLED in command:
            wait_until((aws.state / "jobs" / name / "algo-1/profiler/system").is_dir)
            gate.touch()
        return name

    yield start
    for name in started:
        try:
            aws.sagemaker.stop_training_job(TrainingJobName=name)
        except ClientError:  # it has ended
            continue
        aws.job(name)


def test_samples_come_to_s3_while_the_job_runs_and_smdebug_reads_them(aws, job, monkeypatch):
    name = job(f"sleep 60 & sleep 60 & {FOREVER}", **profiled(100))
    until_sampled(aws, name, 8)
    (program,) = samplers(name)
    environment = program.environ()
    assert not [variable for variable in environment if "AWS" in variable or "KEY" in variable]
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    aws.job(name)
    found = samples(aws, name)
    moments = sorted({line["Timestamp"] for line in found})
    assert min(later - moment for moment, later in itertools.pairwise(moments)) < 0.45
    assert {line["NodeId"] for line in found} == {"algo-1"}
    # The job's whole tree, though it is in a PID namespace of its own: the shell and its sleepers
    counts = [line["Value"] for line in found if line["Dimension"] == "Processes"]
    assert max(counts) >= 3
    for variable, value in aws_variables(aws.url, aws.key).items():
        monkeypatch.setenv(variable, value)
    from smdebug.profiler.system_metrics_reader import S3SystemMetricsReader

    reader = S3SystemMetricsReader(f"{PLACE}/{name}/profiler-output")
    reader.refresh_event_file_list()
    events = reader.get_events(0, 4e15)
    assert {"cpu", "memory"} <= {event.type for event in events}
    cores = {event.name for event in events if event.dimension == "CPUUtilization"}
    assert cores == {f"cpu{number}" for number in range(os.cpu_count())}
    # As TimelineCharts asks, up to the last file's name: though the job was short, all are there.
    charted = reader.get_events(0, reader.get_timestamp_of_latest_available_file())
    assert len(charted) == len(events) == len(found) > 0


def test_the_layout_is_awss(aws, job):
    name = job(SAMPLED, **profiled())
    aws.job(name)
    (key, *_) = files(aws, name)
    hour, file = key.split("/")[-2:]
    minute = int(file.removesuffix(".algo-1.json"))
    (first, *_) = lines(aws, key)
    assert minute % 60 == 0 and minute <= first["Timestamp"] < minute + 60
    assert len(hour) == 10 and key.endswith(f"/system/incremental/{hour}/{file}")


def test_the_interval_is_the_one_asked_for(aws, job):
    default, second = job(**profiled()), job(**profiled(1000))
    for name, asked in ((default, "500"), (second, "1000")):
        moments = wait_until(lambda name=name: (m := sampled(aws, name)) and len(m) >= 3 and m)
        gaps = [later - moment for moment, later in itertools.pairwise(moments)]
        assert max(gaps) > 0.6 * int(asked) / 1000
        words = samplers(name)[0].cmdline()
        assert words[words.index("--interval-ms") + 1] == asked


@pytest.mark.parametrize("members", [{}, {"ProfilerConfig": {"DisableProfiler": True}}])
def test_a_job_that_is_not_profiled(aws, job, members):
    name = job("echo begun; sleep 60", **members)
    wait_until(lambda: aws.log(name))
    assert processes(name) and not samplers(name)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.job(name)["ProfilingStatus"] == "Disabled"
    assert files(aws, name) == []


def test_a_job_that_is_profiled_says_so(aws, job):
    assert aws.job(job("true", **profiled()))["ProfilingStatus"] == "Enabled"


def test_what_the_script_records_is_kept_beside_it(aws, job):
    script = "cd /opt/ml/output; mkdir -p profiler/framework/steps profiler/system mine/framework;"
    script += "echo {} > profiler/framework/steps/1.json; echo {} > profiler/framework/2.json.tmp;"
    script += "echo false > profiler/system/own.json; echo {} > mine/framework/3.json"
    name = job(script, **profiled())
    aws.job(name)
    key, end = files(aws, name, "framework")
    assert key.endswith(f"/{name}/profiler-output/framework/steps/1.json")
    assert end.endswith("/framework/training_job_end.ts")
    assert not [key for key in files(aws, name) if key.endswith("own.json")]
    mine = {"LocalPath": "/opt/ml/output/mine"}
    name = job(script, **profiled(ProfilingParameters=mine))
    aws.job(name)
    key, _end = files(aws, name, "framework")
    assert key.endswith("/framework/3.json")


def test_each_instance_has_a_sampler(aws, job):
    pair = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
    name = job(ResourceConfig=pair, **profiled(100))
    wait_until(lambda: samples(aws, name, "algo-1") and samples(aws, name, "algo-2"))
    assert {line["NodeId"] for line in samples(aws, name, "algo-2")} == {"algo-2"}


# Ends


def test_a_job_that_fails_keeps_its_samples(aws, job):
    failed = aws.job(job(f"{SAMPLED}; sleep 2.5; exit 3", **profiled(100)))
    assert failed["TrainingJobStatus"] == "Failed"
    assert "exit code: 3" in failed["FailureReason"]
    moments = {line["Timestamp"] for line in samples(aws, failed["TrainingJobName"])}
    assert max(moments) - min(moments) > 2  # those after the first look too
    assert processes(failed["TrainingJobName"]) == []


def test_a_stopped_job_leaves_no_sampler(aws, job):
    name = job("trap 'exit 0' TERM; " + FOREVER, **profiled(100))
    until_sampled(aws, name)
    assert samplers(name)
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.job(name)["TrainingJobStatus"] == "Stopped"
    assert processes(name) == [] and aws.log(name) == []


def test_a_sampler_that_is_killed_fails_no_job(aws, job):
    name = job(**profiled(100))
    until_sampled(aws, name)
    samplers(name)[0].kill()
    wait_until(lambda: not samplers(name))
    aws.sagemaker.stop_training_job(TrainingJobName=name)
    assert aws.job(name)["TrainingJobStatus"] == "Stopped"
    (line,) = [line for line in aws.log(name) if "metrics are not complete" in line]
    assert "exit code 137" in line


@pytest.fixture
def beside(tmp_path):
    """Samples an instance that sleeps; gets what to do meanwhile, returns what was told."""
    (host,) = cluster.hosts({"InstanceType": "ml.m5.large", "InstanceCount": 1})
    name, told = unique("profiled"), []
    instance = Instance(tmp_path / name / "algo-1", host, [host])
    instance.process = subprocess.Popen(["sleep", "60"])

    def sample(act):
        with sampling(profiled(100), instance, told.append):
            act(name)
        assert processes(name) == []
        return told

    yield sample
    instance.process.kill()
    instance.process.wait()


def test_a_sampler_that_hangs_is_ended(beside, monkeypatch):
    monkeypatch.setattr(profiling, "END_S", 0.3)
    told = beside(lambda name: wait_until(lambda: samplers(name))[0].suspend())
    assert told == [
        "local_sagemaker: the system's metrics are not complete: "
        "the sampler took more than 0.3 s to end"
    ]


def test_a_sampler_that_cannot_go_on_says_why(beside, monkeypatch):
    monkeypatch.setattr(profiling, "PROGRAM", "no_such_program.py")
    (line,) = beside(lambda name: wait_until(lambda: not samplers(name)))
    assert "exit code 2" in line and "no_such_program.py': [Errno 2]" in line


def test_a_sampler_that_cannot_be_started_fails_no_job(beside, monkeypatch):
    monkeypatch.setattr(profiling.sys, "executable", "/no/such/python")
    (line,) = beside(lambda name: None)
    assert "the system's metrics are not sampled" in line and "/no/such/python" in line


# Refusals


def test_a_bucket_that_is_not_there_fails_the_job_before_it_trains(aws):
    place = {"S3OutputPath": "s3://no-such-bucket/profiles"}
    failed = aws.trained("true", ProfilerConfig=place)
    assert "'no-such-bucket' of ProfilerConfig does not exist" in failed["FailureReason"]
    place["DisableProfiler"] = True
    assert aws.trained("true", ProfilerConfig=place)["TrainingJobStatus"] == "Completed"
