"""Every operation of AWS's API that is done here, by its name, and who answers it.

The dispatch reads these tables, so an operation whose name stands in none of them is refused. Those
of SageMaker are methods of this package. moto answers those of the other services, with what
`local_sagemaker.aws` puts in the place of its memory: objects, log lines and metrics in the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from local_sagemaker.api import Handler
from local_sagemaker.aws import iam
from local_sagemaker.core.tags import Tags
from local_sagemaker.hosting.endpoints import Endpoints
from local_sagemaker.hosting.models import Models
from local_sagemaker.training.operations import TrainingJobs
from local_sagemaker.tuning.operations import TuningJobs


def sagemaker(
    training: TrainingJobs, tuning: TuningJobs, models: Models, endpoints: Endpoints, tags: Tags
) -> dict[str, Handler]:
    """Who answers the operations of the service ``sagemaker``."""
    return {
        "CreateTrainingJob": training.create,
        "DescribeTrainingJob": training.describe,
        "ListTrainingJobs": training.list,
        "StopTrainingJob": training.stop,
        "DeleteTrainingJob": training.delete,
        "CreateHyperParameterTuningJob": tuning.create,
        "DescribeHyperParameterTuningJob": tuning.describe,
        "ListHyperParameterTuningJobs": tuning.list,
        "ListTrainingJobsForHyperParameterTuningJob": tuning.list_training_jobs,
        "StopHyperParameterTuningJob": tuning.stop,
        "DeleteHyperParameterTuningJob": tuning.delete,
        "CreateModel": models.create,
        "DescribeModel": models.describe,
        "ListModels": models.list,
        "DeleteModel": models.delete,
        "CreateEndpointConfig": models.create_config,
        "DescribeEndpointConfig": models.describe_config,
        "ListEndpointConfigs": models.list_configs,
        "DeleteEndpointConfig": models.delete_config,
        "CreateEndpoint": endpoints.create,
        "DescribeEndpoint": endpoints.describe,
        "ListEndpoints": endpoints.list,
        "UpdateEndpoint": endpoints.update,
        "UpdateEndpointWeightsAndCapacities": endpoints.rescale,
        "DeleteEndpoint": endpoints.delete,
        "AddTags": tags.add,
        "ListTags": tags.list,
        "DeleteTags": tags.delete,
    }


# The service ``sagemaker-runtime``: `hosting.invocations`, by the path of the request.
# InvokeEndpointAsync is refused there: no endpoint has an AsyncInferenceConfig.
RUNTIME = {
    "InvokeEndpoint": re.compile(r"/endpoints/([^/]+)/(invocations)"),
    "InvokeEndpointAsync": re.compile(r"/endpoints/([^/]+)/(async-invocations)"),
}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What has a key in its address: `aws.s3`, with bodies in files.
S3_KEYS = _names(
    """
    AbortMultipartUpload CompleteMultipartUpload CopyObject CreateMultipartUpload
    DeleteObject DeleteObjectTagging GetObject GetObjectAcl GetObjectAttributes
    GetObjectLegalHold GetObjectRetention GetObjectTagging HeadObject ListParts PutObject
    PutObjectAcl PutObjectLegalHold PutObjectRetention PutObjectTagging RestoreObject
    UploadPart UploadPartCopy
    """
)
# The rest of S3: `aws.s3`, remembered by `aws.journal`.
S3_BUCKETS = _names(
    """
    CreateBucket DeleteBucket DeleteBucketCors DeleteBucketEncryption DeleteBucketLifecycle
    DeleteBucketOwnershipControls DeleteBucketPolicy DeleteBucketReplication
    DeleteBucketTagging DeleteBucketWebsite DeleteObjects DeletePublicAccessBlock
    GetBucketAccelerateConfiguration GetBucketAcl GetBucketCors GetBucketEncryption
    GetBucketInventoryConfiguration GetBucketLifecycle GetBucketLifecycleConfiguration
    GetBucketLocation GetBucketLogging GetBucketNotification
    GetBucketNotificationConfiguration GetBucketOwnershipControls GetBucketPolicy
    GetBucketPolicyStatus GetBucketReplication GetBucketTagging GetBucketVersioning
    GetBucketWebsite GetObjectLockConfiguration GetPublicAccessBlock HeadBucket
    ListBucketInventoryConfigurations ListBuckets ListDirectoryBuckets ListMultipartUploads
    ListObjectVersions ListObjects ListObjectsV2 PutBucketAccelerateConfiguration
    PutBucketAcl PutBucketCors PutBucketEncryption PutBucketInventoryConfiguration
    PutBucketLifecycle PutBucketLifecycleConfiguration PutBucketLogging
    PutBucketNotification PutBucketNotificationConfiguration PutBucketOwnershipControls
    PutBucketPolicy PutBucketReplication PutBucketTagging PutBucketVersioning
    PutBucketWebsite PutObjectLockConfiguration PutPublicAccessBlock
    """
)
# moto, with streams, lines, filter patterns and queries of `aws.logs`.
LOGS = _names(
    """
    CancelExportTask CreateDelivery CreateExportTask CreateLogGroup CreateLogStream
    DeleteDelivery DeleteDeliveryDestination DeleteDeliveryDestinationPolicy
    DeleteDeliverySource DeleteDestination DeleteLogGroup DeleteLogStream DeleteMetricFilter
    DeleteResourcePolicy DeleteRetentionPolicy DeleteSubscriptionFilter DescribeDeliveries
    DescribeDeliveryDestinations DescribeDeliverySources DescribeDestinations
    DescribeExportTasks DescribeLogGroups DescribeLogStreams DescribeMetricFilters
    DescribeQueries DescribeResourcePolicies DescribeSubscriptionFilters FilterLogEvents
    GetDelivery GetDeliveryDestination GetDeliveryDestinationPolicy GetDeliverySource
    GetLogEvents GetQueryResults ListTagsForResource ListTagsLogGroup PutDeliveryDestination
    PutDeliveryDestinationPolicy PutDeliverySource PutDestination PutDestinationPolicy
    PutLogEvents PutMetricFilter PutResourcePolicy PutRetentionPolicy PutSubscriptionFilter
    StartLiveTail StartQuery TagLogGroup TagResource UntagLogGroup UntagResource
    """
)
# moto, with the values of `aws.metrics`.
CLOUDWATCH = _names(
    """
    DeleteAlarms DeleteDashboards DeleteInsightRules DescribeAlarms DescribeAlarmsForMetric
    DescribeInsightRules DisableAlarmActions DisableInsightRules EnableAlarmActions
    EnableInsightRules GetDashboard GetMetricData GetMetricStatistics ListDashboards
    ListMetrics ListTagsForResource PutDashboard PutInsightRule PutMetricAlarm PutMetricData
    SetAlarmState TagResource UntagResource
    """
)
# moto.
IAM = _names(
    """
    AddRoleToInstanceProfile AddUserToGroup AttachGroupPolicy AttachRolePolicy
    AttachUserPolicy CreateAccessKey CreateAccountAlias CreateGroup CreateInstanceProfile
    CreateLoginProfile CreateOpenIDConnectProvider CreatePolicy CreatePolicyVersion
    CreateRole CreateSAMLProvider CreateServiceLinkedRole CreateUser CreateVirtualMFADevice
    DeactivateMFADevice DeleteAccessKey DeleteAccountAlias DeleteAccountPasswordPolicy
    DeleteGroup DeleteGroupPolicy DeleteInstanceProfile DeleteLoginProfile
    DeleteOpenIDConnectProvider DeletePolicy DeletePolicyVersion DeleteRole
    DeleteRolePermissionsBoundary DeleteRolePolicy DeleteSAMLProvider DeleteSSHPublicKey
    DeleteServerCertificate DeleteServiceLinkedRole DeleteSigningCertificate DeleteUser
    DeleteUserPolicy DeleteVirtualMFADevice DetachGroupPolicy DetachRolePolicy
    DetachUserPolicy EnableMFADevice GenerateCredentialReport GetAccessKeyLastUsed
    GetAccountAuthorizationDetails GetAccountPasswordPolicy GetAccountSummary
    GetCredentialReport GetGroup GetGroupPolicy GetInstanceProfile GetLoginProfile
    GetOpenIDConnectProvider GetPolicy GetPolicyVersion GetRole GetRolePolicy
    GetSAMLProvider GetSSHPublicKey GetServerCertificate GetServiceLinkedRoleDeletionStatus
    GetUser GetUserPolicy ListAccessKeys ListAccountAliases ListAttachedGroupPolicies
    ListAttachedRolePolicies ListAttachedUserPolicies ListEntitiesForPolicy
    ListGroupPolicies ListGroups ListGroupsForUser ListInstanceProfiles
    ListInstanceProfilesForRole ListMFADevices ListOpenIDConnectProviderTags
    ListOpenIDConnectProviders ListPolicies ListPolicyTags ListPolicyVersions
    ListRolePolicies ListRoleTags ListRoles ListSAMLProviders ListSSHPublicKeys
    ListServerCertificates ListSigningCertificates ListUserPolicies ListUserTags ListUsers
    ListVirtualMFADevices PutGroupPolicy PutRolePermissionsBoundary PutRolePolicy
    PutUserPolicy RemoveRoleFromInstanceProfile RemoveUserFromGroup SetDefaultPolicyVersion
    TagInstanceProfile TagOpenIDConnectProvider TagPolicy TagRole TagUser
    UntagInstanceProfile UntagOpenIDConnectProvider UntagPolicy UntagRole UntagUser
    UpdateAccessKey UpdateAccountPasswordPolicy UpdateAssumeRolePolicy UpdateGroup
    UpdateLoginProfile UpdateOpenIDConnectProviderThumbprint UpdateRole
    UpdateRoleDescription UpdateSAMLProvider UpdateSSHPublicKey UpdateSigningCertificate
    UpdateUser UploadSSHPublicKey UploadServerCertificate UploadSigningCertificate
    """
)
# moto, with keys of `aws.iam`.
STS = _names(
    """
    AssumeRole AssumeRoleWithSAML AssumeRoleWithWebIdentity GetAccessKeyInfo
    GetCallerIdentity GetFederationToken GetSessionToken
    """
)
# In moto's place, by service and operation (WSGI, with the request's body).
OWN: dict[tuple[str, str], Callable[[bytes, Callable], list[bytes]]] = {
    ("iam", "SimulatePrincipalPolicy"): iam.simulate,
}
# By the name that requests are signed for.
SERVICES = {
    "s3": S3_KEYS | S3_BUCKETS,
    "logs": LOGS,
    "monitoring": CLOUDWATCH,
    "iam": IAM | {"SimulatePrincipalPolicy"},
    "sts": STS,
}
