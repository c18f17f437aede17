"""`entry_points/distributed.py`: device and precision, meters, seeds, what one process does."""

import math
import os
import subprocess
import sys
import time

import pytest
import torch

import distributed
from distributed import AverageMeter, World, choose_device, cpu_count, seed_of
from options import ConfigError


@pytest.fixture(autouse=True)
def same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_the_chosen_precision_is_used(precision, dtype):
    world = choose_device(precision)
    layer = torch.nn.Linear(4, 4).to(world.device)
    with world.autocast():
        assert layer(torch.ones(2, 4, device=world.device)).dtype == dtype
    assert f"precision={precision}" in str(world)


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("SM_CURRENT_INSTANCE_TYPE", "LOCAL_SAGEMAKER"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("instance", ["ml.g4dn.xlarge", "ml.g5.xlarge", "ml.p3.2xlarge"])
def test_a_gpu_instance_without_a_gpu_is_refused(no_gpu, instance):
    no_gpu.setenv("SM_CURRENT_INSTANCE_TYPE", instance)
    with pytest.raises(ConfigError, match=f"runs on {instance}, .* finds none: take an image"):
        choose_device("auto")


@pytest.mark.parametrize("instance", ["", "local", "ml.m5.xlarge", "ml.c5.xlarge", "ml.t3.medium"])
def test_an_instance_without_a_gpu_needs_none(no_gpu, instance):
    no_gpu.setenv("SM_CURRENT_INSTANCE_TYPE", instance)
    assert choose_device("fp32").device.type == "cpu"


def test_an_engines_instance_type_is_only_a_name(no_gpu):
    no_gpu.setenv("SM_CURRENT_INSTANCE_TYPE", "ml.g4dn.xlarge")
    no_gpu.setenv("LOCAL_SAGEMAKER", "1")
    assert choose_device("fp32").device.type == "cpu"


def test_a_job_without_its_gpu_ends_before_it_reads_a_photo(tmp_path):
    """The whole script: exit code 1, one line that says why, and no training."""
    variables = {k: v for k, v in os.environ.items() if k != "LOCAL_SAGEMAKER"}
    job = {"SM_CURRENT_INSTANCE_TYPE": "ml.g4dn.xlarge", "CUDA_VISIBLE_DEVICES": ""}
    folders = [f"--{name}-dir={tmp_path / name}" for name in ("train", "valid", "model")]
    done = subprocess.run(
        [sys.executable, distributed.__file__.replace("distributed.py", "train.py"), *folders],
        env=variables | job,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "error: this job runs on ml.g4dn.xlarge, which has a GPU" in done.stderr
    assert "Traceback" not in done.stderr and "train_loss" not in done.stdout


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_bf16_only_where_the_device_has_it(monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(distributed, "has_bf16", lambda device: native)
    assert choose_device("auto").precision == ("bf16" if native else "fp32")


def test_threads_are_those_of_omp_num_threads_if_set(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    choose_device("auto")
    assert torch.get_num_threads() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    choose_device("auto")
    assert torch.get_num_threads() == cpu_count()


def test_a_meter_averages_over_photos_not_batches():
    meter = AverageMeter(World())
    meter.update(torch.tensor(1.0), 3)
    meter.update(torch.tensor(5.0), 1)
    assert (meter.mean(), meter.count()) == (2.0, 4)


def test_a_meter_without_photos_is_nan():
    meter = AverageMeter(World())
    meter.update(torch.tensor(3.0), 0)
    assert math.isnan(meter.mean()) and meter.count() == 0


def test_a_meter_goes_on_from_its_state():
    before, meter = AverageMeter(World()), AverageMeter(World())
    before.update(torch.tensor(2.0), 4)
    state = before.state_dict()
    before.update(torch.tensor(9.0), 1)  # the state does not change any more
    meter.load_state_dict(state)
    meter.update(torch.tensor(5.0), 2)
    assert (meter.mean(), meter.count()) == (3.0, 6)
    assert state["sums"].tolist() == [8, 4]


def test_only_the_first_process_takes_over_a_meters_sums():
    """They are the sums of all processes: counted in each, they would count twice."""
    state = {"sums": torch.tensor([8.0, 4.0], dtype=torch.float64)}
    first, second = AverageMeter(World()), AverageMeter(World(rank=1))
    first.load_state_dict(state)
    second.load_state_dict(state)
    assert (first.count(), second.count()) == (4, 0)


def test_one_process_has_nothing_to_share():
    world, value = World(), torch.ones(2)
    assert world.weight(7) == 1.0
    world.all_reduce(value)
    assert value.tolist() == [1, 1]
    assert world.broadcast("state") == "state"
    assert world.gather("found") == ["found"]
    network = torch.nn.Linear(1, 1)
    assert world.parallel(network) is network


def test_processes_on_one_machine_share_its_cores(monkeypatch):
    monkeypatch.setattr(distributed, "cpu_count", lambda: 8)
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert World().cores == 8
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert World().cores == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert World().cores == 1


def test_without_torchrun_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with distributed.joined("fp32") as world:
        assert (world.rank, world.world_size, world.precision) == (0, 1, "fp32")
        assert not torch.distributed.is_initialized()


def test_only_the_first_process_prints(monkeypatch, capsys):
    for rank in ("0", "1", ""):
        monkeypatch.setenv("RANK", rank)
        distributed.print_once("rank", rank)
    assert capsys.readouterr().out == "rank 0\nrank \n"


def test_the_process_began_before_its_imports():
    """The deadline of `--stop-after` counts from there: importing PyTorch takes seconds."""
    script = "import time; time.sleep(0.5); import distributed; print(distributed.process_began())"
    folder = os.path.dirname(distributed.__file__)  # noqa: PTH120
    before = time.time()
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    assert before - 0.05 <= float(done.stdout) < before + 0.5


def test_seeds_differ_and_are_the_same_everywhere():
    assert seed_of(1, 2, 3) == 733464669408481064
    seeds = {seed_of(a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900 and all(0 <= seed < 2**63 for seed in seeds)
