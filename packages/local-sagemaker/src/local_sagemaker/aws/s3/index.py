"""Objects and uploads as rows of the store's index, and back from their rows."""

from __future__ import annotations

import datetime
import json
from types import SimpleNamespace

import moto.s3.models as moto_s3

from local_sagemaker.aws.s3.bodies import Body
from local_sagemaker.aws.s3.objects import (
    StoredKey,
    StoredMultipart,
    StoredS3,
    Transaction,
    grants,
    performing,
)

KEPT = (  # attributes of moto's object that are what they are
    "encryption",
    "kms_key_id",
    "bucket_key_enabled",
    "lock_mode",
    "lock_legal_status",
    "lock_until",
    "website_redirect_location",
    "checksum_algorithm",
    "checksum_value",
    "checksum_type",
    "checksum_parts",
)


def description(version, backend: StoredS3) -> tuple[str | None, str]:
    """The index row's file and JSON for one version (a delete marker has no file)."""
    if not isinstance(version, StoredKey):
        return None, json.dumps({"last_modified": version.last_modified.isoformat()})
    meta = {
        "size": version.contentsize,
        "etag": version.etag.strip('"'),
        "md5": version._md5,
        "last_modified": version.last_modified.isoformat(),
        "metadata": dict(version.metadata),
        "storage": version.storage_class,
        "tags": backend.tagger.get_tag_dict_for_resource(version.arn),
        "acl": grants(version.acl),
        **{name: getattr(version, name) for name in KEPT if getattr(version, name) is not None},
    }
    return version.file.name, json.dumps(meta)


def restored(backend: StoredS3, bucket: str, key: str, row: tuple[str, str | None, str]):
    """One version of an object from its index row, or the marker of its deletion."""
    version, file, meta = row
    known = json.loads(meta)
    moment = datetime.datetime.fromisoformat(known["last_modified"])
    if file is None:
        marker = moto_s3.FakeDeleteMarker(SimpleNamespace(name=key))
        marker._version_id, marker.last_modified = version, moment
        return marker
    stored = _key(
        backend,
        Body(StoredKey.store.object_folder / file, known["size"], known["md5"]),
        known,
        name=key,
        bucket_name=bucket,
        storage=known["storage"],
        etag=known["etag"],
        is_versioned=version != "null",
        version_id=version,
    )
    stored.set_metadata(known["metadata"])
    for name in KEPT:
        if name in known:
            setattr(stored, name, known[name])
    stored.acl = _acl(known["acl"])
    backend.tagger.delete_all_tags_for_resource(stored.arn)  # of a request that failed
    if known["tags"]:
        backend.tagger.tag_resource(
            stored.arn, backend.tagger.convert_dict_to_tags_input(known["tags"])
        )
    return stored


def restored_upload(backend: StoredS3, upload: str, meta: str, parts: list[tuple]):
    """A multipart upload and its parts (number, file, description) from their rows."""
    known = json.loads(meta)
    made = StoredMultipart(
        known["key"],
        moto_s3.CaseInsensitiveDict(known["metadata"]),
        account_id=backend.account_id,
        region_name=backend.region_name,
        storage=known["storage"],
        tags=known["tags"],
        acl=_acl(known["acl"]),
        sse_encryption=known["encryption"],
        kms_key_id=known["kms_key_id"],
    )
    made.id = upload
    for number, file, described in parts:
        part = json.loads(described)
        body = Body(StoredKey.store.object_folder / file, part["size"], part["etag"])
        made.parts[number] = _key(backend, body, part, name=number, encryption=made.sse_encryption)
    made.partlist = sorted(made.parts)
    return made


def _key(backend: StoredS3, body: Body, known: dict, **members) -> StoredKey:
    with performing(Transaction(incoming=body)):
        made = StoredKey(
            value=b"",
            account_id=backend.account_id,
            region_name=backend.region_name,
            **members,
        )
    made.last_modified = datetime.datetime.fromisoformat(known["last_modified"])
    return made


def _acl(grants: list | None) -> moto_s3.FakeAcl | None:
    if grants is None:
        return None
    return moto_s3.FakeAcl(
        [
            moto_s3.FakeGrant([moto_s3.FakeGrantee(*grantee) for grantee in grantees], permissions)
            for grantees, permissions in grants
        ]
    )
