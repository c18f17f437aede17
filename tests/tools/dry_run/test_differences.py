"""Two runs are compared by what they ask: names of their own and polling do not count."""

from tools.dry_run.differences import ABSENT, Difference, differences
from tools.dry_run.record import Call

LOCAL = {"bucket": "sagemaker-us-east-1-123456789012", "region": "us-east-1"}
AWS = {"bucket": "sagemaker-eu-west-1-111122223333", "region": "eu-west-1"}


def found(first, second):
    return differences(first, second, LOCAL, AWS)


def created(name, **members):
    return Call("sagemaker", "CreateTrainingJob", params={"TrainingJobName": name, **members})


def described(name):
    return Call("sagemaker", "DescribeTrainingJob", params={"TrainingJobName": name})


def put(key, **members):
    return Call("s3", "PutObject", params={"Bucket": "b", "Key": key, **members})


def test_names_that_every_run_makes_anew_are_the_same():
    for one, two in (
        ("dog-breeds-20261121094104", "dog-breeds-20261122101010"),
        ("dog-breeds-261121-0939", "dog-breeds-261122-1010"),
        ("dog-breeds-261121-0939-001-f153c136", "dog-breeds-261122-1010-004-00000000"),
        ("dog-breeds-20261121094104-9703", "dog-breeds-20261122101010-0001"),
        ("tuning-1795253973", "tuning-1795253974"),
        ("1795253973.80389", "1795253974.929726"),
    ):
        assert found([created(one)], [created(two)]) == []
    assert len(found([created("dog-breeds-vgg16")], [created("dog-breeds-resnet50")])) == 1


def test_an_arn_that_an_answer_gave_does_not_count_by_its_region():
    """The engine's resources all lie in one region, whatever region it is asked in."""

    def tagged(arn):
        return Call("sagemaker", "ListTags", params={"ResourceArn": arn})

    one = tagged("arn:aws:sagemaker:us-east-1:123456789012:model/m")
    assert found([one], [one]) == []
    (other,) = found([one], [tagged("arn:aws:sagemaker:us-east-1:123456789012:model/n")])
    assert other.path == "ResourceArn"


def test_the_page_that_is_asked_for_does_not_count():
    one, two = (
        Call("logs", "GetLogEvents", params={"logStreamName": "a", "nextToken": f"f/{page}"})
        for page in (112, 114)
    )
    assert found([one], [two]) == []


def test_what_each_run_chose_for_itself_is_the_same():
    one = created("dog", Path=f"s3://{LOCAL['bucket']}/data")
    two = created("dog", Path=f"s3://{AWS['bucket']}/data")
    assert found([one], [two]) == []
    assert len(found([two], [one])) == 1  # the other's bucket is no bucket of one's own


def test_a_member_that_differs_is_named_with_both_values():
    one, two = created("dog", R={"Type": "ml.m5.large"}), created("dog", R={"Type": "ml.g4dn"})
    name = "sagemaker:CreateTrainingJob"
    assert found([one], [two]) == [Difference(name, "R.Type", "ml.m5.large", "ml.g4dn")]
    assert found([one, one], [two, two]) == found([one], [two])  # each kind once
    assert found([created("dog")], [two]) == [Difference(name, "R.Type", ABSENT, "ml.g4dn")]
    assert found([one], [created("dog")]) == [Difference(name, "R.Type", "ml.m5.large", ABSENT)]


def test_polling_does_not_count_but_asking_something_else_does():
    assert found([described("a")], [described("a")] * 5) == []
    (difference,) = found([described("a")], [described("a"), described("b")])
    assert difference[1:3] == ("request", ABSENT) and "b" in difference.second


def test_writes_count_one_by_one_and_in_their_order():
    a, b = created("a"), created("b")
    assert found([a, b], [a, b]) == []
    assert len(found([a, b], [b, a])) == 2
    (difference,) = found([a, a], [a])
    assert (difference.path, difference.second) == ("request", ABSENT)


def test_uploads_by_several_threads_have_no_order():
    assert found([put("a"), put("b")], [put("b"), put("a")]) == []
    assert len(found([put("a"), put("b")], [put("b"), put("c")])) == 1
    assert len(found([put("a"), put("a")], [put("a")])) == 1


def test_how_a_request_travels_does_not_count():
    assert found([put("k", ChecksumCRC32="x")], [put("k", ContentEncoding="aws-chunked")]) == []
    assert found([put("k.tar.gz", Body=1)], [put("k.tar.gz", Body=2)]) == []
    assert len(found([put("k", Body=1)], [put("k", Body=2)])) == 1
    parts = [Call("s3", "UploadPart", params={"PartNumber": n}) for n in (1, 2, 3)]
    assert found(parts, parts[:1]) == []


def test_another_answer_is_a_difference():
    (difference,) = found(
        [Call("s3", "GetObject", status=200)], [Call("s3", "GetObject", status=404)]
    )
    assert difference[1:] == ("(status)", "200", "404")
