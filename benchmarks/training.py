"""What a training step costs, beside the loop that everyone writes and the limit: `make bench`.

    python benchmarks/training.py [--rounds 1] [plain ours limit]

ResNet50 at 224 px, of which the head alone learns, on photos of about 1000 x 750 pixels:

    plain   the loop of most published scripts: `ImageFolder` and torchvision's transforms, one
            loader process, whole JPEGs, fp32, channels first, the optimiser over the head alone but
            every layer in training mode and with gradients. One epoch: each costs the same.
    ours    `train.py` as it is called, for three epochs, with one kept view of each photo
    limit   the same network and precision as ours on a batch that is already on the device

Each is a process of its own, and they take turns. Images a second are those of training alone,
without start-up and validation; but what `train.py` reads before its first step (small sets stay
decoded in memory) is part of its first epoch, for it would otherwise be nobody's. The wait is the
share of the first epoch in which the next batch was not there, without that reading and with it.
Memory is the training process's peak (VmHWM; its loaders' come on top, each with the pages that it
shares). On a GPU, its utilisation is the median of NVML's samples.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in the engine's jobs
ENTRY_POINTS = Path(__file__).parents[1] / "entry_points"
sys.path.insert(0, str(ENTRY_POINTS))

SIDE, BATCH, CLASSES, EPOCHS, LR = 224, 32, 8, 3, 1e-3
PHOTO, QUALITY = (1000, 750), 90  # pixels; dogImages' median photo is a little smaller
TRAIN, VALID = 256, 32
LIMIT_STEPS, WARM_UP_STEPS = 8, 2
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Ours over plain, and first epoch over limit (of a GPU: all); data wait; GPU utilisation.
GOALS = {"plain": 3.0, "limit": 0.75, "limit_gpu": 0.9, "wait": 0.10, "gpu": 90.0}
POLL_S = 0.1
METRICS = re.compile(r"epoch=(\d+) .*images_per_second=([0-9.]+)")
SIZES = re.compile(r"photos=train:(\d+) ")
BEGUN, READ = "weights=", "photos="  # train.py's lines before and after its reading
OURS = (
    f"--model resnet50 --weights random --train-layers head --image-size {SIDE} --epochs {EPOCHS}"
    f" --batch-size {BATCH} --lr {LR} --feature-views 1"
)
VARIANTS = ("plain", "ours", "limit")


# ----------------------------------------------------------------------------------------- photos


def make_photos(root: Path, train: int, valid: int, size: tuple[int, int] = PHOTO) -> None:
    """Write `train` and `valid` JPEGs of `size` pixels below `root/<split>/<class>/`."""
    jobs = []
    for split, count in (("train", train), ("valid", valid)):
        for i in range(count):
            folder = root / split / f"class-{i % CLASSES}"
            folder.mkdir(parents=True, exist_ok=True)
            jobs.append((folder / f"{i:04}.jpg", size))
    with ProcessPoolExecutor() as pool:
        list(pool.map(_write_photo, *zip(*jobs, strict=True), chunksize=8))


def _write_photo(file: Path, size: tuple[int, int]) -> None:
    seed = [*file.parent.name.encode(), *file.name.encode()]
    picture = texture(np.random.default_rng(seed), *size)
    Image.fromarray(picture).save(file, quality=QUALITY)


def texture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Return uint8 (height, width, 3): noise of all scales, the finer the weaker, as photos have.

    Decoding takes as long as there are coefficients, so the grain is chosen for files of the size
    that a camera's photos have at this quality: about 2 bits a pixel.
    """
    picture = np.full((height, width, 3), rng.uniform(80, 170, 3))
    cell = 256
    while cell >= 1:
        grid = rng.normal(0, 1, (-(-height // cell) + 1, -(-width // cell) + 1, 3))
        # Neighbouring channels vary together, as the light does.
        grid = 0.8 * grid.mean(2, keepdims=True) * 3**0.5 + 0.2 * grid
        picture += 4.0 * cell**0.4 * _enlarged(grid, width, height)
        cell //= 2
    return picture.clip(0, 255).astype(np.uint8)


def _enlarged(grid: np.ndarray, width: int, height: int) -> np.ndarray:
    channels = [Image.fromarray(grid[:, :, i].astype(np.float32)) for i in range(3)]
    large = [c.resize((width, height), Image.Resampling.BICUBIC) for c in channels]
    return np.stack([np.asarray(c) for c in large], axis=2)


# ------------------------------------------------------------------------- what runs by itself


def plain(photos: Path) -> list[dict[str, float]]:
    """An epoch of the loop that everyone writes; its images, seconds, and seconds of waiting."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader
    from torchvision import datasets, models, transforms

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    augment = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIDE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    data = datasets.ImageFolder(str(photos / "train"), augment)
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=1)
    model = models.resnet50(weights=None)
    model.fc = nn.Linear(model.fc.in_features, CLASSES)
    model = model.to(device)
    criterion, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(model.fc.parameters(), lr=LR)
    model.train()
    images, waited, begin = 0, 0.0, time.perf_counter()
    last = begin
    for batch, labels in loader:
        waited += time.perf_counter() - last
        batch, labels = batch.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(model(batch), labels)
        loss.backward()
        optimizer.step()
        loss.item()  # which most loops print or sum
        images += len(labels)
        last = time.perf_counter()
    return [{"images": images, "seconds": last - begin, "waited": waited}]


def limit(compiled: bool = False) -> list[dict[str, float]]:
    """Steps of the head on one batch that is on the device already, normalised, channels last."""
    import torch
    from torch import nn

    from distributed import choose_device
    from models import build

    world = choose_device("auto")
    model = build("resnet50", CLASSES).to(world.device, memory_format=torch.channels_last).eval()
    head, model.fc = model.fc, nn.Identity()
    body = torch.compile(model) if compiled else model
    optimizer = torch.optim.AdamW(head.parameters(), lr=LR, fused=True)
    batch = torch.randn(BATCH, 3, SIDE, SIDE, device=world.device)
    batch = batch.to(memory_format=torch.channels_last)
    labels = torch.randint(0, CLASSES, (BATCH,), device=world.device)

    def step() -> None:
        with world.autocast():
            with torch.no_grad():
                features = body(batch)
            loss = nn.functional.cross_entropy(head(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def steps(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            step()
        if world.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    steps(WARM_UP_STEPS)
    count = LIMIT_STEPS if world.device.type == "cpu" else 20 * LIMIT_STEPS
    return [{"images": count * BATCH, "seconds": steps(count), "waited": 0.0}]


# -------------------------------------------------------------------------------------- the parent


@dataclass(frozen=True)
class Measured:
    """A variant's run.

    `epochs` has of each epoch its images, seconds, and seconds of waiting for a batch; `reading`
    are the seconds of decoding before the first. Peaks are in MiB, `gpu` is in per cent.
    """

    epochs: list[dict[str, float]]
    reading: float = 0.0
    peak: float = 0.0
    loaders: float = 0.0
    gpu: float | None = None

    def rate(self, first: int = 0, last: int | None = None) -> float:
        """Images a second over the epochs `first:last`; what was read ahead is of the first."""
        chosen = self.epochs[first:last]
        seconds = sum(e["seconds"] for e in chosen) + (0.0 if first else self.reading)
        return sum(e["images"] for e in chosen) / seconds

    def wait(self, ahead: bool = False) -> float:
        """The share of the first epoch without a batch; `ahead`: with the reading before it."""
        extra = self.reading if ahead else 0.0
        return (self.epochs[0]["waited"] + extra) / (self.epochs[0]["seconds"] + extra)


@dataclass(frozen=True)
class Watched:
    """What a process printed, each line with its moment in seconds, and what it took."""

    lines: list[tuple[float, str]]
    peak: float
    loaders: float
    gpu: float | None


def run(name: str, photos: Path, folder: Path) -> Measured:
    """Run a variant in a process of its own."""
    if name == "ours":
        folders = {"train-dir": photos / "train", "valid-dir": photos / "valid"}
        folders |= {"model-dir": folder / "model", "output-data-dir": folder / "output"}
        words = [word for key, value in folders.items() for word in (f"--{key}", str(value))]
        script = str(ENTRY_POINTS / "train.py")
        seen = watched([sys.executable, script, *OURS.split(), *words])
        recorded = folder / "output" / "profiler-output" / "framework" / "steps"
        epochs, reading = own_epochs(seen.lines, recorded), time_of_reading(seen.lines)
    else:
        seen = watched([sys.executable, __file__, "--alone", name, "--data", str(photos)])
        epochs, reading = json.loads(seen.lines[-1][1]), 0.0
    return Measured(epochs, reading, seen.peak, seen.loaders, seen.gpu)


def own_epochs(lines: Iterable[tuple[float, str]], recorded: Path) -> list[dict[str, float]]:
    """What train.py printed of each epoch, with the waiting that it recorded of its steps.

    While features are kept, an epoch's first steps are the body's and the others the head's: so
    the images are those of the printed set, not of the steps.
    Raises ValueError if an epoch was not printed, or none of its steps recorded.
    """
    text = "".join(line for _, line in lines)
    steps = list(_steps(recorded))
    images = int(SIZES.search(text)[1])
    epochs = []
    for epoch, rate in METRICS.findall(text):
        waits = [s["Data"] for s in steps if s["Phase"] == "train" and s["Epoch"] == int(epoch)]
        if waits:
            seconds = images / float(rate)
            epochs.append({"images": images, "seconds": seconds, "waited": sum(waits)})
    if len(epochs) != EPOCHS:
        raise ValueError(f"train.py printed or recorded {len(epochs)} of {EPOCHS} epochs:\n{text}")
    return epochs


def _steps(folder: Path) -> Iterator[dict]:
    for file in sorted(folder.rglob("*.json")):
        rows = map(json.loads, file.read_text().splitlines())
        yield from (row for row in rows if row["Type"] == "step")


def time_of_reading(lines: Iterable[tuple[float, str]]) -> float:
    """Seconds in which train.py decoded photos, of both sets, before its first step."""
    moments = {word: t for word in (BEGUN, READ) for t, line in lines if line.startswith(word)}
    return moments[READ] - moments[BEGUN]


def watched(command: Sequence[str]) -> Watched:
    """Run a command, whose errors go to this process's.

    Raises subprocess.CalledProcessError if it fails.
    """
    peaks: dict[int, float] = {}
    busy: list[float] = []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watching = threading.Thread(target=_watch, args=(process, peaks, busy))
    watching.start()
    lines = [(time.perf_counter(), line) for line in process.stdout]
    process.wait()
    watching.join()
    if process.returncode:
        text = "".join(line for _, line in lines)
        raise subprocess.CalledProcessError(process.returncode, command, text)
    own = peaks.pop(process.pid)
    working = [value for value in busy if value > 0]  # neither its start nor its end
    return Watched(lines, own, sum(peaks.values()), statistics.median(working) if working else None)


def _watch(process: subprocess.Popen, peaks: dict[int, float], busy: list[float]) -> None:
    utilisation = gpu_meter()
    while process.poll() is None:
        peaks |= peaks_of(process.pid)
        if utilisation is not None:
            busy.append(utilisation())
        time.sleep(POLL_S)


def peaks_of(pid: int) -> dict[int, float]:
    """VmHWM of a process and its children, in MiB. (`ru_maxrss` begins with the parent's peak.)"""
    peaks = {}
    with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        children = psutil.Process(pid).children(recursive=True)
        for one in (pid, *(child.pid for child in children)):
            status = Path(f"/proc/{one}/status").read_text()
            found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
            if found:  # a process that has ended has none
                peaks[one] = int(found[1]) / 1024
    return peaks


def gpu_meter() -> Callable[[], float] | None:
    """Return what reads the first GPU's utilisation in per cent, or None without one."""
    try:
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    except Exception:  # no module, no driver, no GPU: NVML has an error of its own for each
        return None
    return lambda: float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)


# ----------------------------------------------------------------------------------------- results


def show(results: dict[str, list[Measured]]) -> None:
    """Print a line for each variant (medians over the rounds), and what they are to each other."""
    heads = ("images/s", "first", "later", "wait", "MiB", "loaders")
    print(f"{'':<10}" + "".join(f"{head:>10}" for head in heads))
    for name, runs in results.items():
        later = _median(r.rate(1) for r in runs) if len(runs[0].epochs) > 1 else None
        rates = [_median(r.rate() for r in runs), _median(r.rate(0, 1) for r in runs), later]
        cells = "".join(f"{value:>10.1f}" if value else f"{'-':>10}" for value in rates)
        wait = f"{_median(r.wait() for r in runs):>10.1%}" if name != "limit" else f"{'-':>10}"
        peaks = f"{_median(r.peak for r in runs):>10.0f}{_median(r.loaders for r in runs):>10.0f}"
        busy = [r.gpu for r in runs if r.gpu is not None]
        print(f"{name:<10}{cells}{wait}{peaks}" + (f"  GPU {_median(busy):.0f} %" if busy else ""))
    for line in comparisons(results):
        print(line)


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)


def comparisons(results: dict[str, list[Measured]]) -> list[str]:
    """What ours is to the others, each with its goal; ratios are of runs of the same round."""
    ours, lines = results.get("ours", []), []
    on_gpu = any(run.gpu is not None for run in ours)
    if ours and "plain" in results:
        ratio = _median(o.rate() / p.rate() for o, p in zip(ours, results["plain"], strict=True))
        lines.append(f"{EPOCHS} epochs: {ratio:.2f} x plain; the goal is {GOALS['plain']:g}")
    if ours and "limit" in results:
        pairs = list(zip(ours, results["limit"], strict=True))
        first = _median(o.rate(0, 1) / c.rate() for o, c in pairs)
        goal = GOALS["limit_gpu" if on_gpu else "limit"]
        lines.append(f"first epoch: {first:.2f} x limit; the goal is {goal:g}")
        later = _median(o.rate(1) / c.rate() for o, c in pairs)
        lines.append(f"epochs after it: {later:.1f} x limit (their features are kept)")
    if ours:
        wait, ahead = (_median(run.wait(ahead) for run in ours) for ahead in (False, True))
        lines.append(
            f"data wait: {wait:.1%} of a step, {ahead:.1%} with the reading before the first "
            f"({_median(run.reading for run in ours):.1f} s); the goal is {GOALS['wait']:.0%}"
        )
    if on_gpu:
        busy = _median(run.gpu for run in ours if run.gpu is not None)
        lines.append(f"GPU utilisation: {busy:.0f} %; the goal is {GOALS['gpu']:.0f} %")
    return lines


def main() -> None:
    """Measure the variants that are named, or all."""
    parser = argparse.ArgumentParser(description="What a training step costs.")
    parser.add_argument("variants", nargs="*", help=f"of {', '.join(VARIANTS)}")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each")
    parser.add_argument("--train", type=int, default=TRAIN, help="training photos")
    parser.add_argument("--data", type=Path, help="photos in train/ and valid/ instead of own ones")
    parser.add_argument("--alone", choices=("plain", "limit"), help=argparse.SUPPRESS)
    parser.add_argument("--compile", action="store_true", help="with --alone limit: torch.compile")
    arguments = parser.parse_args()
    if arguments.alone:
        epochs = plain(arguments.data) if arguments.alone == "plain" else limit(arguments.compile)
        print(json.dumps(epochs))
        return
    if unknown := set(arguments.variants) - set(VARIANTS):
        parser.error(f"there is no {', '.join(unknown)}: choose of {', '.join(VARIANTS)}")
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        folder = Path(made)
        photos = arguments.data or folder / "photos"
        if arguments.data is None:
            make_photos(photos, arguments.train, VALID)
        results: dict[str, list[Measured]] = {}
        for turn in range(arguments.rounds):
            for name in arguments.variants or VARIANTS:
                its = run(name, photos, folder / f"{name}-{turn}")
                results.setdefault(name, []).append(its)
        show(results)


if __name__ == "__main__":
    main()
