"""What is not there is refused by its name, in whatever protocol the client speaks."""

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, unique
from engine_support.signing import ask

ROLE = "arn:aws:iam::123456789012:role/local-sagemaker"


@pytest.mark.parametrize(
    ("service", "call", "members", "name"),
    [
        ("ec2", "describe_instances", {}, "'ec2' (DescribeInstances)"),
        ("dynamodb", "list_tables", {}, "'dynamodb' (ListTables)"),
        ("sns", "list_topics", {}, "'sns' (ListTopics)"),
        ("lambda", "list_functions", {}, "'lambda' (GET /2015-03-31/functions)"),
        ("route53", "list_hosted_zones", {}, "'route53' (GET /2013-04-01/hostedzone)"),
        ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "sagemaker"},
         "'application-autoscaling' (DescribeScalableTargets)"),
    ],
)  # fmt: skip
def test_a_service_that_is_not_here(aws, service, call, members, name):
    with pytest.raises(ClientError) as caught:
        getattr(aws.client(service), call)(**members)
    error = caught.value.response["Error"]
    assert error["Code"] == "UnknownService"
    assert f"does not serve {name}; it serves iam, logs" in error["Message"]


@pytest.mark.parametrize(
    ("service", "call", "members"),
    [
        ("logs", "list_anomalies", {}),
        ("cloudwatch", "list_metric_streams", {}),
        ("iam", "generate_service_last_accessed_details", {"Arn": ROLE}),
        ("sts", "decode_authorization_message", {"EncodedMessage": "x"}),
        (
            "sagemaker-featurestore-runtime",
            "get_record",
            {"FeatureGroupName": "f", "RecordIdentifierValueAsString": "r"},
        ),
        ("sagemaker", "list_domains", {}),
        (
            "sagemaker-runtime",
            "invoke_endpoint_with_response_stream",
            {"EndpointName": "e", "Body": b"x"},
        ),
    ],
)
def test_an_operation_that_is_not_here(aws, service, call, members):
    client = aws.client(service)
    with pytest.raises(ClientError) as caught:
        getattr(client, call)(**members)
    error = caught.value.response["Error"]
    assert error["Code"] == "UnknownOperationException"
    assert f"does not do {client.meta.method_to_api_mapping[call]}" in error["Message"]


def test_clients_of_cloudwatch_may_speak_json_or_forms(aws):
    for target, path, body, words in [
        ("GraniteServiceVersion20100801.ListMetricStreams", "/", b"{}", b'"__type"'),
        (None, "/", b"Action=ListMetricStreams&Version=2010-08-01", b"<Code>UnknownOperation"),
    ]:
        headers = {}
        if target:
            headers |= {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        status, content = ask(aws, "POST", path, body, "monitoring", **headers)
        assert status == 400
        assert words in content and b"does not do ListMetricStreams" in content


@pytest.mark.parametrize(
    ("call", "members", "name"),
    [
        ("delete_bucket_inventory_configuration", {"Id": "i"}, "DeleteBucketInventory"),
        ("delete_bucket_metrics_configuration", {"Id": "i"}, "DeleteBucketMetrics"),
        ("get_bucket_request_payment", {}, "GetBucketRequestPayment"),
        ("get_object_torrent", {"Key": "k"}, "GetObjectTorrent"),
        ("rename_object", {"Key": "new", "RenameSource": "k"}, "RenameObject"),
        (
            "update_object_encryption",
            {"Key": "k", "ObjectEncryption": {"SSEKMS": {"KMSKeyArn": "arn:aws:kms:u:1:key/k"}}},
            "UpdateObjectEncryption",
        ),
    ],
)
def test_what_s3_cannot_do_here_changes_nothing(aws, call, members, name):
    bucket = unique("refused")
    aws.s3.create_bucket(Bucket=bucket)
    aws.s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    with pytest.raises(ClientError) as caught:
        getattr(aws.s3, call)(Bucket=bucket, **members)
    error = caught.value.response["Error"]
    assert error["Code"] == "NotImplemented"
    assert name in error["Message"]
    assert aws.keys("", bucket) == ["k"]
    assert aws.s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


SETTINGS = [
    ("bucket_tagging", {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}, "TagSet"),
    ("bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}, "Status"),
    ("bucket_policy", {"Policy": '{"Version":"2012-10-17","Statement":[]}'}, "Policy"),
    (
        "bucket_encryption",
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [
                    {
                        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
                        "BucketKeyEnabled": False,
                    }
                ]
            }
        },
        "ServerSideEncryptionConfiguration",
    ),
]


@pytest.mark.parametrize(("name", "members", "member"), SETTINGS)
def test_what_s3_keeps_is_given_back(aws, name, members, member):
    bucket = unique("kept")
    aws.s3.create_bucket(Bucket=bucket)
    getattr(aws.s3, f"put_{name}")(Bucket=bucket, **members)
    (sent,) = members.values()
    found = getattr(aws.s3, f"get_{name}")(Bucket=bucket)[member]
    assert found == (sent.get(member, sent) if isinstance(sent, dict) else sent)


def test_an_object_whose_query_means_nothing_to_s3_is_still_an_object(aws):
    assert ask(aws, "PUT", f"/{BUCKET}/plain?x-id=PutObject", b"body")[0] == 200
    assert aws.s3.get_object(Bucket=BUCKET, Key="plain")["Body"].read() == b"body"


@pytest.mark.parametrize(
    "name",
    [
        "ab",
        "a" * 64,
        "Dogs",
        "dog_breeds",
        "-dogs",
        "dogs-",
        ".dogs",
        "dogs.",
        "dogs..breeds",
        "192.168.5.4",
        "xn--dogs",
        "sthree-dogs",
        "amzn-s3-demo-dogs",
        "dogs-s3alias",
        "dogs--ol-s3",
        "dogs.mrap",
        "dogs--x-s3",
        "dogs--table-s3",
        "d%C3%B6gs",
        "do%20gs",
    ],
)
def test_a_bucket_whose_name_s3_does_not_allow(aws, name):
    before = aws.s3.list_buckets()["Buckets"]
    for path in (f"/{name}", f"/{name}/"):
        status, said = ask(aws, "PUT", path)
        assert (status, b"<Code>InvalidBucketName</Code>" in said) == (400, True)
    assert aws.s3.list_buckets()["Buckets"] == before


@pytest.mark.parametrize(
    "name", ["abc", "a" * 63, "dogs.and-cats.1", "1dog2", "192.168.5", "moto-api", "latest"]
)
def test_a_bucket_whose_name_s3_allows(aws, name):
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_object(Bucket=name, Key="reset", Body=b"kept")
    assert ask(aws, "POST", f"/{name}/reset")[0] >= 400  # a page of moto's would forget everything
    assert aws.s3.get_object(Bucket=name, Key="reset")["Body"].read() == b"kept"
    aws.s3.delete_object(Bucket=name, Key="reset")
    aws.s3.delete_bucket(Bucket=name)
