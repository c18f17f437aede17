"""Tags of SageMaker's resources."""

import pytest
from botocore.exceptions import ClientError


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


def test_an_unknown_resource_has_no_tags(aws):
    arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/nobody"
    with pytest.raises(ClientError, match="Could not find the resource"):
        aws.sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
