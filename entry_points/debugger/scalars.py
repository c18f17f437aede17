"""The epochs' metrics for TensorBoard, where the job's TensorBoardOutputConfig asks for them.

SageMaker stores the files in S3 while the job runs, as `<S3OutputPath>/<job>/tensorboard-output`.
"""

from pathlib import Path
from typing import Any

from debugger.compatibility import load_smdebug
from distributed import is_first_process
from options import job_file, read_config

CONFIG = "tensorboardoutputconfig.json"
DEFAULT_FOLDER = "/opt/ml/output/tensorboard"  # the API's


class Scalars:
    """Event files of TensorBoard, or nothing: its method may be called in any case.

    The containers hold no tensorboard, which PyTorch's own SummaryWriter needs; smdebug's writer
    needs no more than smdebug does. RuntimeError if the job asks for scalars and lacks that.
    """

    folder: Path | None = None

    def __init__(self) -> None:
        file = job_file(CONFIG)
        if file.is_file() and is_first_process():
            self.folder = Path(read_config(file).get("LocalPath") or DEFAULT_FOLDER)
            load_smdebug("TensorBoard's scalars")
            print(f"tensorboard=on scalars={self.folder}", flush=True)

    def write(self, metrics: dict[str, Any], epoch: int, part: str = "epoch") -> None:
        """Add metrics by their names, at an epoch; they lie in a file when this returns.

        `part` keeps apart what is written at the same epoch.
        """
        if self.folder is None:
            return
        from smdebug.core.writer import FileWriter

        # A file for each call: smdebug gives one its name only when it is complete, and
        # TensorBoard reads a folder's files in the order of their names, which begin with `step`.
        options = {"wtype": "tensorboard", "write_checksum": True}
        with FileWriter(str(self.folder), part, epoch, **options) as writer:
            for name, value in metrics.items():
                if name != "epoch":
                    writer.write_scalar_summary(name, value, epoch)
