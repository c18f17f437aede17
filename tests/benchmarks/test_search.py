"""`benchmarks/search.py`: its searches repeat, its tables say what was found, and where."""

import pytest

from benchmarks import search
from benchmarks.search import Tried

RANGES = ("lr", "batch-size", "epochs")


def trial(tuned, seed):
    """A made-up accuracy, better for a larger learning rate; it rises by epochs."""
    final = 0.5 + 40 * float(tuned["lr"])
    return [final * (epoch + 1) / int(tuned["epochs"]) for epoch in range(int(tuned["epochs"]))]


@pytest.mark.parametrize("strategy", ["Random", "Bayesian"])
def test_a_search_repeats_with_its_seed_and_stays_in_the_ranges(strategy):
    found = search.run(trial, strategy, seed=3, jobs=5)
    assert found == search.run(trial, strategy, seed=3, jobs=5)
    assert found != search.run(trial, strategy, seed=4, jobs=5)
    for each in found:
        assert set(each.tuned) == set(RANGES)
        assert 1e-4 <= float(each.tuned["lr"]) <= 1e-2
        assert len(each.series) == int(each.tuned["epochs"]) in range(3, 9)


def test_a_trial_s_seed_is_no_other_search_s():
    seeds = []
    for seed in range(3):
        search.run(lambda tuned, s: seeds.append(s) or [0.5], "Random", seed)
    assert len(set(seeds)) == 3 * search.JOBS


def test_a_warm_start_begins_with_what_was_found():
    parents = search.run(trial, "Random", seed=1, jobs=6)
    cold = search.run(trial, "Bayesian", seed=2, jobs=4)
    assert search.run(trial, "Bayesian", 2, 4, before=parents) != cold


def test_the_best_is_of_the_first_jobs():
    found = [Tried({}, [0.1, score]) for score in (0.3, 0.7, 0.9)]
    assert [search.best(found, jobs) for jobs in (1, 2, 3)] == [0.3, 0.7, 0.9]


def test_early_stopping_ends_a_job_behind_the_median_and_takes_its_model():
    good, poor = Tried({}, [0.6, 0.7, 0.8]), Tried({}, [0.2, 0.9, 0.95])
    share, left = search.stopped_early([good, good, poor])
    assert share == pytest.approx(2 / 9)  # two epochs of nine are saved,
    assert left == 0.8  # and what would have been the best job is lost


def test_the_spread_leaves_out_a_tenth_at_each_end():
    assert search.summary([i / 100 for i in range(1, 12)]) == "6.0% (2.0% to 10.0%)"


def test_the_tables_have_a_row_for_each_comparison(monkeypatch, tmp_path):
    seeds = range(4)
    found = {kind: [search.run(trial, kind, s) for s in seeds] for kind in ("Random", "Bayesian")}
    warm = [search.run(trial, "Bayesian", s, 6, found["Random"][s][:6]) for s in seeds]
    written = search.tables(found, warm, "Measured on a day.")
    for row in ("| Random |", "| Bayesian |", "| with early stopping |", "| from nothing |"):
        assert f"\n{row} " in written
    page = tmp_path / "tuning.md"
    page.write_text(search.PAGE.read_text())
    monkeypatch.setattr(search, "PAGE", page)
    search.write(written)
    search.write(written)  # it replaces what is there
    assert page.read_text().count("Measured on a day.") == 1
    assert page.read_text().count("\n## ") == search.PAGE.read_text().count("\n## ")


def test_a_page_without_a_place_is_refused(monkeypatch, tmp_path):
    page = tmp_path / "tuning.md"
    page.write_text("# Nothing\n")
    monkeypatch.setattr(search, "PAGE", page)
    with pytest.raises(ValueError, match="has no block"):
        search.write("x")
