"""requirements.txt: met without pip, added once for all, or refused."""

import io
import re
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine_support.clients import BUCKET, running_engine, toolkit_request, unique
from engine_support.endpoints import deploy_files, invoke
from local_sagemaker.runtime import requirements

ENGINE_PACKAGES = Path(next(p for p in sys.path if p.endswith("site-packages")))
SCRIPT = "import probe, os; print('probe', probe.VALUE)"


def wheel(folder, name="probe", version="1.0", requires=()):
    """Write a wheel of one module and one command."""
    folder.mkdir(exist_ok=True, parents=True)
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {one}\n" for one in requires)
    files = {
        f"{name}.py": f"VALUE = {version!r}\ndef main(): import sys; print(sys.prefix)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name}-prefix = {name}:main\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    """An engine whose caller has pip look in a folder of wheels, and nowhere else."""
    folder = tmp_path_factory.mktemp("requirements")
    wheel(folder / "wheels")
    wheel(folder / "wheels", "greedy", requires=["torch<2"])
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


def drive(aws, wanted):
    """A job as v3's ModelTrainer sends it, its script cut down to the requirements' part."""
    key = unique("v3")
    files = {
        "sm_drivers/scripts/install_requirements.py": "raise SystemExit('not the driver own')",
        "code/requirements.txt": wanted,
        "code/train.py": SCRIPT,
    }
    for name, text in files.items():
        aws.s3.put_object(Bucket=BUCKET, Key=f"{key}/{name}", Body=text.encode())
    command = (
        "cd /opt/ml/input/data/code; set -e;"
        "python3 /opt/ml/input/data/sm_drivers/scripts/install_requirements.py requirements.txt;"
        "probe-prefix; python3 train.py"
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
    wheel(mine.state.parent / "wheels", "twin")
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
    assert "Requirement already satisfied: NumPy >=2,   <3\n" in capsys.readouterr().out


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
import probe
def model_fn(model_dir): return probe.VALUE
def input_fn(body, content_type): return body
def predict_fn(data, model): return model
def output_fn(prediction, accept): return prediction
"""


def test_an_endpoint_serves_with_what_was_missing(mine):
    files = {"code/inference.py": SERVING, "code/requirements.txt": "probe\n", "model.txt": "x"}
    made = deploy_files(mine, files)
    assert made["EndpointStatus"] == "InService", made.get("FailureReason")
    assert invoke(mine, made["EndpointName"])["Body"].read() == b"1.0"
    mine.sagemaker.delete_endpoint(EndpointName=made["EndpointName"])
    made = deploy_files(mine, {**files, "code/requirements.txt": "no-such-package==1\n"})
    assert made["EndpointStatus"] == "Failed"
    assert "no-such-package" in made["FailureReason"]
