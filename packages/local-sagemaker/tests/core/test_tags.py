"""Tags of SageMaker's resources."""

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import unique


def test_tags_are_given_added_replaced_and_deleted(aws):
    job = aws.trained("true", Tags=[{"Key": "course", "Value": "dogs"}])
    arn, sagemaker = job["TrainingJobArn"], aws.sagemaker
    sagemaker.add_tags(
        ResourceArn=arn,
        Tags=[{"Key": "course", "Value": "cats"}, {"Key": "owner", "Value": "me"}],
    )
    tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "course", "Value": "cats"}, {"Key": "owner", "Value": "me"}]
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["course"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "owner", "Value": "me"}]


def test_a_resource_without_tags_has_an_empty_list(aws):
    arn = aws.trained("true")["TrainingJobArn"]
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == []


ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


@pytest.mark.parametrize(
    "arn",
    [
        ARN + "training-job/nobody",
        ARN + "unicorn/nobody",
        ARN + "training-job/nobody/training-job/x",
        "arn:aws:sagemaker:us-east-1:999999999999:training-job/nobody",
    ],
)
def test_an_unknown_resource_has_no_tags(aws, arn):
    for call in (
        lambda: aws.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}]),
        lambda: aws.sagemaker.list_tags(ResourceArn=arn),
        lambda: aws.sagemaker.delete_tags(ResourceArn=arn, TagKeys=["a"]),
    ):
        with pytest.raises(ClientError, match="Could not find the resource"):
            call()


def test_another_accounts_resource_is_not_found_by_its_name(aws):
    arn = aws.trained("true")["TrainingJobArn"].replace("123456789012", "999999999999")
    with pytest.raises(ClientError, match="Could not find the resource"):
        aws.sagemaker.list_tags(ResourceArn=arn)


def numbered(*numbers):
    return [{"Key": f"k{n:02d}", "Value": "v"} for n in numbers]


def test_a_resource_has_at_most_fifty_tags(aws):
    arn = aws.trained("true", Tags=numbered(*range(30)))["TrainingJobArn"]
    aws.sagemaker.add_tags(ResourceArn=arn, Tags=numbered(*range(20, 50)))  # ten of them anew
    with pytest.raises(ClientError, match="51 tags, and at most 50"):
        aws.sagemaker.add_tags(ResourceArn=arn, Tags=numbered(50))
    assert aws.sagemaker.list_tags(ResourceArn=arn)["Tags"] == numbered(*range(50))


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([{"Key": "aws:mine", "Value": "x"}], "aws: prefixed tag key names are not allowed"),
        ([{"Key": "AWS:mine", "Value": "x"}], "aws: prefixed tag key names are not allowed"),
        (numbered(1, 2, 1), "'k01' comes twice"),
    ],
)
def test_tags_that_nobody_may_give(aws, tags, words):
    job = aws.trained("true", Tags=numbered(7))
    with pytest.raises(ClientError, match=words):
        aws.sagemaker.add_tags(ResourceArn=job["TrainingJobArn"], Tags=tags)
    with pytest.raises(ClientError, match=words):
        aws.train("true", TrainingJobName=(name := unique()), Tags=tags)
    with pytest.raises(ClientError, match="not found"):
        aws.sagemaker.describe_training_job(TrainingJobName=name)
    assert aws.sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == numbered(7)
