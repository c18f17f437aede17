"""The toolkit's output comes by lines, and its requirements are the container's."""

import asyncio
import subprocess
import sys
from importlib import metadata

import pytest
from sagemaker_training import errors

from local_sagemaker.runtime.inside import train


def test_pieces_become_lines(capsys):
    async def watched():
        stream = asyncio.StreamReader(limit=1000)
        task = asyncio.create_task(train.watch(stream, 1))
        for piece in (b"loss:", b" ", b"0.5", b"\n", b"x" * 3000, b"\nlast"):
            stream.feed_data(piece)
            await asyncio.sleep(0.01)  # the reader sees each piece by itself
        stream.feed_eof()
        await task

    asyncio.run(watched())
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["loss: 0.5", "x" * 3000, "last"]


def test_requirements_that_cannot_be_met_are_the_clients_error(tmp_path):
    (tmp_path / "requirements.txt").write_text("torch==1.13.1\n")
    with pytest.raises(errors.ClientError, match=r"line 1: 'torch==1\.13\.1' would replace torch"):
        train.install_requirements(str(tmp_path))


def test_the_toolkit_is_adapted_without_importing_torch():
    script = (
        "import sys; from local_sagemaker.runtime.inside import train; train.adapt();"
        "from sagemaker_pytorch_container import training; from sagemaker_training import runner;"
        "training._set_torch_version_environment(); import os;"
        "print(os.environ['SM_DLC_TORCH_VERSION'], 'torch' in sys.modules,"
        "runner.SMDataParallelRunnerType)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    version = metadata.version("torch")
    assert said == f"{version} False RunnerType.TorchDistributed\n"
