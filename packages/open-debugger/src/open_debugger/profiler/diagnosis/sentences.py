"""The sentences of a diagnosis: what limited the run, the evidence, the change, and its gain."""

from __future__ import annotations

from open_debugger.profiler.diagnosis.thresholds import DATA, FEWEST, FULL_CORES, SHORTEST
from open_debugger.profiler.findings import CHANGE, Diagnosis
from open_debugger.profiler.measures import Measures
from open_debugger.profiler.text import percent

SMALLER = "photos stored smaller, or decoded at reduced scale"
RUN = "the run"  # what a gain is a share of where no steps were recorded


# The sentences


def data(m: Measures) -> Diagnosis:
    enough = m.workers is not None and m.workers >= _advised(m)
    if enough or is_full(m):
        gain, change, gain_by = m.parts["data"], less_decoding(m), CHANGE
    else:
        gain, gain_by = m.movable, "more loader processes"
        change = (
            f"Set the DataLoader's num_workers to {_advised(m)}. {more_workers(m)} Decoding less "
            f"({SMALLER}) needs no idle core, and can save all of the wait."
        )
    return Diagnosis(
        "data",
        f"{_trainer(m)} waited for data: {_processes(m)} could not make the batches fast enough.",
        _evidence(_waited(m), m),
        change,
        gain,
        gain_by=gain_by,
    )


def more_workers(m: Measures) -> str:
    """Say how much of a training step more loader processes can save at most, and why.

    Where all cores are busy, no bound is given: the samples do not tell the work that would move
    from other work, so the recording cannot say how much room there is.
    """
    wait = m.parts.get("data", 0.0)
    if is_full(m):
        return (
            f"Whether more loader processes help cannot be predicted: a training step waits "
            f"{percent(wait)} of its time for data, but the cores that would do this work are busy "
            f"{percent(m.cpu)} of the time."
        )
    said = f"More loader processes can save at most {percent(m.movable)} of a training step: "
    said += f"it waits {percent(wait)} of its time for data"
    if m.idle is None:
        return f"{said}."
    idle = f"idle {percent(m.idle)} of the time"
    if m.movable < wait:
        only = f"idle only {percent(m.idle)} of the time"
        return f"{said}, but the cores that would do this work are {only}."
    return f"{said}, and the cores that would do this work are {idle}."


def less_decoding(m: Measures) -> str:
    """Advise to decode less, and say how much of a training step that can save."""
    ahead = "" if not m.workers else (  # without workers, DataLoader refuses both
        ", and let it read ahead (prefetch_factor, persistent_workers=True)"
    )  # fmt: skip
    return (
        f"Give the loader less to decode ({SMALLER}){ahead}: {_bound(m, m.parts.get('data', 0.0))}"
        f", all of its wait for data.{_shared(m)}"
    )


def decoding(m: Measures) -> Diagnosis:
    gain = m.parts["data"]
    return Diagnosis(
        "cpu",
        f"{_trainer(m)} waited for the cores: {m.workers} loader processes filled all of them.",
        _evidence(_waited(m), m),
        "More of them would not help: take an instance type with more vCPU, or give the cores less "
        f"to decode ({SMALLER}): {_bound(m, gain)}.",
        gain,
    )


def io(m: Measures) -> Diagnosis:
    data = m.parts.get("data", 0.0)
    idle = 1 - ((m.cpu or 0.0) if m.gpu is None else m.gpu)
    gain = data if data >= DATA else min(m.io, idle)
    text = f"In {percent(m.io)} of the samples a core waited for storage more than half of its time"
    if m.parts:
        text += f". {_waited(m)}"
    return Diagnosis(
        "io",
        f"{_trainer(m)} waited for storage: the photos could not be read fast enough.",
        _evidence(text, m),
        "Read less often and earlier: photos in shards of about 150 MB, FastFile mode or the "
        "instance's own NVMe disk (ml.g4dn, ml.g5, ml.g6), and more loader processes to read "
        f"ahead: {_bound(m, gain)}.",
        gain,
    )


def balance(m: Measures) -> Diagnosis:
    best, least = max(m.gpus, key=m.gpus.get), min(m.gpus, key=m.gpus.get)
    gain = 1 - m.gpu / m.gpus[best]
    return Diagnosis(
        "balance",
        f"The {len(m.gpus)} GPUs did not share the work evenly: the busiest one set the pace.",
        f"{best} was busy {percent(m.gpus[best])} of the time, {least} {percent(m.gpus[least])}, "
        f"all of them {percent(m.gpu)} on average.",
        "Give each GPU a process of its own and an equal share of the photos (torchrun, "
        "DistributedDataParallel, DistributedSampler; not DataParallel): "
        f"{_bound(m, gain)}.",
        gain,
    )


def memory(m: Measures) -> Diagnosis:
    return Diagnosis(
        "memory",
        "The GPU's memory grew all the time: a longer run, or a larger batch, will fail.",
        f"It rose steadily by {100 * m.rise:.0f} percentage points while the run trained, to "
        f"{percent(m.memory)}.",
        "Find what outlives its step (a loss summed up with its graph: add loss.item(); outputs "
        "kept in a list: detach them; validation without torch.inference_mode()): it saves the "
        "run, not time.",
    )


def outliers(m: Measures) -> Diagnosis:
    return Diagnosis(
        "outliers",
        "A few training steps took many times as long as the others.",
        "Some steps took more than twice the median. What they took beyond it is "
        f"{percent(m.outliers)} of all the steps' time, the wait for data not counted.",
        "See in the timeline what runs at those steps (a checkpoint or an evaluation inside the "
        "loop, much larger photos, torch.backends.cudnn.benchmark with changing shapes, another "
        f"process on the machine): {_bound(m, m.outliers)}.",
        m.outliers,
    )


def python(m: Measures) -> Diagnosis:
    gain = min(m.parts["rest"], 1 - (m.gpu or 0.0))
    return Diagnosis(
        "cpu",
        "One core held the run up: the script's own Python, not the network, took the time.",
        _evidence(f"{percent(m.parts['rest'])} of a training step is neither data nor network", m),
        "Take out of the loop what is done at every step (metrics, logging, .item(), copies from "
        "the device), or do it every tenth step. PyTorch's profiler (the run's operators) shows "
        f"what it is: {_bound(m, gain)}.",
        gain,
    )


def copying(m: Measures) -> Diagnosis:
    gain = m.parts["host_to_device"]
    return Diagnosis(
        "data",
        "The GPU waited for batches on their way from the host's memory.",
        _evidence(f"A training step spent {percent(gain)} of its time copying to the device", m),
        "Load with pin_memory=True, copy with non_blocking=True, and send bytes (uint8) that the "
        f"GPU normalizes: {_bound(m, gain)}.",
        gain,
    )


def threads(m: Measures) -> Diagnosis:
    gain = m.idle
    return Diagnosis(
        "cpu",
        "One core did the training alone, and the others stood still.",
        f"The busiest core was busy {percent(m.busiest)} of the time, all {m.cores} "
        f"{percent(m.cpu)} on average.",
        "Let PyTorch use all cores (torch.set_num_threads, or OMP_NUM_THREADS in the job's "
        f"Environment): {_bound(m, gain)}.",
        gain,
    )


def small_kernels(m: Measures) -> Diagnosis:
    gain = 1 - m.gpu
    return Diagnosis(
        "cpu",
        "The GPU stood still between its kernels: most likely they are too small for it, and the "
        "processor that starts them one by one sets the pace.",
        _evidence(f"Network and optimizer took {percent(m.compute)} of a training step", m),
        "Raise the batch size until the GPU's memory is about 80% full (and the learning rate with "
        "it), or try torch.compile or an instance type with a smaller GPU: "
        f"{_bound(m, gain)}.",
        gain,
    )


def held_up(m: Measures) -> Diagnosis:
    gain = 1 - (m.gpu if is_full(m) else max(m.gpu, m.cpu or 0.0))
    by_one = m.workers == 0
    what = "The GPU stood still while the processor worked"
    return Diagnosis(
        "data" if by_one else "cpu",
        f"{what}: {'the loader has no process of its own.' if by_one else 'it could not keep up.'}",
        _evidence(f"In {percent(m.one_full or 0.0)} of the samples a core was above 90%", m),
        "Most often it is the decoding of photos: raise the DataLoader's num_workers while cores "
        "are idle, or else store the photos smaller or take an instance type with more vCPU: "
        f"{_bound(m, gain)}. Step times, written by the script, would say for sure.",
        gain,
    )


def processor(m: Measures) -> Diagnosis:
    return Diagnosis(
        "cpu",
        "The processor limited this run: all its cores were busy.",
        f"{_capital(_busy(m))}. There was no GPU.",
        "Step times, written by the script, would say whether they trained or decoded photos; "
        "an instance type with more vCPU, or with a GPU, is faster in either case.",
    )


def compute(m: Measures) -> Diagnosis:
    gain = m.parts.get("data", 0.0) + (m.outliers or 0.0) if m.parts else None
    small = "" if gain is None else f" (the loader and outliers: at most {percent(gain)} of a step)"
    if m.parts:
        evidence = _evidence(f"Network and optimizer took {percent(m.compute)} of a step", m)
    else:
        evidence = f"{_capital(_busy(m))}."
    limiting = "The processor" if m.gpu is None else _trainer(m)
    device = "instance type with a faster GPU" if m.gpu is not None else "instance type with a GPU"
    return Diagnosis(
        "compute",
        f"{limiting} limited this run, as it should be: the network itself took the time.",
        evidence,
        f"There is little to gain in the script{small}. What makes it faster: a lower precision "
        f"(bf16), smaller images, fewer trained layers, or an {device}.",
        gain,
    )


def unexplained(m: Measures) -> Diagnosis:
    return Diagnosis(
        "unknown",
        "What was recorded does not say what this run waited for.",
        f"Nothing was busy: {_busy(m)}." if _busy(m) else "Nothing was busy.",
        "Let the script write step times: they say which part of a step takes long.",
    )


def too_little(m: Measures) -> Diagnosis:
    return Diagnosis(
        "unknown",
        "Too little was recorded to say what limited this run.",
        f"There are {m.steps} training steps with times and {m.samples} samples of system metrics, "
        f"over {m.seconds:.0f} s.",
        f"Record at least {FEWEST} steps or samples and {SHORTEST:.0f} s: train longer, or profile "
        "the job with a ProfilerConfig and a shorter interval.",
    )


# Their parts


def is_full(m: Measures) -> bool:
    """Whether the cores are busy nearly all of the time."""
    return m.cpu is not None and m.cpu >= FULL_CORES


def _trainer(m: Measures) -> str:
    return "Training" if m.gpu is None else "The GPU" if len(m.gpus) == 1 else "The GPUs"


def _advised(m: Measures) -> int:
    """Loader processes for each of a node's training processes: together one a core.

    Where the number of cores is not known, one more than there are.
    """
    if not m.cores:
        return 1 + (m.workers or 0)
    return max(1, m.cores // max(1, m.processes))


def _processes(m: Measures) -> str:
    if m.workers is None:
        return "the loader"
    if not m.workers:
        return "the training process, which loads the photos itself,"
    return f"{m.workers} loader process{'es' if m.workers > 1 else ''}"


def _cores(m: Measures) -> str:
    return {0: "the cores", 1: "the core"}.get(m.cores, f"the {m.cores} cores")


def _busy(m: Measures) -> str:
    """How busy GPUs and cores were while the run trained; empty where it was not measured."""
    parts = []
    if m.gpu is not None:
        of = "the GPU was" if len(m.gpus) == 1 else f"the {len(m.gpus)} GPUs were"
        parts.append(f"{of} busy {percent(m.gpu)} of the time")
    if m.cpu is not None:
        are = "" if parts else " was busy" if m.cores == 1 else " were busy"
        text = f"{_cores(m)}{are} {percent(m.cpu)}{'' if parts else ' of the time'}"
        if m.busiest >= 1.5 * m.cpu:
            text += f" (the busiest one {percent(m.busiest)})"
        parts.append(text)
    return ", ".join(parts)


def _evidence(text: str, m: Measures) -> str:
    """The sentence, and one about GPUs and cores."""
    text = text.removesuffix(".")
    return f"{text}. During the training, {_busy(m)}." if _busy(m) else f"{text}."


def _waited(m: Measures) -> str:
    return f"A training step waited {percent(m.parts['data'])} of its time for data."


def _shared(m: Measures) -> str:
    """What a smaller load brings besides, where loader processes run on the network's cores."""
    if m.gpu is not None or not m.workers:
        return ""
    return " The network runs on the same cores, so its own parts can become shorter, too."


def _bound(m: Measures, gain: float) -> str:
    return f"this can save at most {percent(gain)} of {'a training step' if m.parts else RUN}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
