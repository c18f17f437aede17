"""One tuning job: training jobs, one after the other and side by side, until it is over."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from local_sagemaker.aws import metrics
from local_sagemaker.aws.cloudwatch import TRAINING_METRICS
from local_sagemaker.aws.printed_metrics import UNREAD
from local_sagemaker.core.errors import ApiError, invalid
from local_sagemaker.core.kinds import TRAINING_JOB, TUNING_JOB
from local_sagemaker.core.store import Store
from local_sagemaker.training.operations import TrainingJobs
from local_sagemaker.tuning import completion, early_stopping, hyperband, statuses, summaries
from local_sagemaker.tuning.definitions import Definition
from local_sagemaker.tuning.hyperband import Hyperband
from local_sagemaker.tuning.ranges import combinations
from local_sagemaker.tuning.search import Search

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

POLL_S = 0.05
LOOK = "Please take a look at the training job failures to get more details."
EMIT = (
    "Please ensure that the custom algorithm is emitting the objective metric as defined by the "
    "regular expression provided."
)


@dataclass
class Algorithm:
    """A definition with the search over its ranges and what its ended jobs printed."""

    definition: Definition
    search: Search
    size: float  # different choices of values
    hyperband: Hyperband | None
    started: int = 0
    earlier: list[list[float]] = field(default_factory=list)


@dataclass
class Run:
    """A training job under way."""

    name: str
    algorithm: Algorithm
    trial: optuna.Trial
    number: int  # of the jobs that were started before it
    epochs: int = 0  # values of its objective that early stopping has seen
    stopped: bool = False


def algorithms(config: dict, found: list[Definition]) -> list[Algorithm]:
    """What a tuning job searches.

    Raises:
        ApiError: ValidationException for a strategy that cannot search these ranges, and for more
            jobs than there are different choices.
    """
    made = [_algorithm(config, definition, index) for index, definition in enumerate(found)]
    total = sum(algorithm.size for algorithm in made)
    asked = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    if config["Strategy"] == "Grid":
        if asked not in (None, total):
            raise invalid(
                f"MaxNumberOfTrainingJobs, {asked}, must be the number of combinations in the "
                f"grid, {total}, or be left out"
            )
    elif asked is not None and total < asked:
        raise invalid(
            "You don't have enough combinations of hyperparameter ranges. The total number of "
            f"hyperparameter combinations for the provided ranges [{float(total)}] must be equal "
            f"or greater than the value of MaxNumberOfJobs, [{asked}]. Provide additional ranges."
        )
    return made


def _algorithm(config: dict, definition: Definition, index: int) -> Algorithm:
    strategy, seed = config["Strategy"], config.get("RandomSeed")
    rungs = hyperband.of(config, definition.members["StaticHyperParameters"])
    seed = None if seed is None else (seed + index) % 2**32  # numpy takes no larger seed
    goal = definition.objective["Type"]
    search = Search(strategy, definition.ranges, goal, seed, rungs.pruner if rungs else None)
    return Algorithm(definition, search, combinations(definition.ranges), rungs)


class TuningJob:
    """A tuning job on its way; runs in a thread of its own."""

    def __init__(
        self,
        store: Store,
        training: TrainingJobs,
        job: dict,
        algorithms: list[Algorithm],
        on_end: Callable[[TuningJob], None],
    ) -> None:
        """A tuning job whose jobs `training` runs; `on_end` is called when it has ended."""
        self.store, self.training, self._on_end = store, training, on_end
        self.job, self.algorithms = job, algorithms
        self.name = job["HyperParameterTuningJobName"]
        self.config = job["HyperParameterTuningJobConfig"]
        self.goal = algorithms[0].definition.objective["Type"]
        limits = self.config["ResourceLimits"]
        self.limit = limits.get("MaxNumberOfTrainingJobs", math.inf)
        self.parallel = min(limits["MaxParallelTrainingJobs"], self.limit)
        self.stopping, self.closing = threading.Event(), threading.Event()
        self.jobs: list[tuple[str, dict, str | None]] = []  # all that were started
        self.runs: list[Run] = []  # those under way
        self.ended: list[dict] = []  # summaries of the others
        # A seed promises the same search again, so its results are told in the order of the jobs.
        self.in_order = self.config["Strategy"] == "Bayesian" and "RandomSeed" in self.config
        self.told = 0  # how many jobs' results the search knows, in that order
        self.results: dict[int, tuple[Run, float | None]] = {}  # those that it does not know yet
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def _run(self) -> None:
        try:
            if self._walk():
                self._end()
        except Exception as error:
            log.exception("tuning job %s", self.name)
            self._stop_jobs()
            reason = f"InternalServerError: {type(error).__name__}: {error}"
            statuses.end(self.store, self.name, "Failed", reason)
        finally:
            self._on_end(self)

    def _walk(self) -> bool:
        """Start training jobs until it is over; False if the engine closes before."""
        self._start_jobs()
        while self.runs:
            if self.closing.wait(POLL_S):
                return False
            self._take_ended()
            for run in self.runs:
                self._follow(run)
            if self._is_enough():
                self._stop_jobs()
            else:
                self._start_jobs()
        return True

    def _is_enough(self) -> bool:
        """Nothing more shall run: somebody stopped it, or it has what it was asked for."""
        seconds = time.time() - self.job["CreationTime"]
        found = summaries.objectives(self.ended)
        return self.stopping.is_set() or completion.is_reached(
            self.config, found, self.goal, seconds
        )

    # Training jobs

    def _start_jobs(self) -> None:
        while (
            len(self.jobs) < self.limit
            and len(self.runs) < self.parallel
            and not self.stopping.is_set()
            and not completion.is_hopeless(self.ended)
            and self._has_told_enough()
        ):
            open_ones = [a for a in self.algorithms if a.started < a.size]
            self._start_job(min(open_ones or self.algorithms, key=lambda a: a.started))

    def _start_job(self, algorithm: Algorithm) -> None:
        trial, tuned = algorithm.search.draw()
        name = f"{self.name}-{len(self.jobs) + 1:03d}-{uuid.uuid4().hex[:8]}"
        definition = algorithm.definition
        request = definition.training_request(name, tuned, self.job.get("Tags", []))
        arn = self.job["HyperParameterTuningJobArn"]
        # Listed first: if the engine is killed here, no training job is without its tuning job.
        self.jobs.append((name, tuned, definition.name))
        self.store.update(TUNING_JOB.stored, self.name, Jobs=self.jobs)
        self.training.create(request, arn, parallel=self.parallel)
        algorithm.started += 1
        self.runs.append(Run(name, algorithm, trial, len(self.jobs) - 1))

    def _has_told_enough(self) -> bool:
        """Tell the search what it is to know before it chooses again; False if that must wait.

        With a seed, that must not depend on which of two jobs is quicker. So it is always the same:
        the results of all jobs but as many as may run beside the next one, in the order of their
        start. A result that comes earlier is kept back, and a slower job is waited for.
        """
        if not self.in_order:
            return True
        while self.told <= len(self.jobs) - self.parallel:
            if self.told not in self.results:
                return False
            self._tell(*self.results.pop(self.told))
            self.told += 1
        return True

    def _tell(self, run: Run, found: float | None) -> None:
        """Tell the search the objective of a job, or that it has none."""
        from optuna.trial import TrialState

        study = run.algorithm.search.study
        if found is None:
            study.tell(run.trial, state=TrialState.FAIL)
        else:
            study.tell(run.trial, found)

    def _take_ended(self) -> None:
        """Take in each job that has ended since the last look."""
        entries = {entry[0]: entry for entry in self.jobs}
        for run in [run for run in self.runs if run.name not in self.training.running]:
            self.runs.remove(run)
            self._follow(run)  # a quick job's epochs count too
            summary = summaries.one(self.store, self.job, *entries[run.name])
            found = summaries.objective(summary) if summary else None
            if self.in_order:
                self.results[run.number] = run, found
            else:
                self._tell(run, found)
            if found is not None:
                run.algorithm.earlier.append(self._series(run))
            if summary:
                self.ended.append(summary)

    def _stop_jobs(self) -> None:
        for run in self.runs:
            self._stop_job(run)

    def _stop_job(self, run: Run) -> None:
        if not run.stopped:
            run.stopped = True
            with contextlib.suppress(ApiError, KeyError):  # it has just ended by itself
                self.training.stop({"TrainingJobName": run.name})

    # Early stopping

    def _follow(self, run: Run) -> None:
        """Look at what a job has printed since the last look; stop it if that promises nothing."""
        rungs = run.algorithm.hyperband
        if not rungs and self.config["TrainingJobEarlyStoppingType"] == "Off":
            return
        series = self._series(run)
        while run.epochs < len(series) and not run.stopped:
            run.epochs += 1
            printed = series[: run.epochs]
            if rungs.stops(run.trial, printed) if rungs else self._median_stops(run, printed):
                self._stop_job(run)

    def _series(self, run: Run) -> list[float]:
        """The values of the objective that a job has printed, one for each epoch."""
        metric = run.algorithm.definition.objective["MetricName"]
        dimensions = {"TrainingJobName": run.name}
        return metrics.series(self.store, TRAINING_METRICS, dimensions, metric)

    def _median_stops(self, run: Run, series: list[float]) -> bool:
        return early_stopping.is_worse_than_median(series, run.algorithm.earlier, self.goal)

    # The end

    def _end(self) -> None:
        if self.stopping.is_set():
            statuses.end(self.store, self.name, "Stopped")
        elif summaries.objectives(self.ended):
            statuses.end(self.store, self.name, "Completed")
        else:
            statuses.end(self.store, self.name, "Failed", self._why_nothing())

    def _why_nothing(self) -> str:
        count = len(self.ended)
        failed = [s for s in self.ended if s["TrainingJobStatus"] == "Failed"]
        if len(failed) == count:
            head = (
                "All training jobs failed."
                if count < completion.ATTEMPTS
                else f"No training job succeeded after {count} attempts."
            )
            name, why = failed[0]["TrainingJobName"], failed[0].get("FailureReason")
            return f"{head} {LOOK} The first, {name}: {why}"
        head = f"No objective metrics found after running {count} training jobs. {EMIT}"
        return f"{head} {self._what_was_found()}"

    def _what_was_found(self) -> str:
        names = [summary["TrainingJobName"] for summary in self.ended]
        jobs = [self.store.get(TRAINING_JOB.stored, name) or {} for name in names]
        for definition in (algorithm.definition for algorithm in self.algorithms):
            name = definition.objective["MetricName"]
            for job in jobs:
                if name in (unread := job.get(UNREAD, {})):
                    text = unread[name]
                    why = f"{text!r} is no number" if text else "its first group captured nothing"
                    return f"A log line matched {_expression(definition)}, but {why}."
                if name in [metric["MetricName"] for metric in job.get("FinalMetricDataList", [])]:
                    why = f"its job, {job['TrainingJobName']}, failed"
                    return f"A log line matched {_expression(definition)}, but {why}."
        return f"No log line matched {_expression(self.algorithms[0].definition)}."


def _expression(definition: Definition) -> str:
    return f"that of '{definition.objective['MetricName']}', {definition.regex!r}"
