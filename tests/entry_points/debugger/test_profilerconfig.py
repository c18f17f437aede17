"""`entry_points/debugger/profilerconfig.py`: is a job profiled, and where do step times go?"""

import json
from pathlib import Path

import pytest

from debugger import profilerconfig
from options import ConfigError


@pytest.fixture(autouse=True)
def job(job_config):
    return job_config


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, False),
        ("", False),
        ("{}", False),
        ('{"DisableProfiler": true}', False),
        ('{"DisableProfiler": "True", "S3OutputPath": "s3://b/p"}', False),
        ('{"DisableProfiler": false, "S3OutputPath": "s3://b/p"}', True),
        ('{"ProfilingIntervalInMilliseconds": 500}', True),
    ],
)
@pytest.mark.parametrize("by_smdebug", [False, True])
def test_sagemaker_profiles_where_its_file_does_not_disable_it(
    job, monkeypatch, content, wanted, by_smdebug
):
    path = job / "profilerconfig.json"
    if by_smdebug:
        path = job / "other.json"
        monkeypatch.setenv("SMPROFILER_CONFIG_PATH", str(path))
    if content is not None:
        path.write_text(content)
    assert (profilerconfig.from_sagemaker() is not None) == wanted


def test_a_damaged_file_is_named(job):
    (job / "profilerconfig.json").write_text("{")
    with pytest.raises(ConfigError, match=r"profilerconfig\.json"):
        profilerconfig.from_sagemaker()


@pytest.mark.parametrize("monitored", [False, True])
@pytest.mark.parametrize("local", [None, "elsewhere"])
def test_sagemakers_own_folder_comes_first(job, monitored, local):
    (job / "checkpointconfig.json").write_text(json.dumps({"LocalPath": "checkpoints"}))
    config = {"S3OutputPath": "s3://b/p", **({"LocalPath": local} if local else {})}
    (job / "profilerconfig.json").write_text(json.dumps(config))
    expected = Path(local or "/opt/ml/output/profiler")
    assert profilerconfig.folder(monitored, Path("out")) == expected


def test_only_a_monitored_job_writes_into_its_checkpoints(job, tmp_path):
    (job / "profilerconfig.json").write_text('{"DisableProfiler": true}')
    (job / "checkpointconfig.json").write_text(json.dumps({"LocalPath": "/kept"}))
    assert profilerconfig.folder(True, None) == Path("/kept/dogs-1/profiler-output")
    assert profilerconfig.folder(True, tmp_path) == Path("/kept/dogs-1/profiler-output")
    assert profilerconfig.folder(False, tmp_path) == tmp_path / "profiler-output"
    assert profilerconfig.folder(False, None) is None


def test_without_checkpoints_the_output_folder_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for monitored in (False, True):
        assert profilerconfig.folder(monitored, Path("out")) == tmp_path / "out/profiler-output"
        assert profilerconfig.folder(monitored, None) is None
