"""The root's Makefile: what its recipes hand on."""

import re
import shlex
import shutil
import subprocess

import pytest

from course.workspace import ROOT


@pytest.mark.parametrize("given", [[], ["TORCH_BACKEND=cpu"]])
def test_uv_gets_a_backend_only_if_one_is_given(given):
    """An empty one is an error of uv's."""
    command = ["make", "--dry-run", "check-containers", *given]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ("UV_TORCH_BACKEND=cpu" in said) is bool(given)
    assert "UV_TORCH_BACKEND= " not in said


def test_the_lessons_are_compared_with_the_committed_report_left_alone():
    said = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "check-lessons"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "--nbval-lax" in said and said.rstrip().endswith(" notebooks")
    assert f'COURSE_REPORTS="{ROOT}/build/' in said


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("aws-smoke", "COURSE_MODE=aws COURSE_DEVICE=cpu "),
        ("aws-smoke-here", "local-sagemaker run "),
    ],
)
def test_only_one_of_the_two_smoke_tests_asks_aws(target, expected):
    """The Makefile's own COURSE_MODE is local."""
    command = ["make", "--dry-run", "--no-print-directory", target]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    line = said.splitlines()[-1]
    assert expected in line and line.endswith("python -m tools.aws_smoke")
    assert ("COURSE_MODE=aws" in line) is (target == "aws-smoke")


MAKEFILES = [
    file.relative_to(ROOT) for file in (ROOT / "Makefile", *ROOT.glob("packages/*/Makefile"))
]
TARGET = re.compile(r"^([a-z0-9 -]+):.*## ", re.MULTILINE)


@pytest.mark.parametrize("makefile", MAKEFILES, ids=str)
def test_no_recipe_breaks_its_own_folders_name_apart(makefile, tmp_path):
    """As in /mnt/c/Users/First Last; only what a shell makes of a recipe counts."""
    root = tmp_path / "it's My Dōcuments"
    for file in MAKEFILES:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, root / file)
    targets = " ".join(TARGET.findall((ROOT / makefile).read_text())).split()
    assert len(targets) >= 2
    # Nothing is installed: what has been installed is taken for up to date.
    done = ["--old-file=.venv/.ready", "--old-file=build/v2/.ready"]
    said = [
        subprocess.run(
            ["make", "--dry-run", "--no-print-directory", *done, target],
            cwd=(root / makefile).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for target in targets
    ]
    words = [word for text in said for word in shlex.split(text.replace("\\\n", " "))]
    assert not [w for w in words if re.search("it's|My|Dōcuments", w) and str(root) not in w]
