"""`make bench`: what the local engine costs, beside a named peer or limit of the same run.

    python benchmarks/engine.py [start jobs objects invoke]

Every figure is a median unless it says otherwise. Peers: moto's own server for start-up and S3, the
training toolkit and the SDK's driver for jobs, the endpoint's process asked directly for queries.
"""

from __future__ import annotations

import argparse
import http.client
import io
import os
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import boto3
import psutil
from botocore.config import Config

from local_sagemaker import ROLE_ARN, daemon
from local_sagemaker.client.environment import REMOVED, client_environment
from local_sagemaker.core import access_key
from local_sagemaker.core.access_key import AccessKey

ECR = "763104351884.dkr.ecr.us-east-1.amazonaws.com"
TRAINING = f"{ECR}/pytorch-training:2.10.0-cpu-py313-ubuntu22.04-sagemaker"
INFERENCE = f"{ECR}/pytorch-inference:2.6.0-cpu-py312-ubuntu22.04-sagemaker"
BUCKET = "bench"
JOBS, QUERIES, OBJECTS, OBJECT_BYTES, LARGE_BYTES = 7, 200, 2000, 100_000, 10**9
GOALS = {"job": 1.0, "invoke": 0.005}  # seconds; what the project set itself
PRINTS_TIME = "import time\nprint('began', time.time(), flush=True)\n"
SERVES = """\
def model_fn(model_dir): return None
def input_fn(body, content_type): return body
def predict_fn(body, model): return bytes(body)
def output_fn(answer, accept): return answer
"""

ANY = AccessKey("any", "any")  # moto's own server takes all of them
_states: dict[str, Path] = {}  # the folders of the engines, by their addresses


@contextmanager
def running(folder: Path) -> Iterator[tuple[str, psutil.Process, float]]:
    """A private engine: its address, its process, and the seconds it took to answer."""
    life, held = os.pipe()
    begun = time.perf_counter()
    process = daemon.start(folder, life=life)
    seconds = time.perf_counter() - begun
    os.close(life)
    try:
        url = daemon.find(folder).url
        _states[url] = folder
        yield url, psutil.Process(process.pid), seconds
    finally:
        os.close(held)
        process.wait(timeout=60)


@contextmanager
def moto() -> Iterator[tuple[str, psutil.Process, float]]:
    """The same of moto's own server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(port):
            time.sleep(0.02)
        seconds = time.perf_counter() - begun
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid), seconds
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        connection.request("GET", "/moto-api/")
        return connection.getresponse().status < 500
    except OSError:
        return False


def client(service: str, url: str):
    """A boto3 client of the server at `url`."""
    key = access_key.read(_states[url]) if url in _states else ANY
    keys = {"aws_access_key_id": key.id, "aws_secret_access_key": key.secret}
    config = Config(max_pool_connections=16, retries={"total_max_attempts": 1})
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", config=config, **keys)


def show(what: str, value: str, beside: str = "") -> None:
    print(f"{what:<46}{value:>16}  {beside}", flush=True)


def timed(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


# --------------------------------------------------------------------------------------- start-up


def start(folder: Path) -> None:
    """Seconds until the first answer; the engine's are on an empty state folder."""
    ours, theirs = [], []
    for turn in range(3):
        with running(folder / f"start-{turn}") as (_, _, seconds):
            ours.append(seconds)
        with moto() as (_, _, seconds):
            theirs.append(seconds)
    one, other = statistics.median(ours), statistics.median(theirs)
    show("start-up", f"{one:.2f} s", f"{one / other:.2f} x moto's server ({other:.2f} s)")


# ------------------------------------------------------------------------------------------- jobs


def jobs(folder: Path) -> None:
    """Seconds from CreateTrainingJob to the first line of what the job runs."""
    with running(folder / "jobs") as (url, _, _):
        client("s3", url).create_bucket(Bucket=BUCKET)
        ways = {"entrypoint": _by_entrypoint, "toolkit": _by_toolkit, "v3 driver": _by_driver(url)}
        medians = {}
        for name, begin in ways.items():
            count = JOBS if name == "entrypoint" else 3
            waits = [
                _first_line(url, begin(url, f"{name.replace(' ', '-')}-{i}")) for i in range(count)
            ]
            medians[name] = statistics.median(waits)
    own = medians.pop("entrypoint")
    show("job: the engine's own", f"{own:.2f} s", f"{own / GOALS['job']:.2f} x the goal, 1 s")
    for name, seconds in medians.items():
        show(f"job: until the script begins, {name}", f"{seconds:.2f} s", f"{seconds / own:.1f} x")


def _request(name: str, **members) -> dict:
    specification = {"TrainingImage": TRAINING, "TrainingInputMode": "File"}
    specification |= members.pop("specification", {})
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE_ARN,
        "AlgorithmSpecification": specification,
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 120},
        **members,
    }


def _by_entrypoint(url: str, name: str) -> str:
    command = ["/bin/sh", "-c", "echo began $(date +%s.%N)"]
    request = _request(name, specification={"ContainerEntrypoint": command})
    client("sagemaker", url).create_training_job(**request)
    return name


def _by_toolkit(url: str, name: str) -> str:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("script.py")
        member.size = len(PRINTS_TIME)
        tar.addfile(member, io.BytesIO(PRINTS_TIME.encode()))
    client("s3", url).put_object(Bucket=BUCKET, Key="code.tar.gz", Body=archive.getvalue())
    parameters = {
        "sagemaker_program": "script.py",
        "sagemaker_submit_directory": f"s3://{BUCKET}/code.tar.gz",
    }
    client("sagemaker", url).create_training_job(**_request(name, HyperParameters=parameters))
    return name


def _by_driver(url: str) -> Callable[[str, str], str]:
    """Jobs as SDK v3's ModelTrainer makes them."""
    settings = Path(tempfile.mkdtemp(prefix="bench-"))
    for name in REMOVED:
        os.environ.pop(name, None)
    os.environ.update(client_environment(url, _states[url]))
    boto3.setup_default_session()  # the one there is has read another configuration
    from sagemaker.core.training.configs import Compute, SourceCode
    from sagemaker.train import ModelTrainer

    (settings / "code").mkdir()
    (settings / "code" / "script.py").write_text(PRINTS_TIME)

    def begin(url: str, name: str) -> str:
        trainer = ModelTrainer(
            training_image=TRAINING,
            source_code=SourceCode(source_dir=str(settings / "code"), entry_script="script.py"),
            compute=Compute(instance_type="ml.m5.large", instance_count=1),
            role=ROLE_ARN,
            base_job_name=name,
        )
        trainer.train(wait=False, logs=False)
        return trainer._latest_training_job.training_job_name

    return begin


def _first_line(url: str, name: str) -> float:
    """Seconds from the job's creation to the moment that it prints itself."""
    sagemaker, logs = client("sagemaker", url), client("logs", url)
    waiter = sagemaker.get_waiter("training_job_completed_or_stopped")
    waiter.wait(TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})
    created = sagemaker.describe_training_job(TrainingJobName=name)["CreationTime"].timestamp()
    events = logs.filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=name, filterPattern="began"
    )["events"]
    return float(events[-1]["message"].split()[-1]) - created


# ---------------------------------------------------------------------------------------- objects


def objects(folder: Path) -> None:
    """2,000 small objects and a large one, put and read back, and the server's memory after."""
    with running(folder / "objects") as (url, process, _):
        ours = _traffic(url, process, folder)
    with moto() as (url, process, _):
        theirs = _traffic(url, process, folder)
    for what, one in ours.items():
        other = theirs[what]
        unit = "MB" if "memory" in what else "s"
        show(f"S3: {what}", f"{one:.1f} {unit}", f"{one / other:.2f} x moto's ({other:.1f} {unit})")


def _traffic(url: str, process: psutil.Process, folder: Path) -> dict[str, float]:
    s3 = client("s3", url)
    s3.create_bucket(Bucket=BUCKET)
    small, keys = os.urandom(OBJECT_BYTES), [f"small/{i:04d}" for i in range(OBJECTS)]
    large = folder / "large"
    with large.open("wb") as file:
        for _ in range(100):
            file.write(os.urandom(LARGE_BYTES // 100))

    def put(key: str) -> None:
        s3.put_object(Bucket=BUCKET, Key=key, Body=small)

    def get(key: str) -> None:
        s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()

    with ThreadPoolExecutor(8) as pool:
        found = {
            "put 2,000 of 100 KB": timed(lambda: list(pool.map(put, keys))),
            "get them": timed(lambda: list(pool.map(get, keys))),
            "put one of 1 GB": timed(lambda: s3.upload_file(str(large), BUCKET, "large")),
            "get it": timed(lambda: s3.download_file(BUCKET, "large", str(folder / "back"))),
        }
    return found | {"memory of the server then": process.memory_info().rss / 1e6}


# ----------------------------------------------------------------------------------------- invoke


def invoke(folder: Path) -> None:
    """InvokeEndpoint through the engine, and the same question to the endpoint's own process."""
    state = folder / "invoke"
    with running(state) as (url, _, _):
        name = _deployed(url)
        (path,) = state.glob("endpoints/*/socket")
        direct = [timed(lambda: _ask_process(path)) for _ in range(QUERIES)]
        runtime = client("sagemaker-runtime", url)
        whole = [timed(lambda: _ask_engine(runtime, name)) for _ in range(QUERIES)]
    one, other = statistics.median(whole), statistics.median(direct)
    over = one - other
    show(
        "InvokeEndpoint by boto3", f"{one * 1e3:.1f} ms", f"the process itself {other * 1e3:.1f} ms"
    )
    goal = GOALS["invoke"]
    show("InvokeEndpoint: overhead", f"{over * 1e3:.1f} ms", f"{over / goal:.2f} x the goal, 5 ms")


def _deployed(url: str) -> str:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(SERVES)
        tar.addfile(member, io.BytesIO(SERVES.encode()))
    s3, sagemaker = client("s3", url), client("sagemaker", url)
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="model.tar.gz", Body=archive.getvalue())
    container = {"Image": INFERENCE, "ModelDataUrl": f"s3://{BUCKET}/model.tar.gz"}
    container["Environment"] = {"SAGEMAKER_PROGRAM": "inference.py"}
    sagemaker.create_model(ModelName="bench", ExecutionRoleArn=ROLE_ARN, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": "bench", "InitialInstanceCount": 1}
    variant["InstanceType"] = "ml.m5.large"
    sagemaker.create_endpoint_config(EndpointConfigName="bench", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="bench", EndpointConfigName="bench")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="bench", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return "bench"


def _ask_engine(runtime, name: str) -> bytes:
    body = b"x" * 15_000  # a small photo
    answer = runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType="image/jpeg")
    return answer["Body"].read()


def _ask_process(path: Path) -> bytes:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    headers = {"Content-Type": "image/jpeg", "Accept": "*/*"}
    connection.request("POST", "/invocations", b"x" * 15_000, headers)
    answer = connection.getresponse().read()
    connection.close()
    return answer


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parts = {part.__name__: part for part in (start, jobs, objects, invoke)}
    parser = argparse.ArgumentParser(description="What the local engine costs.")
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; default: all")
    chosen = parser.parse_args().parts or list(parts)
    if unknown := set(chosen) - set(parts):
        parser.error(f"there is no part {', '.join(unknown)}: choose of {', '.join(parts)}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for name in chosen:
            parts[name](Path(folder))


if __name__ == "__main__":
    main()
