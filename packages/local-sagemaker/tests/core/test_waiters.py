"""boto3's waiters end soon after what they wait for, and nobody else waits."""

import threading
import time

import pytest

from engine_support.clients import unique
from engine_support.endpoints import make_config, make_model, store_model
from local_sagemaker.core import waiters

BOTO3 = "Boto3/1.44.5 ua/2.1 md/arch#x86_64 lang/python#3.11.7 {}cfg/retry-mode#standard"


def seconds(call):
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


@pytest.fixture
def waiter():
    """This thread answers a waiter's request."""
    waiters.note(BOTO3.format("m/b,e,Z,E,B "))
    yield
    waiters.note("")


def test_a_waiter_of_a_job_ends_with_it(aws):
    name = aws.train("sleep 1")
    ended = aws.sagemaker.get_waiter("training_job_completed_or_stopped")
    taken = seconds(lambda: ended.wait(TrainingJobName=name))
    assert taken < 120  # its delay
    assert aws.job(name)["TrainingJobStatus"] == "Completed"


def test_a_waiter_of_an_endpoint_ends_when_it_serves(aws):
    name, model = unique("endpoint"), make_model(aws, store_model(aws))
    config = make_config(aws, AllTraffic=model)
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    serves = aws.sagemaker.get_waiter("endpoint_in_service")
    serves.wait(EndpointName=name)
    assert aws.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService"
    aws.sagemaker.delete_endpoint(EndpointName=name)


@pytest.mark.parametrize(
    "agent", ["", "curl/8", BOTO3.format(""), BOTO3.format("m/b,C "), BOTO3.format("m/AB,BC ")]
)
def test_no_other_request_waits(agent):
    waiters.note(agent)
    assert seconds(lambda: waiters.hold(lambda: False)) < 1


@pytest.mark.parametrize("features", ["m/B ", "m/b,B ", "m/B,C "])
def test_a_waiters_request_is_known_by_its_features(features, monkeypatch):
    monkeypatch.setattr(waiters, "LONGEST_S", 0.3)
    waiters.note(BOTO3.format(features))
    assert seconds(lambda: waiters.hold(lambda: False)) >= 0.3
    waiters.note("")


def test_what_has_come_is_told_at_once(waiter):
    assert seconds(lambda: waiters.hold(lambda: True)) < 1


def test_many_that_wait_leave_the_server_its_threads(waiter):
    come = threading.Event()

    def wait():
        waiters.note(BOTO3.format("m/B "))
        waiters.hold(come.is_set)

    waiting = [threading.Thread(target=wait) for _ in range(waiters.MOST)]
    for thread in waiting:
        thread.start()
    while waiters._places._value:
        time.sleep(0.01)
    assert seconds(lambda: waiters.hold(lambda: False)) < 1
    come.set()
    for thread in waiting:
        thread.join(timeout=5)
    assert waiters._places._value == waiters.MOST
