"""`entry_points/records/lines.py`: what a run prints, once."""

from records import lines


def test_metrics_have_the_digits_that_regexes_find(capsys):
    lines.report({"epoch": 2, "train_loss": 0.123456, "seconds": 1.239, "images_per_second": 10.06})
    assert capsys.readouterr().out == (
        "epoch=2 train_loss=0.1235 seconds=1.24 images_per_second=10.1\n"
    )


def test_only_the_first_process_prints(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    lines.say("one")
    lines.report({"epoch": 1})
    monkeypatch.setenv("RANK", "0")
    lines.say("two", 3)
    assert capsys.readouterr().out == "two 3\n"
