"""Every command in the READMEs and docs: run here or by another test, or listed with the reason.

`RUN_BY` and `NOT_RUN` are the whole list: a command that is new in a page fails the test until it
is in one of them, and so does an entry whose command is gone.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from markdown_it import MarkdownIt

from course.workspace import ROOT
from engine_support.shells import BIN, Proxy, environment_of_a_caller

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(ROOT.glob("packages/*/README.md")),
    *sorted(ROOT.glob("packages/*/docs/*.md")),
]
# What a command within a sentence or a table begins with; in a block each line is one.
PROGRAMS = (
    r"(?:make|local-sagemaker|python|torchrun|pip|uv|git|aws|eval|export|cp|rm|cd|sh|bash|curl|jupyter"
    r"|docker|sudo|apt(?:-get)?|\.venv/bin/\S+)"
)
INLINE = re.compile(rf"{PROGRAMS} \S.*|make", re.DOTALL)
CONTINUES = re.compile(r"\\$|^for .*; do$")

# Blocks that hold no commands of a shell, by how they begin.
NO_COMMANDS = {
    "import course": "Python, for a cell",
    "%env COURSE_": "a cell",
    "import dataclasses": "Python, for a cell",
    "photos/": "a tree of folders",
    "ann/02-hpo.ipynb  objective": "what make grade prints; tests/tools/test_grade.py",
    "local_sagemaker: pytorch-training": "what the first job prints",
    "Training waited for data": "what the example prints",
}

HERE = "here"
SHELL = "packages/local-sagemaker/tests/journeys/test_shell.py"
LINES = "tests/docs/test_shell_lines.py"
RUN_BY = {  # a command, whole, as a regular expression: the test that runs it as printed
    r"local-sagemaker (start|stop|status|clean --all)": SHELL,
    r"local-sagemaker run -- python your_script.py": SHELL,
    r'eval "\$\(local-sagemaker env( --unset)?\)"': SHELL,
    r"python your_script.py": SHELL,
    r"local-sagemaker logs JOB( --follow)?": SHELL,
    r"\.venv/bin/local-sagemaker (start|status|stop) --state build/state( --port 8123)?": LINES,
    r"\.venv/bin/local-sagemaker env --state build/state --share .*": LINES,
    r"\. /path/to/your/clone/build/class.env": LINES,
    r"local-sagemaker --version": HERE,
    r"local-sagemaker run -- python packages/local-sagemaker/examples/first_job.py": HERE,
    r"python packages/open-debugger/examples/profile_a_loop.py": HERE,
    r"python -m open_debugger.profiler.sampler profiler-output --pid PID": HERE,
    r"make help": HERE,
    r"make grade SUBMISSIONS=.*": HERE,
    r"cp path/to/submissions/ann/02-hpo.ipynb notebooks/02-ann.ipynb": HERE,
    r"\.venv/bin/local-sagemaker run --state build/state -- .* notebooks/02-ann.ipynb": HERE,
    r"rm notebooks/02-ann.ipynb": HERE,
    r"for split in train valid test; do\n.*": HERE,
    r"python - ACCOUNT sagemaker-REGION-ACCOUNT dog-breeds-jobs <<'END'\n.*": HERE,
}
AWS = "needs an AWS account"
NETWORK = "needs the network, which no test may"
MINUTES = "takes minutes, and is a check or a measurement of its own, which a person starts"
TRAINS = "trains for minutes to hours; tests/entry_points/ runs each option of train.py in seconds"
FORM = "a form of a command that stands whole in packages/local-sagemaker/README.md"
NOT_RUN = {  # the same, and why no test runs it as it stands
    r"aws .*": AWS,
    r"(\. ~/dog-breeds-env/bin/activate; )?export (COURSE_(MODE|ROLE)|AWS_PROFILE)=.*": AWS,
    r"make aws-smoke": AWS,
    r"make aws-smoke-here": "tests/tools/aws_smoke/test_run.py runs it on the engine",
    r"python -m course\.(cleanup|costs)( .*)?": AWS + "; tests/course/ runs them on the engine",
    r"COURSE_MODE=aws \.venv/bin/python -m course.weights resnet50 vgg16": NETWORK,
    r"python3\.12 -m venv .*|~/dog-breeds-env/bin/python -m pip .*": NETWORK,
    r'pip install jupyterlab "botocore\[crt\]" -c .*': NETWORK,
    r"pip install \./packages/open-debugger( \./packages/local-sagemaker)?": NETWORK,
    r"make install( TORCH_BACKEND=cpu)?": NETWORK + "; every test runs in what it installed",
    r"make lock|git clone": NETWORK,
    r"make tools": "installs packages of the system; tests/tools/test_browser.py",
    r"make( course.*| test(-all)?|)": "runs all of this, this test included, or the four notebooks",
    r"make test-(lint|docs|engine|debugger|course|notebooks)": "a part of make test",
    r"make (check|rules|bench|faults|fuzz)\S*( DATA=folder)?": MINUTES,
    r"make (render|img|site)": "rewrites pictures, pages or notebooks from a run of the lessons",
    r"make (docs|sync|format)": "rewrites files; make test fails where they are not what it writes",
    r"make lint-lessons": "tests/tools/test_lint_lessons.py",
    r"make lab.*|(\.venv/bin/)?jupyter lab notebooks": "opens JupyterLab and does not end",
    r"(\.venv|~/dog-breeds-env)/bin/python -m ipykernel install .*": "registers in the home folder",
    r"rm -r ~/.cache/uv ~/.cache/pip": "empties the caches in the home folder",
    r"\.venv/bin/python -m pytest tests/course/test_dataset.py": "a part of make test",
    r"(\.venv/bin/)?python (-m benchmarks\.|benchmarks/)\S+.*": MINUTES,
    r"(python|torchrun --nproc-per-node 4) train\.py .*|torchrun --max-restarts": TRAINS,
    r"\.venv/bin/python -c 'from course.sample_photos .*": "draws 133 breeds: tests/course/",
    r"cd entry_points|export SM_CHANNEL_\S+=.*": "prepares for the training that follows it",
    r"local-sagemaker run( -- COMMAND| --record FILE --deny SERVICE:OPERATION)?": FORM,
    r"local-sagemaker (logs NAME|clean|env)": FORM,
    r"local-sagemaker reclaim JOB": "needs a spot job that runs: tests/test_cli.py of the package",
}


@dataclass(frozen=True)
class Command:
    page: str
    text: str


def blocks(page: Path):
    """The blocks of a page that are no program in another language, a paragraph each."""
    for token in MarkdownIt().parse(page.read_text()):
        if token.type in {"code_block", "fence"} and token.info.strip() != "python":
            yield from (part for part in re.split(r"\n\s*\n", token.content.strip("\n")) if part)


def commands_of(block: str):
    """The commands of a block, without the remarks behind them."""
    lines = block.splitlines()
    while lines:
        command = [lines.pop(0)]
        if here := re.search(r"<<'(\w+)'$", command[0]):
            while command[-1] != here[1]:
                command.append(lines.pop(0))
        elif command[0].startswith("for "):
            while command[-1] != "done":
                command.append(lines.pop(0))
        while command[-1].endswith("\\"):
            command.append(lines.pop(0))
        text = re.sub(r"\s+# .*", "", "\n".join(command)).strip()
        if text and not text.startswith("#"):
            yield text


def inline(page: Path):
    """The commands within sentences and tables."""
    for token in MarkdownIt().enable("table").parse(page.read_text()):
        for child in token.children or []:
            if child.type == "code_inline" and INLINE.fullmatch(child.content):
                yield child.content


def all_commands() -> list[Command]:
    found = []
    for page in PAGES:
        name = str(page.relative_to(ROOT))
        there = [block for block in blocks(page) if not block.startswith(tuple(NO_COMMANDS))]
        found += [Command(name, text) for block in there for text in commands_of(block)]
        found += [Command(name, text) for text in inline(page)]
    return found


def listed(command: Command) -> list[str]:
    """The entries of both tables that a command has."""
    return [entry for entry in [*RUN_BY, *NOT_RUN] if re.fullmatch(entry, command.text, re.DOTALL)]


def test_every_command_is_run_or_has_a_reason_why_not():
    unlisted = [command for command in all_commands() if len(listed(command)) != 1]
    assert not unlisted, "add it to RUN_BY, with a test, or to NOT_RUN, with a reason"


def test_no_entry_outlives_its_command():
    used = {entry for command in all_commands() for entry in listed(command)}
    assert used == {*RUN_BY, *NOT_RUN}
    begun = {
        word for word in NO_COMMANDS for page in PAGES for b in blocks(page) if b.startswith(word)
    }
    assert begun == set(NO_COMMANDS)
    for file in set(RUN_BY.values()) - {HERE}:
        assert (ROOT / file).exists()


def test_a_new_command_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Text `make new-thing` and `local_sagemaker`.\n\n    new-tool --x  # remark\n")
    (block,) = blocks(page)
    found = [*commands_of(block), *inline(page)]
    assert found == ["new-tool --x", "make new-thing"]
    assert [listed(Command("page.md", text)) for text in found] == [[], []]


# Run here


@pytest.fixture
def proxy():
    with Proxy() as proxy:
        yield proxy
        proxy.shutdown()


@pytest.fixture
def clone(tmp_path) -> Path:
    """A copy of the repository, installed: nothing that make would have to do again."""
    folder = tmp_path / "it's a clöne"
    left_out = shutil.ignore_patterns(
        ".git", ".venv", "build", ".*_cache", ".local*", "__pycache__"
    )
    shutil.copytree(ROOT, folder, ignore=left_out)
    (folder / ".venv").symlink_to(BIN.parent)
    for name in ("requirements.txt", "pyproject.toml", "tools/install.sh"):
        os.utime(folder / name, (0, 0))
    for file in folder.glob("packages/*/pyproject.toml"):
        os.utime(file, (0, 0))
    (folder / "build").mkdir()
    return folder


@pytest.fixture
def run(clone, tmp_path, proxy):
    """Runs lines in the clone as somebody would who works on AWS; nothing asks the network."""
    environment = environment_of_a_caller(tmp_path / "home", proxy)

    def run(program: str, *lines: str) -> str:
        script = "\n".join(["set -eu", *lines])
        done = subprocess.run(
            [program, "-c", script], cwd=clone, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert proxy.asked == []
        return done.stdout

    return run


def printed(beginning: str) -> str:
    """The one command in the pages that begins so."""
    (text,) = {each.text for each in all_commands() if each.text.startswith(beginning)}
    return text


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_the_packages_examples(run, program):
    said = run(
        program,
        printed("local-sagemaker run -- python packages/local-sagemaker/examples"),
        printed("local-sagemaker --version"),
        printed("python packages/open-debugger/examples"),
    )
    assert "loss=0.5\nCompleted 0.5\njobs/first-job/output/model.tar.gz\n" in said
    # The last words are the verdict; what it is, on a busy machine, is for the package's own tests.
    assert re.fullmatch(r"[A-Z].{40,}\.", said.splitlines()[-1])


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_a_process_is_sampled_from_outside(run, clone, program):
    line = printed("python -m open_debugger.profiler.sampler").replace("PID", "$PID")
    # A process that ends once there is a sample of it.
    waiting = "until find profiler-output -name '*.json' 2>&1 | grep -q '^profiler-output'"
    run(program, f"{waiting}; do sleep 0.5; done & PID=$!", line)
    assert list((clone / "profiler-output").rglob("*.json"))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("program", ["bash", "sh"])
def test_what_students_hand_in_is_graded_and_run_again(run, clone, program):
    folder = clone / "path" / "to" / "submissions" / "ann"
    folder.mkdir(parents=True)
    asks = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    cells = [
        nbformat.v4.new_code_cell(asks),
        nbformat.v4.new_code_cell("# exercises.objective(...)"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "02-hpo.ipynb")
    (block,) = [b for b in blocks(ROOT / "docs/instructors.md") if b.startswith("cp path/to")]
    said = run(program, "make help", printed("make grade SUBMISSIONS=path"), block)
    assert "make course" in said
    assert said.count("objective  not run") == 2  # as it was handed in, and run again
    executed = nbformat.read(clone / "build" / "notebooks" / "02-ann.ipynb", 4)
    assert executed.cells[0].outputs[0].text == "123456789012\n"
    assert not (clone / "notebooks" / "02-ann.ipynb").exists()


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_twelve_breeds_are_copied(run, clone, program):
    for split in ("train", "valid", "test"):
        for number in range(14):
            (clone.parent / "dogImages" / split / f"{number:03}.A breed").mkdir(parents=True)
    run(program, printed("for split in train valid test"))
    for split in ("train", "valid", "test"):
        assert len(list((clone.parent / "dogs-12" / split).iterdir())) == 12


@pytest.mark.parametrize("program", ["bash", "sh"])
def test_the_policies_are_filled_in(run, clone, program):
    run(program, printed("python - ACCOUNT"))
    for name in ("user", "role", "trust"):
        assert "${" not in (clone / "build" / f"{name}.json").read_text()
