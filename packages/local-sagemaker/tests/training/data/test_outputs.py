"""What jobs leave behind, where it lies on S3, and what is never taken along."""

import io
import os
import re
import tarfile

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, training_request
from local_sagemaker.runtime.archive import unpack
from local_sagemaker.runtime.tree import Tree
from local_sagemaker.training.data import outputs


def archive(aws, job, name):
    key = f"out/{job['TrainingJobName']}/output/{name}"
    content = aws.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(content)) as source:
        return {m.name: source.extractfile(m).read() for m in source if not m.isdir()}


def names(aws, job):
    base = f"out/{job['TrainingJobName']}/output/"
    return [key.removeprefix(base) for key in aws.keys(base)]


def test_packing_and_unpacking(tmp_path):
    source = tmp_path / "ml/source"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_bytes(bytes(range(256)) * 5000)
    (source / "empty").mkdir()
    (source / "link").symlink_to("deep/file")
    os.link(source / "deep/file", source / "other")
    kept = list(Tree(tmp_path, tmp_path / "ml").entries(source))
    outputs.pack(kept, tmp_path / "a.tar.gz")
    unpack(tmp_path / "a.tar.gz", tmp_path / "back")
    for name in ("deep/file", "link", "other"):
        assert (tmp_path / "back" / name).read_bytes() == (source / "deep/file").read_bytes()
    assert (tmp_path / "back/empty").is_dir()
    with tarfile.open(tmp_path / "a.tar.gz") as packed:
        assert packed.getmember("link").size == 0  # its content is in the archive once


def test_model_and_output_are_archives_of_their_own(aws):
    job = aws.trained("cd /opt/ml; echo m > model/w; mkdir output/data/d; echo p > output/data/d/p")
    base = f"s3://{BUCKET}/out/{job['TrainingJobName']}/output"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": f"{base}/model.tar.gz"}
    assert archive(aws, job, "model.tar.gz") == {"w": b"m\n"}
    assert archive(aws, job, "output.tar.gz") == {"d/p": b"p\n"}


def test_a_job_without_a_model_stores_none_and_says_where_it_were(aws):
    job = aws.trained("true")
    assert names(aws, job) == []
    assert job["ModelArtifacts"]["S3ModelArtifacts"].endswith("/output/model.tar.gz")


def test_uncompressed_output_lies_file_by_file(aws):
    job = aws.trained(
        "cd /opt/ml; mkdir model/code; echo m > model/w; echo c > model/code/i.py;"
        "ln -s w model/best; echo p > output/data/p",
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out", "CompressionType": "NONE"},
    )
    base = f"out/{job['TrainingJobName']}/output"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://{BUCKET}/{base}/model/"}
    assert names(aws, job) == ["data/p", "model/best", "model/code/i.py", "model/w"]
    found = [
        aws.s3.get_object(Bucket=BUCKET, Key=f"{base}/model/{n}")["Body"].read()
        for n in ("best", "w")
    ]
    assert found == [b"m\n", b"m\n"]


def test_a_key_for_encryption_is_accepted_and_told(aws):
    config = {"S3OutputPath": f"s3://{BUCKET}/out/", "KmsKeyId": "alias/mine"}
    job = aws.trained("echo m > /opt/ml/model/w", OutputDataConfig=config)
    assert job["OutputDataConfig"]["KmsKeyId"] == "alias/mine"
    assert archive(aws, job, "model.tar.gz") == {"w": b"m\n"}


@pytest.mark.parametrize("compression", ["GZIP", "NONE"])
def test_nothing_from_outside_of_the_jobs_folder_is_stored(aws, tmp_path, compression):
    (tmp_path / "secret").write_text("secret")
    job = aws.trained(
        f"cd /opt/ml/model; ln -s {tmp_path}/secret s; ln -s {tmp_path} d; ln -s /etc/passwd p;"
        "mkfifo f; echo m > w",
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/out", "CompressionType": compression},
    )
    assert job["TrainingJobStatus"] == "Completed"
    if compression == "GZIP":
        assert archive(aws, job, "model.tar.gz") == {"w": b"m\n"}
    else:
        assert names(aws, job) == ["model/w"]
    (line,) = [line for line in aws.log(job["TrainingJobName"]) if "not stored" in line]
    assert all(f"/opt/ml/model/{name}" in line for name in "sdpf")


def test_a_model_folder_that_became_a_link_is_not_followed(aws, tmp_path):
    (tmp_path / "secret").write_text("secret")
    job = aws.trained(f"cd /opt/ml; rmdir model; ln -s {tmp_path} model")
    assert names(aws, job) == []


def test_the_reason_is_the_scripts_own_words_whole(aws):
    job = aws.trained(
        "printf 'ExecuteUserScriptError:\\nExitCode 1\\nErrorMessage \"no dogs\"' "
        "> /opt/ml/output/failure; echo the end; exit 3"
    )
    words = (
        'AlgorithmError: ExecuteUserScriptError:\nExitCode 1\nErrorMessage "no dogs", exit code: 3'
    )
    assert job["FailureReason"].startswith(words)
    assert job["FailureReason"].endswith("the end")


def test_a_long_failure_is_cut_and_the_exit_code_stays(aws):
    job = aws.trained("yes word | head -c 1000000 > /opt/ml/output/failure; echo end; exit 4")
    assert len(job["FailureReason"]) <= 1024
    assert "exit code: 4" in job["FailureReason"] and job["FailureReason"].endswith("end")


def test_a_failure_file_that_leads_outside_is_not_read(aws, tmp_path):
    (tmp_path / "secret").write_text("the secret")
    job = aws.trained(f"ln -s {tmp_path}/secret /opt/ml/output/failure; exit 1")
    assert "the secret" not in job["FailureReason"] and "exit code: 1" in job["FailureReason"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("CheckpointConfig", {"S3Uri": "s3://nowhere/c"}),
        ("DebugHookConfig", {"S3OutputPath": "s3://nowhere/d"}),
        ("TensorBoardOutputConfig", {"S3OutputPath": "s3://nowhere/t"}),
    ],
)
def test_a_job_whose_results_have_no_place_fails_before_it_runs(aws, member, value):
    job = aws.trained("echo never", **{member: value})
    assert re.search(f"'nowhere' of {member} does not exist", job["FailureReason"])
    assert "Training" not in [step["Status"] for step in job["SecondaryStatusTransitions"]]


@pytest.mark.parametrize("local", ["/tmp/kept", "/opt/mlops", "/opt/ml/", "/opt/ml/."])
def test_folders_that_cannot_be_kept_are_refused(aws, local):
    config = {"S3Uri": f"s3://{BUCKET}/c", "LocalPath": local}
    request = training_request("true", CheckpointConfig=config)
    with pytest.raises(ClientError, match=r"CheckpointConfig\.LocalPath '.*keeps folders below"):
        aws.sagemaker.create_training_job(**request)
