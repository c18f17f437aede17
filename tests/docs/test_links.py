"""What the texts point to exists: files, headings, make targets, commands and their options."""

import re
from functools import cache
from pathlib import Path

import nbformat
import pytest

from course.workspace import ROOT
from local_sagemaker import cli

TEXTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "notebooks").glob("*.md")),
    *sorted((ROOT / "notebooks").rglob("*.ipynb")),
    *sorted((ROOT / "packages").glob("*/README.md")),
    *sorted((ROOT / "packages").glob("*/docs/*.md")),
]
FENCED = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
INDENTED = re.compile(r"^ {4,}.*$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(<?([^)\s>]+)>?[^)]*\)")
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build", ".venv"}


@cache
def prose(file: Path) -> str:
    """The text of a page, or of a notebook's Markdown cells."""
    if file.suffix != ".ipynb":
        return file.read_text()
    cells = nbformat.read(file, as_version=4).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def code(text: str) -> list[str]:
    """What a page sets as code, a line or a span at a time."""
    fenced = [line for block in FENCED.finditer(text) for line in block[0].splitlines()]
    rest = FENCED.sub("", text)
    return [*fenced, *INDENTED.findall(rest), *(" ".join(s.split()) for s in SPAN.findall(rest))]


def anchors(text: str) -> set[str]:
    """The headings of a page as GitHub names them in addresses."""
    headings = re.findall(r"^#+ +(.+?) *$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(text: str, folder: Path) -> list[str]:
    """Relative links of a page in `folder` that lead nowhere."""
    found = []
    for target in LINK.findall(SPAN.sub("", FENCED.sub("", text))):
        if re.match(r"[a-z][a-z+.-]*:", target):
            continue  # an address: the tests need no network
        path, _, anchor = target.partition("#")
        file = (folder / path).resolve() if path else None
        there = file is None or file.exists()
        if there and anchor:
            there = anchor in anchors(prose(file) if file else text)
        if not there:
            found.append(target)
    return found


@cache
def makefiles(project: Path) -> tuple[set[str], set[str]]:
    """The targets and variables of the root's Makefile, and of a package's for its own pages."""
    text = "\n".join((folder / "Makefile").read_text() for folder in {ROOT, project})
    rules = re.findall(r"^([a-z][a-z0-9 -]*):(?!=)", text, re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    return targets, set(re.findall(r"[A-Z][A-Z0-9_]+", text))  # recipes read some from outside


def project_of(file: Path) -> Path:
    """The root, or the package in which a page lies."""
    inside = file.relative_to(ROOT).parts
    return ROOT.joinpath(*inside[:2]) if inside[0] == "packages" else ROOT


def broken_make(text: str, project: Path = ROOT) -> list[str]:
    """`make` commands with a target or a variable that no Makefile has."""
    found, (targets, variables) = [], makefiles(project)
    for line in code(text):
        for words in re.findall(
            r"(?:^|&& |-- )make((?: +[A-Za-z_][\w-]*(?:=\S*)?)+)", line.strip()
        ):
            named = {word.partition("=")[0] for word in words.split() if "=" in word}
            wanted = {word for word in words.split() if "=" not in word}
            found += sorted(wanted - targets) + sorted(named - variables)
    return found


def broken_commands(text: str) -> list[str]:
    """`local-sagemaker` commands, or options of theirs, that do not exist."""
    (commands,) = (a.choices for a in cli._parser()._actions if isinstance(a.choices, dict))
    found = []
    for line in code(text):
        for name, rest in re.findall(r"local-sagemaker +([a-z][\w-]*)([^|;)]*)", line):
            if name not in commands:
                found.append(name)
                continue
            help_text = commands[name].format_help()
            options = re.findall(r"--[a-z][\w-]*", rest.partition(" -- ")[0])
            found += [f"{name} {option}" for option in options if option not in help_text]
    return found


def broken_paths(text: str, project: Path = ROOT) -> list[str]:
    """Files and folders of this repository or package, named as code, that are not there."""
    named = [span for span in SPAN.findall(FENCED.sub("", text)) if re.fullmatch(r"[\w./-]+", span)]
    ours = [path for path in named if "/" in path and path.split("/")[0] in FOLDERS]
    return [
        path for path in ours if not any((folder / path).exists() for folder in (ROOT, project))
    ]


@cache
def sources(script: str) -> str:
    """Where a script's options are defined; empty if it is none of ours."""
    if "." in script.removesuffix(".py"):
        file = ROOT / f"{script.replace('.', '/')}.py"
        return file.read_text() if file.is_file() else ""
    ours = {file.name: file.read_text() for file in (ROOT / "entry_points").rglob("*.py")}
    return "".join(ours.values()) if script in ours else ""  # they share one argument parser


def broken_options(text: str) -> list[str]:
    """Scripts of ours that are not there, or options that they do not have.

    As in `train.py --epochs`, `python -m tools.run --in-place`.
    """
    found = []
    for line in code(text):
        modules = re.findall(r"\bpython -m ((?:course|tools|benchmarks)\.\w+)", line)
        found += [module for module in modules if not sources(module)]
        for script, rest in re.findall(
            r"(\b\w+\.py|\b(?:course|tools|benchmarks)\.\w+)((?: +-\S+)+)", line
        ):
            options = re.findall(r"--[a-z][\w-]*", rest) if sources(script) else []
            found += [f"{script} {o}" for o in options if f'"{o}"' not in sources(script)]
    return found


@pytest.mark.parametrize("file", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
class TestTexts:
    def test_links_lead_somewhere(self, file):
        assert broken_links(prose(file), file.parent) == []

    def test_make_targets_exist(self, file):
        assert broken_make(prose(file), project_of(file)) == []

    def test_commands_exist(self, file):
        assert broken_commands(prose(file)) == []

    def test_files_exist(self, file):
        assert broken_paths(prose(file), project_of(file)) == []

    def test_options_exist(self, file):
        assert broken_options(prose(file)) == []


@pytest.mark.parametrize(
    "text, broken",
    [
        ("[a](docs/aws.md) [b](docs/aws-details.md#when-it-fails) ![c](img/gallery.png)", []),
        ("[a](docs/nowhere.md)", ["docs/nowhere.md"]),
        ("[a](docs/aws.md#nowhere)", ["docs/aws.md#nowhere"]),
        ("# Here\n[a](#here) [b](#there)", ["#there"]),
        ("[a](https://example.org/nowhere) `[a](code)`", []),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text, broken):
    assert broken_links(text, ROOT) == broken


@pytest.mark.parametrize(
    "text, broken",
    [
        ("`make course DATA=x CLASSES=3`, and make no mistake", []),
        ("    make feast", ["feast"]),
        ("`make\nfeast`", ["feast"]),
        ("```\ncd dogs && make course DOGS=3\n```", ["DOGS"]),
        ("```\nThe photos make the network wait.\n```", []),
    ],
)
def test_a_make_target_that_is_not_there_is_found(text, broken):
    assert broken_make(text) == broken


@pytest.mark.parametrize(
    "text, broken",
    [
        ("    local-sagemaker run --port 8000 -- make --silent", []),
        ("`local-sagemaker pause`", ["pause"]),
        ("`local-sagemaker stop --gently`", ["stop --gently"]),
    ],
)
def test_a_command_that_is_not_there_is_found(text, broken):
    assert broken_commands(text) == broken


@pytest.mark.parametrize(
    "text, broken",
    [
        ("`tools/run.py`, `docs/`, `path/to/photos`", []),
        ("`course/stroll.py`", ["course/stroll.py"]),
    ],
)
def test_a_file_that_is_not_there_is_found(text, broken):
    assert broken_paths(text) == broken


@pytest.mark.parametrize(
    "text, broken",
    [
        ("`train.py --epochs`, `python -m tools.run --in-place`, `other.py --any`", []),
        ("`train.py --speed`", ["train.py --speed"]),
        ("`python -m tools.run --twice`", ["tools.run --twice"]),
        ("`python -m tools.stroll`", ["tools.stroll"]),
    ],
)
def test_an_option_that_is_not_there_is_found(text, broken):
    assert broken_options(text) == broken
