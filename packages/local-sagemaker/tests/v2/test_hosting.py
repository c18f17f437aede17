"""Models and endpoints of SDK v2: predictors and what they send, and the errors they get."""

import boto3
import numpy as np
import pytest
import sagemaker
from botocore.exceptions import ClientError
from sagemaker.deserializers import JSONDeserializer, NumpyDeserializer
from sagemaker.predictor import Predictor
from sagemaker.pytorch import PyTorchModel, PyTorchPredictor
from sagemaker.serializers import IdentitySerializer, JSONSerializer, NumpySerializer

from conftest import unique

JPEG = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40 + b"\xff\xd9"


class ImagePredictor(Predictor):
    """As students wrote it."""

    def __init__(self, endpoint_name, sagemaker_session):
        super().__init__(
            endpoint_name,
            sagemaker_session=sagemaker_session,
            serializer=IdentitySerializer("image/jpeg"),
            deserializer=JSONDeserializer(),
        )


@pytest.fixture(scope="module")
def model_data(estimator) -> str:
    one = estimator(hyperparameters={"kind": "served"})
    one.fit(wait=False)
    one.latest_training_job.wait(logs="None")
    return one.model_data


@pytest.fixture(scope="module")
def predictor(model_data, session, source):
    """The predictor of a PyTorchModel in service, JSON both ways."""
    model = PyTorchModel(
        model_data=model_data,
        role=sagemaker.get_execution_role(),
        entry_point="inference.py",
        source_dir=source,
        framework_version="1.8.1",
        py_version="py36",
        sagemaker_session=session,
    )
    return model.deploy(
        1,
        "ml.m5.large",
        serializer=JSONSerializer(),
        deserializer=JSONDeserializer(),
        endpoint_name=unique("served"),
    )


def gone(client, name: str) -> None:
    """Wait until an endpoint that is being deleted is no more."""
    client.get_waiter("endpoint_deleted").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )


def test_json(predictor):
    assert predictor.predict({"breed": "Akita"}) == ["served", {"breed": "Akita"}]


def test_bytes_of_a_photo_by_a_predictor_of_ones_own(predictor, session):
    own = ImagePredictor(predictor.endpoint_name, session)
    assert own.predict(JPEG) == ["served", len(JPEG), "ffd8"]


def test_the_content_type_may_be_given_with_the_request(predictor, session):
    plain = Predictor(predictor.endpoint_name, session, serializer=IdentitySerializer())
    answer = plain.predict(JPEG, initial_args={"ContentType": "image/jpeg"})
    assert b"ffd8" in answer


def test_arrays_both_ways_by_the_frameworks_predictor(predictor, session):
    own = PyTorchPredictor(
        predictor.endpoint_name,
        session,
        serializer=NumpySerializer(),
        deserializer=NumpyDeserializer(),
    )
    array = np.arange(6, dtype="float32").reshape(2, 3)
    assert np.array_equal(own.predict(array), array * 2)


def test_invoke_by_boto3(predictor):
    runtime = boto3.client("sagemaker-runtime")
    answer = runtime.invoke_endpoint(
        EndpointName=predictor.endpoint_name, ContentType="application/json", Body=b"[1]"
    )
    assert answer["ContentType"] == "application/json"
    assert answer["Body"].read() == b'["served", [1]]'
    assert answer["InvokedProductionVariant"] == "AllTraffic"


def test_an_exception_of_the_handler_is_a_model_error(predictor):
    with pytest.raises(ClientError) as raised:
        predictor.predict({"trouble": True})
    error = raised.value.response
    assert error["Error"]["Code"] == "ModelError" and error["OriginalStatusCode"] == 500
    assert "this model wants no trouble" in error["OriginalMessage"]
    assert predictor.predict(1) == ["served", 1]  # it serves on


def test_a_type_that_the_handler_does_not_take(predictor):
    with pytest.raises(ClientError, match="ModelError") as raised:
        predictor.predict(1, initial_args={"ContentType": "text/strange"})
    assert "unsupported content type text/strange" in raised.value.response["OriginalMessage"]


def test_a_body_over_the_services_limit(predictor, session):
    own = ImagePredictor(predictor.endpoint_name, session)
    with pytest.raises(ClientError) as raised:
        own.predict(bytes(6 * 1024 * 1024 + 1))
    assert raised.value.response["Error"]["Code"] == "413"
    assert "6291456" in str(raised.value)


def test_an_endpoint_that_is_not_there(session):
    with pytest.raises(ClientError) as raised:
        Predictor("never-was", session).predict(b"")
    error = raised.value.response["Error"]
    assert error["Code"] == "ValidationError"
    assert "Endpoint never-was of account 123456789012 not found" in error["Message"]


def test_a_name_that_is_taken(predictor, client):
    with pytest.raises(ClientError, match="ValidationException") as raised:
        client.create_endpoint(
            EndpointName=predictor.endpoint_name, EndpointConfigName=predictor.endpoint_name
        )
    assert "existing endpoint" in str(raised.value)


def test_a_model_without_data_is_refused(session, source):
    model = PyTorchModel(
        model_data="s3://a-bucket-that-is-not-there/model.tar.gz",
        role=sagemaker.get_execution_role(),
        entry_point="inference.py",
        source_dir=source,
        framework_version="1.8.1",
        py_version="py36",
        sagemaker_session=session,
    )
    with pytest.raises(ClientError) as raised:  # of S3, while the SDK repacks the model
        model.deploy(1, "ml.m5.large", endpoint_name=unique("bad"))
    assert raised.value.response["Error"]["Code"] in {"NoSuchBucket", "404"}


def test_estimator_deploy_and_deleting_all_of_it(estimator, client):
    one = estimator(hyperparameters={"kind": "own"})
    one.fit(wait=False)
    one.latest_training_job.wait(logs="None")
    served = one.deploy(
        initial_instance_count=1,
        instance_type="ml.t2.medium",
        entry_point="inference.py",
        serializer=JSONSerializer(),
        deserializer=JSONDeserializer(),
    )
    assert served.predict([1, 2]) == ["own", [1, 2]]
    found = client.describe_endpoint(EndpointName=served.endpoint_name)
    config = client.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    model = config["ProductionVariants"][0]["ModelName"]
    served.delete_model()
    with pytest.raises(ClientError, match="ValidationException") as raised:
        client.describe_model(ModelName=model)
    assert "Could not find model" in str(raised.value)
    served.delete_endpoint(delete_endpoint_config=True)
    gone(client, served.endpoint_name)
    with pytest.raises(ClientError, match="ValidationException") as raised:
        served.delete_endpoint(delete_endpoint_config=False)
    assert "Could not find endpoint" in str(raised.value)
    with pytest.raises(ClientError, match="ValidationException") as raised:
        client.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    assert "Could not find endpoint configuration" in str(raised.value)


def test_last_the_predictor_deletes_what_it_serves(predictor, client):
    predictor.delete_model()
    predictor.delete_endpoint()
    gone(client, predictor.endpoint_name)
    names = [e["EndpointName"] for e in client.list_endpoints()["Endpoints"]]
    assert predictor.endpoint_name not in names
