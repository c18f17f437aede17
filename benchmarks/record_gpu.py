"""`make record-gpu`: record a starved run and a fed one on this machine's GPU.

    python -m benchmarks.record_gpu [--photos 60] [--epochs 6]

ResNet50 at 224 px, batch 64, on drawn photos of 2000 x 1500 pixels: once as most scripts load them
(whole, anew in each epoch, in the training process), once as `train.py` does by itself. What the
profiler records is packed into `notebooks/recordings/`, with the machine and the date;
`open_debugger.profiler.analyse` reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from course.profiling import QUALITY, SIZE
from course.sample_photos import sample

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "notebooks" / "recordings"
MAX_BYTES = 250_000  # of each of the two
COMMON = {"model": "resnet50", "weights": "random", "image-size": 224, "batch-size": 64}
RUNS = {"starved": {"decode": "full", "num-workers": 0}, "fed": {}}


def record(name: str, photos: Path, target: Path, settings: dict) -> Path:
    """Train on `photos` with `settings`, and pack what the profiler records as `<name>.tar.gz`.

    Raises:
        subprocess.CalledProcessError: the training failed.
        ValueError: the recording is too large to be committed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        folders = {"train-dir": photos / "train", "valid-dir": photos / "valid"}
        folders |= {"model-dir": out / "model", "output-data-dir": out}
        given = {**settings, **RUNS[name], **folders, "system-metrics": 200}
        words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
        script = ROOT / "entry_points" / "train.py"
        subprocess.run([sys.executable, str(script), *words], check=True)
        (out / "profiler-output" / "machine.json").write_text(json.dumps(machine(), indent=2))
        return _pack(out / "profiler-output", target / f"{name}.tar.gz")


def _pack(folder: Path, archive: Path) -> Path:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, "profiler-output")
    if (size := archive.stat().st_size) > MAX_BYTES:
        archive.unlink()
        raise ValueError(f"{archive.name} would take {size} bytes: record fewer --epochs")
    return archive


def machine() -> dict[str, object]:
    """What the recording was made on, and when."""
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {
        "Device": name,
        "Cores": os.cpu_count(),
        "Processor": platform.machine(),
        "PyTorch": torch.__version__,
        "Date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


def make_photos(folder: Path, per_class: int) -> Path:
    """Twelve breeds of drawn photos, enlarged."""
    sample.make(str(folder), 12, (per_class, max(1, per_class // 8), 1))
    with ProcessPoolExecutor() as pool:
        list(pool.map(_enlarge, sorted(folder.rglob("*.jpg"))))
    return folder


def _enlarge(file: Path) -> None:
    with Image.open(file) as photo:
        photo.resize(SIZE, Image.Resampling.BICUBIC).save(file, quality=QUALITY)


def main() -> None:
    parser = argparse.ArgumentParser(description="Record two profiled runs on this machine's GPU.")
    parser.add_argument("--photos", type=int, default=60, help="training photos of each breed")
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()

    import torch

    if not torch.cuda.is_available():
        sys.exit("make record-gpu: there is no GPU here (torch.cuda.is_available() is False)")
    with tempfile.TemporaryDirectory() as folder:
        photos = make_photos(Path(folder) / "photos", options.photos)
        for name in RUNS:
            settings = {**COMMON, "epochs": options.epochs}
            print(record(name, photos, TARGET, settings).relative_to(ROOT), flush=True)


if __name__ == "__main__":
    main()
