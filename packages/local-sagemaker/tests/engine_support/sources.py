"""Archives on S3: a job's source code, and what a job leaves."""

from __future__ import annotations

import io
import tarfile

from engine_support.clients import BUCKET, unique


def archive_of(aws, key):
    """Names and contents of the files in a tar.gz on S3."""
    content = aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as source:
        return {m.name: source.extractfile(m).read() for m in source if m.isfile()}


def source_archive(aws, **files):
    """Store a sourcedir.tar.gz with these files; return its address."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as target:
        for name, text in files.items():
            member = tarfile.TarInfo(name.replace("__", "/") + ".py")
            member.size = len(text)
            target.addfile(member, io.BytesIO(text.encode()))
    key = f"{unique('code')}/sourcedir.tar.gz"
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())
    return f"s3://{BUCKET}/{key}"
