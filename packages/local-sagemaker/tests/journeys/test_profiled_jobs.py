"""`open_debugger.profiler` describes a job of a real SageMaker API."""

import pytest
from botocore.exceptions import ClientError


def test_a_job_of_an_engine_is_described(reached):
    from open_debugger.profiler.reading.job import describe  # imports pandas

    name = reached.trained("exit 3")["TrainingJobName"]
    job = describe(name, reached.sagemaker)
    assert (job.name, job.status, job.instance_type) == (name, "Failed", "ml.m5.large")
    assert "exit code: 3" in job.failure.lower() or "ExitCode 3" in job.failure
    phases = [phase.name for phase in job.phases]
    assert phases[0] == "Starting" and "Training" in phases
    assert job.created <= job.started <= job.ended
    assert describe(name) == job
    with pytest.raises(ClientError, match="DescribeTrainingJob"):
        describe("no-such-job")
