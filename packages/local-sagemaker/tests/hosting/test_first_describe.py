"""What the first DescribeEndpoint of a deployment waits for, and what it does not."""

import threading
import time

from engine_support.clients import unique
from engine_support.endpoints import INFERENCE, make_config, make_model, store_model
from local_sagemaker.hosting import first_describe
from local_sagemaker.hosting.first_describe import FirstDescribe


def created(aws, code=INFERENCE):
    model = make_model(aws, store_model(aws, code))
    name = unique("endpoint")
    aws.sagemaker.create_endpoint(
        EndpointName=name, EndpointConfigName=make_config(aws, AllTraffic=model)
    )
    return name


def seconds(call):
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


def test_the_first_answer_is_the_last_status_and_later_ones_come_at_once(aws):
    name = created(aws, INFERENCE + "\nimport time; time.sleep(1)\n")
    describe = aws.sagemaker.describe_endpoint
    taken = seconds(lambda: describe(EndpointName=name))
    status = describe(EndpointName=name)["EndpointStatus"]
    assert status == "InService" or taken >= first_describe.LONGEST_S  # on a busy machine
    aws.endpoint(name)
    aws.sagemaker.delete_endpoint(EndpointName=name)


def test_an_endpoint_that_fails_is_told_at_once(aws):
    name = created(aws, "raise SystemExit('broken')")
    found = aws.sagemaker.describe_endpoint(EndpointName=name)
    assert found["EndpointStatus"] in {"Failed", "Creating"}  # still restarting when busy
    assert aws.endpoint(name)["EndpointStatus"] == "Failed"
    aws.sagemaker.delete_endpoint(EndpointName=name)


def test_an_endpoint_that_takes_long_is_described_as_it_is(monkeypatch):
    monkeypatch.setattr(first_describe, "LONGEST_S", 0.2)
    first = FirstDescribe()
    first.begins("e")
    assert seconds(lambda: first.wait("e")) >= 0.2
    assert seconds(lambda: first.wait("e")) < 0.2  # only the first waits
    assert seconds(lambda: first.wait("another")) < 0.2


def test_waiting_ends_with_the_deployment_and_with_the_engine():
    first = FirstDescribe()
    for end in (lambda: first.ended("e"), first.close):
        first.begins("e")
        threading.Timer(0.1, end).start()
        assert seconds(lambda: first.wait("e")) < first_describe.LONGEST_S / 2
        first.ended("e")


def test_many_that_wait_leave_the_server_its_threads():
    first, names = FirstDescribe(), [f"e{n}" for n in range(first_describe.MOST)]
    for name in [*names, "one more"]:
        first.begins(name)
    waiting = [threading.Thread(target=first.wait, args=(name,)) for name in names]
    for thread in waiting:
        thread.start()
    while any(name in first._unasked for name in names):
        time.sleep(0.01)
    time.sleep(0.1)
    assert seconds(lambda: first.wait("one more")) < 1
    first.close()
    for thread in waiting:
        thread.join(timeout=5)
    assert not any(thread.is_alive() for thread in waiting)
