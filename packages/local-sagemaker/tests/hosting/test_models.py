"""Models and endpoint configurations: what can be served here, and what is refused."""

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, INFERENCE_IMAGE, unique
from engine_support.endpoints import make_config, make_model, store_archive
from local_sagemaker import ROLE_ARN
from local_sagemaker.hosting import model_data

PRIMARY = {"Image": INFERENCE_IMAGE}
SOURCE = {"S3Uri": f"s3://{BUCKET}/m", "S3DataType": "S3Prefix", "CompressionType": "None"}
ADDITIONAL = {"ChannelName": "more", "S3DataSource": SOURCE}


@pytest.fixture(scope="module")
def model(aws):
    return make_model(aws, None)


def refused(call, **request):
    with pytest.raises(ClientError) as caught:
        call(**request)
    return caught.value.response["Error"]


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "0 containers"),
        ({"Containers": [PRIMARY, PRIMARY]}, "2 containers"),
        ({"PrimaryContainer": {"Image": "ecr/xgboost:1"}}, "'ecr/xgboost:1' has no local runtime"),
        ({"PrimaryContainer": {}}, "PrimaryContainer.Image '' has no local runtime"),
        ({"PrimaryContainer": {**PRIMARY, "Mode": "MultiModel"}}, "Mode MultiModel is not served"),
        ({"PrimaryContainer": {"ModelPackageName": "p"}}, "ModelPackageName is not served"),
        (
            {"PrimaryContainer": {**PRIMARY, "AdditionalModelDataSources": [ADDITIONAL]}},
            "PrimaryContainer.AdditionalModelDataSources is not served",
        ),
        (
            {"PrimaryContainer": {**PRIMARY, "ModelDataUrl": f"s3://{BUCKET}/absent.tar.gz"}},
            f"Could not find model data at s3://{BUCKET}/absent.tar.gz.",
        ),
        (
            {"PrimaryContainer": {**PRIMARY, "ModelDataUrl": "s3://nowhere/m.tar.gz"}},
            "Could not find model data at s3://nowhere/m.tar.gz.",
        ),
        ({"PrimaryContainer": {**PRIMARY, "ModelDataUrl": "https://b/k"}}, "no S3 address"),
        (
            {"PrimaryContainer": PRIMARY, "InferenceExecutionConfig": {"Mode": "Direct"}},
            "InferenceExecutionConfig.Mode Direct is not served",
        ),
    ],
)
def test_a_model_that_cannot_be_served_is_refused(aws, members, words):
    name = unique("model")
    error = refused(
        aws.sagemaker.create_model, ModelName=name, ExecutionRoleArn=ROLE_ARN, **members
    )
    assert error["Code"] == "ValidationException"
    assert words in error["Message"]
    gone = refused(aws.sagemaker.describe_model, ModelName=name)
    assert gone["Message"].startswith('Could not find model "arn:aws:sagemaker:us-east-1:')


def data_source(uri, kind="S3Prefix", compression="None"):
    source = {"S3Uri": uri, "S3DataType": kind, "CompressionType": compression}
    return {"ModelDataSource": {"S3DataSource": source}}


def test_a_data_source_is_an_object_or_a_folder(aws):
    aws.s3.put_object(Bucket=BUCKET, Key="source/folder/part.bin", Body=b"x")
    for source in (
        data_source(f"s3://{BUCKET}/source/folder/"),
        data_source(f"s3://{BUCKET}/source/folder"),
        data_source(f"s3://{BUCKET}/source/folder/part.bin", "S3Object"),
    ):
        make_model(aws, None, **source)
    for source, words in (
        (data_source(f"s3://{BUCKET}/source/fol"), "Could not find model data"),  # no folder
        (data_source(f"s3://{BUCKET}/source/folder/", "S3Object"), "Could not find model data"),
        (
            data_source(f"s3://{BUCKET}/source/folder/", "S3Prefix", "Gzip"),
            "Gzip needs S3DataType S3Object",
        ),
    ):
        request = {"PrimaryContainer": PRIMARY | source, "ExecutionRoleArn": ROLE_ARN}
        error = refused(aws.sagemaker.create_model, ModelName=unique("model"), **request)
        assert words in error["Message"]


def test_a_description_gives_back_the_request_and_no_empty_members(aws):
    name = unique("model")
    environment = {"SAGEMAKER_PROGRAM": "serve.py"}
    primary = {
        **PRIMARY,
        "ModelDataUrl": store_archive(aws, {"a": "b"}),
        "Environment": environment,
    }
    aws.sagemaker.create_model(ModelName=name, Containers=[primary], ExecutionRoleArn=ROLE_ARN)
    described = aws.sagemaker.describe_model(ModelName=name)
    source = {"S3Uri": primary["ModelDataUrl"], "S3DataType": "S3Object", "CompressionType": "Gzip"}
    filled_in = {"Mode": "SingleModel", "ModelDataSource": {"S3DataSource": source}}
    assert described["Containers"] == [primary | filled_in]
    known = {"ModelName", "Containers", "ExecutionRoleArn", "CreationTime", "ModelArn"}
    assert set(described) - {"ResponseMetadata"} == known | {"EnableNetworkIsolation"}
    assert described["EnableNetworkIsolation"] is False


def test_a_model_can_be_made_of_what_describes_another(aws):
    name = unique("model")
    primary = {"Image": PRIMARY["Image"], "ModelDataUrl": store_archive(aws, {"a": "b"})}
    aws.sagemaker.create_model(ModelName=name, PrimaryContainer=primary, ExecutionRoleArn=ROLE_ARN)
    told = aws.sagemaker.describe_model(ModelName=name)["PrimaryContainer"]
    assert told["Environment"] == {}
    copy = unique("model")
    aws.sagemaker.create_model(ModelName=copy, PrimaryContainer=told, ExecutionRoleArn=ROLE_ARN)
    assert aws.sagemaker.describe_model(ModelName=copy)["PrimaryContainer"] == told
    assert model_data.sources(told) == [told["ModelDataSource"]["S3DataSource"]]


@pytest.mark.parametrize(
    ("variant", "config", "words"),
    [
        ({"ModelName": "nobody"}, {}, 'Could not find model "arn:aws:sagemaker:us-east-1:'),
        ({"AcceleratorType": "ml.eia1.medium"}, {}, "AcceleratorType is not served"),
        ({"ManagedInstanceScaling": {"Status": "ENABLED"}}, {}, "ManagedInstanceScaling is not"),
        (
            {"RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}},
            {},
            "RoutingConfig.RoutingStrategy LEAST_OUTSTANDING_REQUESTS is not served",
        ),
        ({"EnableSSMAccess": True}, {}, "ProductionVariants[0].EnableSSMAccess is not served"),
        (
            {},
            {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": f"s3://{BUCKET}/out"}}},
            "AsyncInferenceConfig is not served",
        ),
        (
            {},
            {
                "ShadowProductionVariants": [
                    {"VariantName": "s", "ModelName": "nobody", "InstanceType": "ml.m5.large"}
                ]
            },
            "ShadowProductionVariants is not served",
        ),
    ],
)
def test_what_a_configuration_cannot_have_is_refused(aws, model, variant, config, words):
    with pytest.raises(ClientError) as caught:
        make_config(aws, variant=variant, config=config, a=model)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert words in caught.value.response["Error"]["Message"]


def test_more_instances_than_an_account_has_are_refused_with_awss_code(aws, model):
    with pytest.raises(ClientError) as caught:
        make_config(aws, variant={"InitialInstanceCount": 21}, a=model)
    error = caught.value.response["Error"]
    assert error["Code"] == "ResourceLimitExceeded"
    assert "'ml.m5.large for endpoint usage' is 20 Instances" in error["Message"]


def test_a_configuration_comes_back_as_it_was_made(aws, model):
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": f"s3://{BUCKET}/captured",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    name = make_config(aws, config={"DataCaptureConfig": capture}, a=model, b=model)
    described = aws.sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert described["DataCaptureConfig"] == capture
    assert [v["VariantName"] for v in described["ProductionVariants"]] == ["a", "b"]
    assert "AsyncInferenceConfig" not in described
    aws.sagemaker.delete_endpoint_config(EndpointConfigName=name)
    gone = refused(aws.sagemaker.describe_endpoint_config, EndpointConfigName=name)
    assert gone["Message"].startswith('Could not find endpoint configuration "arn:aws:')
