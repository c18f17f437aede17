"""`course/outcome.py`: a job's results from S3, and what is said where there are none."""

import gzip
import io
import json
import tarfile
from types import SimpleNamespace

import numpy as np
import pytest

import report
from course import outcome
from course.outcome import NoResults, fetch
from engine_support.clients import BUCKET, unique

NAMES = ["001.Affenpinscher", "016.Beagle"]
ABOUT = {
    "architecture": "resnet18", "weights": "random", "precision": "fp32", "image_size": 64,
    "hyperparameters": {},
    "photos": {"test": 4}, "metrics": {"epoch": 1}, "damaged": [],
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("reached")


def sdk_job(name, base):
    """A job as the SDK describes it."""
    artifacts = SimpleNamespace(s3_model_artifacts=f"{base}/model.tar.gz")
    return SimpleNamespace(training_job_name=name, model_artifacts=artifacts)


def stored(aws, archive):
    """A job whose output.tar.gz has these bytes."""
    name = unique("job")
    aws.s3.put_object(Bucket=BUCKET, Key=f"out/{name}/output/output.tar.gz", Body=archive)
    return sdk_job(name, f"s3://{BUCKET}/out/{name}/output")


def packed(*members, prefix=""):
    """An archive of (name, bytes or TarInfo to be changed)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members:
            member = tarfile.TarInfo(prefix + name)
            if isinstance(content, bytes):
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content
                tar.addfile(member)
    return stream.getvalue()


def told(folder, taken=(0, 1, 1, 1)):
    """`test.json` as the script writes it, of two breeds with two photos each."""
    logits = np.eye(2, dtype=np.float32)[list(taken)]
    said = report.Predictions([f"b/{i}.jpg" for i in range(4)], np.array([0, 0, 1, 1]), logits)
    report.write_results(folder, said, NAMES, ABOUT)
    return json.loads((folder / "test.json").read_text())


def test_it_finds_what_a_real_job_left(aws):
    job = aws.trained("cd /opt/ml/output/data; mkdir d; echo {} > test.json; echo p > d/other")
    found = fetch(
        sdk_job(
            job["TrainingJobName"],
            job["ModelArtifacts"]["S3ModelArtifacts"].removesuffix("/model.tar.gz"),
        )
    )
    assert found == {"test.json": b"{}\n"}


def test_every_file_that_the_script_writes_is_known(tmp_path):
    told(tmp_path)
    report.write_history(tmp_path, [{"epoch": 1}])
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(outcome.FILES)


@pytest.mark.parametrize("prefix", ["", "./"])
def test_files_are_found_at_the_archive_s_top(aws, prefix):
    files = [("test.json", b"{}"), ("sub/confusion.png", b"no"), ("confusion.png", b"yes")]
    found = fetch(stored(aws, packed(*files, prefix=prefix)))
    assert found == {"test.json": b"{}", "confusion.png": b"yes"}


def test_links_and_folders_are_left_out(aws):
    archive = packed(
        ("test.json", b"{}"),
        ("confusion.png", (tarfile.SYMTYPE, "/etc/passwd")),
        ("model-card.md", (tarfile.LNKTYPE, "test.json")),
        ("history.jsonl", (tarfile.DIRTYPE, "")),
        ("../predictions.csv", b"out"),
    )
    assert fetch(stored(aws, archive)) == {"test.json": b"{}"}


def test_without_a_test_channel_it_says_what_to_do(aws):
    job = stored(aws, packed(("history.jsonl", b"{}\n")))
    with pytest.raises(NoResults, match=f"{job.training_job_name} has tested nothing.*'test'"):
        fetch(job)


def test_without_an_archive_it_says_where_it_looked(aws):
    job = sdk_job("never-run", f"s3://{BUCKET}/out/never-run/output")
    with pytest.raises(NoResults, match=r"never-run has left no output.tar.gz \(404: s3://.*/out"):
        fetch(job)


@pytest.mark.parametrize(
    "damage", [lambda a: a[: len(a) // 2], lambda a: b"no archive", gzip.compress]
)
def test_a_damaged_archive_is_called_so(aws, damage):
    noise = np.random.default_rng(0).bytes(5000)
    job = stored(aws, damage(packed(("test.json", noise))))
    with pytest.raises(NoResults, match=f"the output.tar.gz of the job {job.training_job_name} is"):
        fetch(job)


def test_the_sentence_has_the_interval_and_chance(tmp_path):
    assert outcome.sentence(told(tmp_path)).splitlines() == [
        "3 of 4 test photos are right: 75.0%, 95% interval 30.1% to 95.4%",
        "the right breed is among the 2 likeliest: 100.0%",
        "guessing: 50.0%",
    ]


def test_of_many_breeds_it_tells_of_the_five_likeliest():
    share = {"right": 1, "photos": 2, "accuracy": 0.5, "low": 0.1, "high": 0.9}
    given = {"classes": 133, "chance": 1 / 133, "top1": share, "top5": share | {"accuracy": 0.75}}
    assert "among the 5 likeliest: 75.0%" in outcome.sentence(given)


def test_confused_pairs_are_a_table(tmp_path):
    table = outcome.confused(told(tmp_path, taken=(1, 1, 0, 1)))
    assert table.to_numpy().tolist() == [
        ["Affenpinscher", "Beagle", 2, "100%"],
        ["Beagle", "Affenpinscher", 1, "50%"],
    ]
    assert list(table.index) == [1, 2]


def test_where_nothing_is_confused_the_table_is_empty(tmp_path):
    table = outcome.confused(told(tmp_path, taken=(0, 0, 1, 1)))
    assert len(table) == 0 and list(table.columns)[:2] == ["breed", "taken for"]
