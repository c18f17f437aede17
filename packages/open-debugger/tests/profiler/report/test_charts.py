"""What the charts get: the recorded numbers, under their names and units, on one time axis."""

import json

import numpy as np
import pytest

from debugger_support import recordings
from open_debugger.profiler.recording import Metric, Recording, Series
from open_debugger.profiler.report import charts


def panels(recording, **options):
    return {panel.id: panel for panel in charts.timelines(recording, **options)}


def named(panel):
    return {each["name"]: each for each in panel.series}


def metric(recording, type, name, dimension):
    return recording.system[Metric("algo-1", type, name, dimension)]


def test_every_core_is_drawn_sample_by_sample_beside_their_mean():
    recording = recordings.make("starved", seconds=120)
    drawn = named(panels(recording)["cpu"])
    assert list(drawn) == ["cpu0", "cpu1", "cpu2", "cpu3", "mean"]
    recorded = metric(recording, "cpu", "cpu2", "CPUUtilization")
    assert drawn["cpu2"]["x"] == pytest.approx(recorded.times - recording.start)
    assert np.array_equal(drawn["cpu2"]["y"], recorded.values)
    cores = [drawn[f"cpu{n}"]["y"] for n in range(4)]
    assert drawn["mean"]["y"] == pytest.approx(np.mean(cores, axis=0))


def test_all_that_was_sampled_has_its_panel_with_its_unit():
    found = panels(recordings.make("healthy", seconds=60))
    units = {name: panel.unit for name, panel in found.items()}
    assert units == {
        **{"activity": "", "cpu": "%", "gpu": "%", "memory": "%", "iowait": "%"},
        **{"disk": "MB/s", "network": "kB/s", "power": "W", "steps": "s"},
    }
    assert all(panel.shown for panel in found.values())
    assert list(named(found["memory"])) == ["main memory", "gpu0 memory"]
    assert found["cpu"].top == found["gpu"].top == 100 and found["disk"].top is None


def test_bytes_are_drawn_as_megabytes_and_directions_by_name():
    recording = recordings.make("io_bound", seconds=60)
    found = panels(recording)
    read = metric(recording, "i/o", "i/o", "ReadThroughputInBytesPerSecond").values
    assert named(found["disk"])["read"]["y"] == pytest.approx(read / 1e6)
    assert list(named(found["disk"])) == ["read", "write"]
    sent = metric(recording, "network", "Platform", "TransmitBytesPerSecond").values
    assert named(found["network"])["transmit Platform"]["y"] == pytest.approx(sent / 1e3)


@pytest.mark.parametrize(
    ("highest", "unit", "size"),
    [(99_999, "kB/s", 1e3), (100_000, "MB/s", 1e6), (0, "MB/s", 1e6)],
)
def test_little_traffic_is_drawn_as_kilobytes(highest, unit, size):
    times = np.array([0.0, 1.0, 2.0])
    received = Metric("algo-1", "network", "Algorithm", "ReceiveBytesPerSecond")
    recording = Recording("made", {received: Series(times, np.array([0.0, np.nan, highest]))})
    panel = panels(recording)["network"]
    assert panel.unit == unit
    assert named(panel)["receive"]["y"][-1] == pytest.approx(highest / size)


def test_many_cores_become_a_heat_map_and_their_extremes():
    recording = recordings.make("healthy", seconds=900, cores=16)
    spiking = metric(recording, "cpu", "cpu11", "CPUUtilization")
    spiking.values[[77, 78]] = 99.5, 0.5
    found = panels(recording)
    assert list(named(found["cpu"])) == ["busiest core", "mean", "least busy"]
    assert named(found["cpu"])["busiest core"]["y"].max() == 99.5
    assert named(found["cpu"])["least busy"]["y"].min() == 0.5
    heat = found["cpu-map"].heat
    assert heat["names"] == [f"cpu{n}" for n in range(16)]
    assert heat["mean"].shape == heat["high"].shape == (16, charts.CELLS)
    assert np.nanmax(heat["high"][11]) == 99.5
    assert np.nanmean(heat["mean"][3]) == pytest.approx(45, abs=1)
    assert len(heat["edges"]) == charts.CELLS + 1
    assert heat["edges"][-1] == pytest.approx(recording.end - recording.start, abs=1)
    eight = panels(recordings.make("healthy", seconds=60, cores=8))
    assert "cpu-map" not in eight and len(eight["cpu"].series) == 9
    assert "cpu-map" in panels(recordings.make("healthy", seconds=60, cores=9))


def test_cores_are_in_the_order_of_their_numbers_and_nodes_are_told_apart():
    assert list(charts._ordered({"cpu10": 0, "cpu2": 1})) == ["cpu2", "cpu10"]
    drawn = named(panels(recordings.make("healthy", seconds=60, cores=2, nodes=2))["cpu"])
    assert list(drawn) == ["algo-1/cpu0", "algo-1/cpu1", "algo-2/cpu0", "algo-2/cpu1", "mean"]


def test_a_mean_of_cores_that_were_sampled_at_different_times():
    cores = [Series(np.arange(10.0) + shift, np.full(10, 10.0 + 20 * shift)) for shift in (0, 0.1)]
    mean = charts.across(cores, "mean")
    assert mean.values == pytest.approx(np.full(10, 11))
    assert mean.times == pytest.approx(np.arange(10) + 0.05)
    assert charts.across(cores, "max").values == pytest.approx(np.full(10, 12))


def test_an_unknown_sample_of_a_core_is_left_out_of_the_mean():
    times = np.arange(3.0)
    cores = [
        Series(times, np.array([10, np.nan, np.nan])),
        Series(times, np.array([30, 50, np.nan])),
    ]
    mean = charts.across(cores, "mean").values
    assert mean[:2].tolist() == [20, 50] and np.isnan(mean[2])


def test_without_a_gpu_the_report_says_so():
    found = panels(recordings.make("cpu_compute", seconds=60))
    assert not found["gpu"].shown and found["gpu"].note == "No GPU in this run."
    assert "power" not in found
    nothing = panels(Recording("nowhere"))
    assert nothing["gpu"].note == "No GPU utilization was recorded."
    assert nothing["steps"].note == "No step times were recorded."
    assert not any(panel.shown for panel in nothing.values())


def test_steps_stand_where_they_began_by_phase_and_outliers_are_marked():
    recording = recordings.make("outliers", seconds=300)
    drawn = named(panels(recording)["steps"])
    assert list(drawn) == ["train", "valid", "outliers"]
    train = recording.steps[recording.steps["phase"] == "train"]
    kept = np.isfinite(drawn["train"]["y"])
    assert (~kept).sum() == 2  # the two evaluations between
    assert drawn["train"]["x"][kept] == pytest.approx(train["start"] - recording.start)
    assert np.array_equal(drawn["train"]["y"][kept], train["seconds"])
    limit = train["seconds"].mean() + 3 * train["seconds"].std(ddof=0)
    assert len(drawn["outliers"]["y"]) == (train["seconds"] > limit).sum() > 5
    assert drawn["outliers"]["y"].min() > limit
    symbols = [each["symbol"] for each in drawn.values()]
    assert symbols == ["circle", "diamond", "x"]
    assert "outliers" not in named(panels(recording, stddev=30.0)["steps"])


def test_some_processes_have_lines_of_their_own_and_many_share_one():
    four = panels(recordings.make("unbalanced", seconds=30))["steps"]
    assert list(named(four))[:2] == ["train algo-1-0", "train algo-1-1"]
    sixteen = panels(recordings.make("unbalanced", seconds=30, nodes=4))["steps"]
    assert list(named(sixteen))[:2] == ["train", "valid"]


def test_the_lanes_show_what_the_run_did():
    recording = recordings.make("healthy", seconds=600)
    lanes = named(panels(recording)["activity"])
    assert list(lanes) == ["initialization", "training", "evaluation", "checkpoint"]
    assert lanes["training"]["start"][0] == pytest.approx(8)
    assert len(lanes["training"]["start"]) == len(lanes["evaluation"]["start"]) == 3
    first = lanes["training"]
    end = first["start"][0] + first["seconds"][0]
    assert end == pytest.approx(lanes["evaluation"]["start"][0], abs=0.01)
    count = ((recording.steps["phase"] == "train") & (recording.steps["epoch"] == 1)).sum()
    assert first["text"][0] == f"training, {count} steps, epoch 1"


def test_what_is_shaded_is_no_training():
    recording = recordings.make("healthy", seconds=600)
    shades = charts.shades(recording)
    assert len(shades) == 1 + 3 + 3
    assert shades[0] == {"name": "initialization", "start": 0, "seconds": 8}
    evaluation = recording.spans[recording.spans["name"] == "evaluation"].iloc[0]
    assert shades[1]["start"] == pytest.approx(evaluation["start"] - recording.start)


def test_the_histogram_counts_every_training_step():
    recording = recordings.make("outliers", seconds=600)
    found = charts.histogram(recording)
    taken = recording.steps.loc[recording.steps["phase"] == "train", "seconds"]
    assert found["counts"].sum() == found["count"] == len(taken)
    assert found["edges"][0] <= taken.min() and taken.max() <= found["edges"][-1]
    assert found["median"] == pytest.approx(taken.median())
    assert found["p95"] == pytest.approx(np.percentile(taken, 95))
    assert found["outlier_count"] == (taken > found["limit"]).sum() == len(found["outliers"])
    assert 10 <= len(found["counts"]) <= charts.BARS and not found["logarithmic"]


def test_a_long_tail_is_drawn_on_a_logarithmic_axis():
    recording = recordings.make("healthy", seconds=600)
    recording.steps.loc[5, "seconds"] = 60.0
    found = charts.histogram(recording)
    assert found["logarithmic"] and found["counts"].sum() == found["count"]
    ratios = found["edges"][2:-1] / found["edges"][1:-2]
    assert ratios == pytest.approx(np.full(len(ratios), ratios[0]))
    assert found["counts"][-1] == 1


@pytest.mark.parametrize("taken", [[0.4], [0.4, 0.4, 0.4], [0.0, 0.0], [np.nan, 0.3]])
def test_steps_that_last_the_same_have_a_histogram_too(taken):
    recording = recordings.make("healthy", seconds=60)
    recording.steps = recording.steps.head(len(taken)).assign(seconds=taken)
    found = charts.histogram(recording)
    assert found["counts"].sum() == np.isfinite(taken).sum()
    assert (np.diff(found["edges"]) > 0).all()
    recording.steps = recording.steps.head(0)
    assert charts.histogram(recording) is None


def test_the_payload_is_json_in_which_the_unknown_is_null():
    recording = recordings.make("healthy", seconds=60)
    series = metric(recording, "gpu", "gpu0", "GPUUtilization")
    series.values[[3, 4]] = np.nan, np.inf
    payload = charts.payload(recording, charts.timelines(recording))
    drawn = json.loads(json.dumps(payload, allow_nan=False))
    gpu = next(panel for panel in drawn["panels"] if panel["id"] == "gpu")["series"][0]
    assert gpu["y"][3] is gpu["y"][4] is None and gpu["y"][5] == series.values[5]
    assert gpu["x"][5] == pytest.approx(series.times[5] - recording.start, abs=1e-4)
    assert drawn["start"] == recording.start
    assert drawn["end"] == pytest.approx(recording.end - recording.start)


def test_five_digits_of_a_number_are_kept():
    assert charts._jsonable({"y": np.array([12345.678, 0.000123456])}) == {"y": [12346, 0.00012346]}
    assert charts._jsonable({"x": np.array([12345.67891, np.nan])}) == {"x": [12345.6789, None]}


def test_the_payload_of_nothing():
    payload = charts.payload(Recording("nowhere"), charts.timelines(Recording("nowhere")))
    assert payload["panels"] == payload["shades"] == []
    assert payload["start"] is payload["end"] is payload["histogram"] is None


def test_steps_of_a_phase_that_a_script_has_named_itself_are_drawn_last():
    recording = recordings.make("healthy", seconds=60)
    recording.steps.loc[recording.steps.index[-3:], "phase"] = "warm-up"
    drawn = panels(recording)["steps"].series
    names = [each["name"] for each in drawn if each["name"] != "outliers"]
    assert names[0] == "train" and names[-1] == "warm-up"
