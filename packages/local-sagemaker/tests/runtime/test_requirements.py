"""requirements.txt: met without pip, added once for all, or refused."""

import io
import re
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine_support.clients import BUCKET, running_engine, toolkit_request, unique
from engine_support.endpoints import deploy_files, invoke
from engine_support.tuning_requests import start, tuning_request
from engine_support.wheels import write_wheel
from local_sagemaker.runtime import requirements

ENGINE_PACKAGES = Path(next(p for p in sys.path if p.endswith("site-packages")))
SCRIPT = "import probe, os; print('probe', probe.VALUE)"
# Packages that the engine's environment has, too: of protobuf, the namespace is set up by a file.
PINS = "tqdm==0.1\nprotobuf==99\n"
PINNED = "import tqdm, google.protobuf as p; print('objective=1', tqdm.VALUE, p.VALUE)"


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """An engine whose caller has pip look in a folder of wheels, and nowhere else."""
    folder = tmp_path_factory.mktemp("requirements")
    write_wheel(folder / "wheels")
    write_wheel(folder / "wheels", "greedy", requires=["torch<2"])
    write_wheel(folder / "wheels", "tqdm", "0.1")
    write_wheel(folder / "wheels", "protobuf", "99", module="google/protobuf/__init__.py")
    settings = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder / "wheels")}
    with running_engine(folder / "state", PIP_CONFIG_FILE="/dev/null", **settings) as clients:
        clients.s3.create_bucket(Bucket=BUCKET)
        yield clients


def sources(aws, wanted, script=SCRIPT):
    """Store a script and its requirements.txt as an archive; return its address."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        for name, text in {"train.py": script, "requirements.txt": wanted}.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            target.addfile(member, io.BytesIO(text.encode()))
    key = f"{unique('code')}/sourcedir.tar.gz"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())
    return f"s3://{BUCKET}/{key}"


def drive(aws, wanted, script=SCRIPT, command="probe-prefix;"):
    """A job as v3's ModelTrainer sends it, its script cut down to the requirements' part."""
    key = unique("v3")
    files = {
        "sm_drivers/scripts/install_requirements.py": "raise SystemExit('not the driver own')",
        "code/requirements.txt": wanted,
        "code/train.py": script,
    }
    for name, text in files.items():
        aws.s3.put_object(Bucket=BUCKET, Key=f"{key}/{name}", Body=text.encode())
    command = (
        "cd /opt/ml/input/data/code; set -e;"
        "python3 /opt/ml/input/data/sm_drivers/scripts/install_requirements.py requirements.txt;"
        f"{command} python3 train.py"
    )
    channels = {name: f"s3://{BUCKET}/{key}/{name}" for name in ("sm_drivers", "code")}
    return aws.trained(command, channels=channels)


def made(aws):
    return sorted(
        path.name for path in (aws.state / "environments").glob("requirements-*/complete")
    )


def test_both_kinds_of_job_use_what_is_missing_and_share_it(mine):
    request = toolkit_request(sources(mine, "numpy\nprobe>=1\n"))
    mine.sagemaker.create_training_job(**request)
    jobs = [mine.job(request["TrainingJobName"]), drive(mine, "probe>=1\n")]
    logs = [mine.log(job["TrainingJobName"]) for job in jobs]
    for job, log in zip(jobs, logs, strict=True):
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        assert "probe 1.0" in log
    assert "Requirement already satisfied: numpy" in logs[0]
    assert "Successfully installed probe-1.0" in logs[0]
    assert not any("installed" in line for line in logs[1])  # the second one found it
    assert f"/jobs/{jobs[1]['TrainingJobName']}/" in logs[1][0]  # a command runs in the job's own
    assert made(mine) == ["complete"]
    assert not list(ENGINE_PACKAGES.glob("probe*"))


def by_toolkit(aws):
    """A job as SDK v2's estimators send it."""
    request = toolkit_request(sources(aws, PINS, PINNED))
    aws.sagemaker.create_training_job(**request)
    return aws.job(request["TrainingJobName"])


def by_driver(aws):
    return drive(aws, PINS, PINNED, "")


def by_tuning(aws):
    """The job of a tuning job, as both SDKs' tuners send it."""
    request = tuning_request(jobs=1, parallel=1)
    definition = toolkit_request(sources(aws, PINS, PINNED))
    request["TrainingJobDefinition"]["StaticHyperParameters"] = definition["HyperParameters"]
    request["TrainingJobDefinition"]["Environment"] = definition["Environment"]
    ended = aws.tuning_job(start(aws, request))
    return aws.job(ended["BestTrainingJob"]["TrainingJobName"])


def by_shell(aws):
    """A job of boto3 with a command of its own."""
    words = PINS.replace("\n", " ")
    return aws.trained(f'set -e; pip install -q {words}; python -c "{PINNED}"')


@pytest.mark.parametrize("run", [by_toolkit, by_driver, by_tuning, by_shell])
def test_what_a_job_pins_comes_before_what_the_engine_has(mine, run):
    job = run(mine)
    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert "objective=1 0.1 99" in mine.log(job["TrainingJobName"])


def test_what_a_script_installs_stays_in_its_job(mine):
    job = mine.trained(
        "set -e; pip install -q probe; python -m pip install -q greedy --no-deps; pip3 --version;"
        "probe-prefix; python -c 'import probe, greedy; print(probe.__file__)'"
    )
    assert job["TrainingJobStatus"] == "Completed", job["FailureReason"]
    log = mine.log(job["TrainingJobName"])
    own = f"/jobs/{job['TrainingJobName']}/algo-1/scratch/environment"
    assert log[-2].endswith(own) and own in log[-1]
    after = mine.trained("python -c 'import numpy; import probe'")
    assert "No module named 'probe'" in after["FailureReason"]
    assert not list(ENGINE_PACKAGES.glob("probe*")) and not list(ENGINE_PACKAGES.glob("greedy*"))


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ("numpy\n# old\ntorch<2\n", r"requirements.txt, line 3: 'torch<2' would replace torch 2"),
        (
            "probe==7\n",
            "pip cannot install requirements.txt: .*No matching distribution .* probe==7",
        ),
        ("greedy\n", "pip cannot install requirements.txt: .*conflicting dependencies"),
    ],
)
def test_requirements_that_cannot_be_met_fail_the_job(mine, wanted, reason):
    job = drive(mine, wanted)
    assert job["TrainingJobStatus"] == "Failed"
    assert re.match(f"AlgorithmError: {reason}", job["FailureReason"]), job["FailureReason"]


def test_jobs_at_the_same_time_make_one_environment(mine, tmp_path):
    write_wheel(mine.state.parent / "wheels", "twin")
    before = made(mine)
    with ThreadPoolExecutor() as pool:
        jobs = list(pool.map(lambda _: drive(mine, "twin\nprobe\n"), range(2)))
    assert [job["TrainingJobStatus"] for job in jobs] == ["Completed", "Completed"]
    assert len(made(mine)) == len(before) + 1
    logs = [line for job in jobs for line in mine.log(job["TrainingJobName"])]
    assert len([line for line in logs if "installed" in line and "twin-1.0" in line]) == 1


def write(folder, text):
    (file := folder / "requirements.txt").write_text(text)
    return file


def test_what_is_there_needs_no_pip(tmp_path, capsys):
    (tmp_path / "more.txt").write_text("pandas>=2 ; python_version > '3'\n")
    wanted = "--extra-index-url https://example.invalid\n-r more.txt\nNumPy >=2, \\\n <3  # why\n"
    wanted += "nosuchthing ; python_version < '3'\nuvicorn\n"
    assert not requirements.install(write(tmp_path, wanted))
    assert "Requirement already satisfied: NumPy >=2,  <3\n" in capsys.readouterr().out


def test_a_constraint_is_no_requirement_but_must_be_met(tmp_path):
    (tmp_path / "old.txt").write_text("PyYAML<2\nnosuchthing==1\n")
    lines = list(requirements._lines(write(tmp_path, "-c old.txt\npyyaml\nboto3\n")))
    assert [line.text for line in lines] == ["-c old.txt", "pyyaml", "boto3"]
    assert [requirements._is_met(line.wanted) for line in lines[1:]] == [False, True]
    (tmp_path / "old.txt").write_text("torch<2\n")
    with pytest.raises(requirements.RequirementsFailed, match="line 2: 'torch' would replace"):
        requirements.install(write(tmp_path, "-c old.txt\ntorch\n"))


def test_a_file_that_is_not_there_fails_in_pips_words(tmp_path):
    with pytest.raises(requirements.RequirementsFailed, match="Could not open requirements file"):
        requirements.install(write(tmp_path, "-r absent.txt\n"))


def test_an_extra_that_is_not_there_is_missing(tmp_path):
    lines = requirements._lines(write(tmp_path, "boto3[crt]\nboto3\nhttpx[http2]\n"))
    assert [requirements._is_met(line.wanted) for line in lines] == [False, True, False]


@pytest.mark.parametrize(
    "line", ["torch @ https://example.invalid/t.whl", "Sagemaker_Training<4", "numpy==1.26.4"]
)
def test_what_the_container_runs_on_is_kept(tmp_path, line):
    with pytest.raises(requirements.RequirementsFailed) as raised:
        requirements.install(write(tmp_path, f"# course\n{line}\n"))
    assert str(raised.value).startswith(f"requirements.txt, line 2: '{line}' would replace ")


SERVING = """
import probe, tqdm, google.protobuf
def model_fn(model_dir): return " ".join([probe.VALUE, tqdm.VALUE, google.protobuf.VALUE])
def input_fn(body, content_type): return body
def predict_fn(data, model): return model
def output_fn(prediction, accept): return prediction
"""


def test_an_endpoint_serves_with_what_was_missing(mine):
    wanted = {"code/requirements.txt": f"probe\n{PINS}"}
    files = {"code/inference.py": SERVING, "model.txt": "x", **wanted}
    made = deploy_files(mine, files)
    assert made["EndpointStatus"] == "InService", made.get("FailureReason")
    assert invoke(mine, made["EndpointName"])["Body"].read() == b"1.0 0.1 99"
    mine.sagemaker.delete_endpoint(EndpointName=made["EndpointName"])
    made = deploy_files(mine, {**files, "code/requirements.txt": "no-such-package==1\n"})
    assert made["EndpointStatus"] == "Failed"
    assert "no-such-package" in made["FailureReason"]
