"""Isolation as far as the kernel grants it, and the way without."""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from engine_support.clients import BUCKET, running_engine, toolkit_request, training_request
from engine_support.sources import archive_of, source_archive
from local_sagemaker.runtime import isolation
from local_sagemaker.runtime.isolation import Isolation


def works(kind):
    return isolation._works(kind)


LEVELS = [Isolation("full", False), Isolation("full", True), Isolation("mount", True)]


def output(tmp_path, command, kind, kept=None, **environment):
    ml = tmp_path / "ml"
    ml.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], **environment}
    words = ["/bin/sh", "-c", command]
    scratch = tmp_path / "scratch"
    process = isolation.start(ml, scratch, words, environment, "/", kind, kept=kept)
    said = process.communicate(timeout=20)[0].decode()
    return process.returncode, said


@pytest.mark.parametrize("kind", LEVELS, ids=str)
def test_a_container_has_its_own_opt_ml_and_the_rest_of_opt(tmp_path, kind):
    if not works(kind):
        pytest.skip("this kernel does not grant it")
    others = sorted({entry.name for entry in Path("/opt").iterdir()} - {"ml"})
    code, said = output(tmp_path, "echo x > /opt/ml/sign; ls /opt; hostname", kind)
    assert code == 0
    assert sorted(said.split()[:-1]) == sorted([*others, "ml"])
    assert said.split()[-1] == "algo-1"
    assert (tmp_path / "ml/sign").read_text() == "x\n"
    assert os.uname().nodename != "algo-1"


@pytest.mark.parametrize("kind", LEVELS, ids=str)
def test_a_container_has_a_tmp_of_its_own_with_what_it_needs_of_the_machines(tmp_path, kind):
    if not works(kind):
        pytest.skip("this kernel does not grant it")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        (outside := Path(folder) / "outside").mkdir()
        (needed := Path(folder) / "needed").mkdir()
        (file := Path(folder) / "file").write_text("read")
        left = Path(f"/tmp/left-{os.getpid()}")
        script = f"ls {folder}; cat {file}; echo x > {needed}/new; echo x > {left}; ls /tmp/left*"
        code, said = output(tmp_path, script, kind, kept=[needed, needed / "deeper", file, "/opt"])
        assert code == 0, said
        assert said.split() == ["file", "needed", "read" + str(left)]
        assert (needed / "new").exists() and outside.exists()
        assert not left.exists()


def test_in_full_isolation_other_processes_are_out_of_sight(tmp_path):
    kind = next((k for k in LEVELS if k.namespaces == "full" and works(k)), None)
    if kind is None:
        pytest.skip("this kernel grants no PID namespace")
    code, _ = output(tmp_path, f"test ! -e /proc/{os.getpid()}/stat || test $$ -lt 10", kind)
    assert code == 0


@pytest.mark.parametrize("kind", [*LEVELS, isolation.RELOCATED], ids=str)
def test_exit_codes_pass_through(tmp_path, kind):
    if not works(kind) and kind.real_opt_ml:
        pytest.skip("not granted here")
    assert output(tmp_path, "exit 7", kind)[0] == 7
    assert output(tmp_path, "kill -TERM $$", kind)[0] == 143


def test_the_level_can_be_chosen(monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_ISOLATION", "mount")
    isolation.isolation.cache_clear()
    assert isolation.isolation().namespaces in {"mount", "none"}
    isolation.isolation.cache_clear()


def test_a_level_that_does_not_exist_is_told(monkeypatch):
    monkeypatch.setenv("LOCAL_SAGEMAKER_ISOLATION", "vault")
    isolation.isolation.cache_clear()
    with pytest.raises(ValueError, match=r"ISOLATION='vault'.*full, mount or none"):
        isolation.isolation()
    isolation.isolation.cache_clear()


def test_without_namespaces_there_is_one_warning(monkeypatch, caplog):
    monkeypatch.setenv("LOCAL_SAGEMAKER_ISOLATION", "none")
    isolation.isolation.cache_clear()
    with caplog.at_level(logging.WARNING):
        kinds = {isolation.isolation() for _ in range(3)}
    isolation.isolation.cache_clear()
    assert kinds == {isolation.RELOCATED}
    assert len(caplog.records) == 1
    assert "SAGEMAKER_BASE_DIR" in caplog.text


def test_without_namespaces_both_kinds_of_job_run_and_several_instances_are_refused(tmp_path):
    """v3's driver files are rewritten; the toolkit obeys SAGEMAKER_BASE_DIR."""
    with running_engine(tmp_path, LOCAL_SAGEMAKER_ISOLATION="none") as aws:
        aws.s3.create_bucket(Bucket=BUCKET)
        pair = training_request()
        pair["ResourceConfig"]["InstanceCount"] = 2
        with pytest.raises(ClientError, match=r"InstanceCount 2: .* need a mount namespace"):
            aws.sagemaker.create_training_job(**pair)
        assert aws.sagemaker.list_training_jobs()["TrainingJobSummaries"] == []
        driver = b"#!/bin/bash\ncp /opt/ml/input/data/train/x /opt/ml/model/x; echo $PWD\n"
        aws.s3.put_object(Bucket=BUCKET, Key="drivers/sm_train.sh", Body=driver)
        aws.s3.put_object(Bucket=BUCKET, Key="train/x", Body=b"data")
        channels = {"sm_drivers": f"s3://{BUCKET}/drivers", "train": f"s3://{BUCKET}/train"}
        v3 = training_request(channels=channels)
        script = "/opt/ml/input/data/sm_drivers/sm_train.sh"
        v3["AlgorithmSpecification"]["ContainerEntrypoint"] = ["/bin/bash", script]
        code = "import os; open(os.environ['SM_MODEL_DIR'] + '/y', 'w').write('made')"
        v2 = toolkit_request(source_archive(aws, train=code))
        for request, made in ((v3, {"x": b"data"}), (v2, {"y": b"made"})):
            aws.sagemaker.create_training_job(**request)
            job = aws.job(request["TrainingJobName"])
            assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
            key = f"out/{request['TrainingJobName']}/output/model.tar.gz"
            assert archive_of(aws, key) == made
        log = (tmp_path / "engine.log").read_text()
        assert log.count("this kernel grants no mount namespace") == 1


def test_supervisors_need_nothing_but_the_standard_library():
    subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import runpy; runpy.run_path({str(isolation.SUPERVISOR)!r}, run_name='x')",
        ],
        check=True,
    )
