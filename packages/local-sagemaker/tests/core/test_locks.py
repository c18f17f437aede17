"""The order of the engine's locks."""

import threading

import pytest

from local_sagemaker.core.locks import ORDER, LockOrderError, OrderedLock


def test_locks_are_taken_in_their_order_and_again():
    moto, s3, store = map(OrderedLock, ORDER)
    with moto, s3, store, moto, s3:  # those that it holds already, in any order
        pass
    with s3, store:
        pass


@pytest.mark.parametrize(("first", "second"), [("store", "s3"), ("store", "moto"), ("s3", "moto")])
def test_another_order_is_an_error_at_once(first, second):
    with OrderedLock(first), pytest.raises(LockOrderError, match=second), OrderedLock(second):
        pass
    with OrderedLock(second), OrderedLock(first):  # nothing is left of the attempt
        pass


def test_one_thread_at_a_time():
    lock, inside = OrderedLock("s3"), threading.Event()
    with lock:
        other = threading.Thread(target=lambda: lock.__enter__() or inside.set())
        other.start()
        assert not inside.wait(0.2)
    assert inside.wait(5)
