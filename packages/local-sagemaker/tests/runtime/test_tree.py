"""Links in a job's folder are followed as the job sees them, and never out of it."""

import os

import pytest

from local_sagemaker.runtime.tree import Tree


@pytest.fixture
def tree(tmp_path):
    ml = tmp_path / "job/ml"
    for folder in ("model/deep", "checkpoints", "output/data"):
        (ml / folder).mkdir(parents=True)
    (tmp_path / "job/scratch").mkdir()
    (tmp_path / "secret").write_text("secret")
    (ml / "model/w").write_text("weights")
    (ml / "checkpoints/c").write_text("checkpoint")
    (tmp_path / "job/scratch/cached").write_text("cached")
    return Tree(tmp_path / "job", ml)


def link(tree, target):
    (tree.ml / "model/link").symlink_to(target)
    return tree.ml / "model/link"


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("w", "ml/model/w"),
        ("deep/../w", "ml/model/w"),
        ("/opt/ml/model/w", "ml/model/w"),
        ("../checkpoints/c", "ml/checkpoints/c"),
        ("/opt/ml/checkpoints", "ml/checkpoints"),
        ("{root}/scratch/cached", "scratch/cached"),  # as a job's HOME is
        ("/etc/passwd", None),
        ("/opt/ml/../../etc/passwd", None),
        ("../../../../secret", None),
        ("../../scratch/cached", None),  # for the job that is /opt/scratch
        ("{root}/../secret", None),
        ("/opt/ml/model/absent", None),
        ("link", None),
    ],
)
def test_where_a_link_leads(tree, target, leads):
    found = tree.real(link(tree, target.format(root=tree.root)))
    assert found == (tree.root / leads if leads else None)


def test_a_link_by_way_of_a_folder_outside(tree, tmp_path):
    (tree.ml / "out").symlink_to(tmp_path)
    assert tree.real(tree.ml / "out/secret") is None
    assert tree.real(link(tree, "../out/job/ml/model/w")) is None


def test_files_are_those_that_can_be_kept(tree):
    (tree.ml / "model/deep/x").write_text("x")
    (tree.ml / "model/best").symlink_to("/opt/ml/checkpoints/c")
    (tree.ml / "model/users").symlink_to("/etc/passwd")
    (tree.ml / "model/round").symlink_to(".")
    os.mkfifo(tree.ml / "model/pipe")
    files = {name: place.read_text() for name, place in tree.files(tree.ml / "model")}
    assert files == {"best": "checkpoint", "deep/x": "x", "w": "weights"}
    left = {name for name, place in tree.entries(tree.ml / "model") if place is None}
    assert left == {"users", "round", "pipe"}


def test_a_folder_that_is_a_link_to_another_holds_its_files(tree):
    (tree.ml / "model/all").symlink_to("../checkpoints")
    assert dict(tree.files(tree.ml / "model"))["all/c"].read_text() == "checkpoint"


def test_a_folder_that_leads_outside_holds_nothing(tree, tmp_path):
    (tree.ml / "output/data").rmdir()
    (tree.ml / "output/data").symlink_to(tmp_path)
    assert list(tree.entries(tree.ml / "output/data")) == []
    assert list(tree.entries(tree.ml / "absent")) == []


def test_places_below_opt_ml(tree):
    assert tree.place("/opt/ml/checkpoints/") == tree.ml / "checkpoints"
