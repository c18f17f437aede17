"""`entry_points/machine.py`: device, precision and threads."""

import pytest
import torch

import machine


@pytest.fixture(autouse=True)
def same_threads_after():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_the_precision_asked_for_is_used(precision, dtype):
    chosen = machine.choose_machine(precision)
    layer = torch.nn.Linear(4, 4).to(chosen.device)
    with chosen.precision():
        assert layer(torch.ones(2, 4, device=chosen.device)).dtype == dtype
    assert f"precision={precision}" in str(chosen)


def test_threads_are_those_of_omp_num_threads_if_set(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    machine.choose_machine("auto")
    assert torch.get_num_threads() == 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    machine.choose_machine("auto")
    assert torch.get_num_threads() == machine.cpu_count()
