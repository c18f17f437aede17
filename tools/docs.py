"""`make docs`: generate the tables in the docs from the code that they describe.

    python -m tools.docs

A generated block stands between two comments, and everything else is left alone:

    <!-- generated: options -->
    ...
    <!-- end -->

Each block has one function here. The packages write their own pages: their `docs/generate.py` are
run as well, and open-debugger's page of rules gets the course's parameters.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from argparse import Action
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from unittest.mock import patch

import nbformat

from benchmarks import rules_page
from course import costs
from course.account import images
from course.account import prices as account_prices
from course.account.preflight import JOBS_AT_ONCE, training_quota
from course.workspace import ENDPOINT_INSTANCE, ROOT, TRAINING_INSTANCES
from tools import searches
from tools.searches import Search

FINETUNE = ROOT / "benchmarks" / "results" / "finetune.json"
RECIPE = ROOT / "benchmarks" / "results" / "recipe.json"
STUDIO_INSTANCE = "ml.t3.medium"  # on which the notebooks themselves run
BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

sys.path.append(str(ROOT / "entry_points"))  # they import each other flatly, as in a job

import inference  # noqa: E402
from debugger import JobExtras  # noqa: E402
from options import build_parser  # noqa: E402


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table as Markdown, with a line end behind it."""
    lines = [" | ".join(map(str, cells)) for cells in (head, ["---"] * len(head), *rows)]
    return "".join(f"| {line} |\n" for line in lines)


def published() -> str:
    """The searches of published projects, as command lines and ranges."""
    return _commands(searches.PUBLISHED)


def recommended() -> str:
    """The course's search and the recommended ones."""
    return _commands((searches.COURSE, *searches.RECOMMENDED))


def _commands(group: Sequence[Search]) -> str:
    rows = []
    for search in group:
        usual = ", ".join(f"`--{name}`" for name in search.usual)
        what = f"{search.what} (usual: {usual})" if usual else search.what
        spans = "<br>".join(f"`--{name}` {span}" for name, span in search.ranges.items())
        rows.append([search.name, what, f"`{searches.command(search)}`", spans])
    return table(["name", "what it is", "command", "ranges"], rows)


def pretraining() -> str:
    """What `benchmarks/finetune.py` measured last."""
    found = json.loads(FINETUNE.read_text())
    head = ["network", "weights", "test accuracy", "95 % interval", "seeds", "training", "model"]
    rows = [
        [
            row["network"],
            row["weights"],
            f"{row['accuracy']:.1%}",
            f"{row['low']:.1%} to {row['high']:.1%}",
            ", ".join(f"{share:.1%}" for share in row["seeds"]),
            f"{row['seconds']:.0f} s",
            f"{row['megabytes']:.1f} MB, {row['milliseconds']:.0f} ms a photo",
        ]
        for row in found["rows"]
    ]
    return table(head, rows) + (
        f"\nMeasured on {found['date']}, {found['cores']} cores without a GPU: {found['photos']}, "
        f"{found['size']} pixels, {found['epochs']} epochs, {found['tested']} test photos.\n"
    )


def worth() -> str:
    """What `benchmarks/recipe.py` measured last."""
    found = json.loads(RECIPE.read_text())
    rows = [
        [
            row["change"]
            if row["change"] == "recipe"
            else f"`--{row['change']}`".replace(", ", " --"),
            ", ".join(f"{share:.1%}" for share in row["seeds"]),
            *_worth(row),
        ]
        for row in found["rows"]
    ]
    head = ["changed", "test accuracy", "the recipe is better by, points", "95 % interval", "so"]
    return table(head, rows) + (
        f"\nMeasured on {found['date']}, {found['cores']} cores without a GPU: 133 drawn breeds, "
        f"{found['epochs']} epochs, {found['tested']} test photos.\n"
    )


def _worth(row: dict) -> list[str]:
    if row["change"] == "recipe":
        return ["", "", ""]
    verdict = "the recipe's value is better" if row["low"] > 0 else "no difference shown"
    if row["high"] < 0:
        verdict = "the change is better"
    worth, low, high = (f"{100 * row[name]:+.1f}" for name in ("worth", "low", "high"))
    return [worth, f"{low} to {high}", verdict]


def choices() -> str:
    """What the recommended searches choose for each option, and why."""
    rows = [
        [f"`--{option}`", *(searches.value(s, option) for s in searches.RECOMMENDED), why]
        for option, why in searches.REASONS.items()
    ]
    return table(["option", *(search.name for search in searches.RECOMMENDED), "why"], rows)


def options() -> str:
    """The options of `train.py`, as its `--help` has them."""
    with patch.dict("os.environ", clear=True):  # a folder's default is a variable of the job
        parser = build_parser(JobExtras)
    actions = [action for action in parser._actions if action.dest != "help"]
    return table(["option", "default", "what it does"], [_option(action) for action in actions])


def _option(action: Action) -> list[str]:
    text, _, variable = (action.help or "").removesuffix("]").partition(" [$")
    text = re.sub(r"--[a-z-]+", r"`\g<0>`", text)
    default = "" if action.default is None else str(action.default)
    return [f"`{action.option_strings[0]}`", f"`{variable}`" if variable else default, text]


def limits() -> str:
    """The limits of a request to the endpoint."""
    rows = [
        ["body", f"{inference.MAX_BYTES:,} bytes", "SageMaker's own, for real-time endpoints"],
        [
            "pixels",
            f"{inference.MAX_PIXELS:,}",
            "of all photos of a request together: a file of 12 kB can unpack to gigabytes",
        ],
        ["photos", inference.MAX_PHOTOS, "in one request"],
        [
            "sides",
            f"{inference.MAX_RATIO} : 1",
            "the shorter is enlarged to what the network looks at",
        ],
    ]
    return table(["what", "limit", "why"], rows)


def quotas() -> str:
    """The quotas that a new account has to ask for."""
    gpu, cpu = (TRAINING_INSTANCES[device] for device in ("gpu", "cpu"))
    jobs, endpoint = JOBS_AT_ONCE, ENDPOINT_INSTANCE
    gpus, cpus = training_quota(gpu), training_quota(cpu)
    rows = [
        [f"`{gpus}`", jobs, f"notebooks 02 ({jobs} jobs at a time) and 03"],
        [f"`{endpoint} for endpoint usage`", 1, "notebook 04"],
        [f"`Studio JupyterLab Apps running on {STUDIO_INSTANCE} instances`", 1, "Studio, step 4"],
        [f"`{cpus}`", jobs, "while there is no GPU, with `COURSE_DEVICE=cpu`"],
    ]
    return table(["quota", "ask for", "used by"], rows)


def ceilings() -> str:
    """The most that each lesson can cost on AWS."""
    most = costs.at_most(TRAINING_INSTANCES["gpu"], ENDPOINT_INSTANCE)
    hourly = dict.fromkeys(costs.ENDPOINT_HOURS, " an hour")
    rows = [[name[:2], f"{usd:.2f} USD{hourly.get(name, '')}"] for name, usd in most.items()]
    return table(["notebook", "at most"], [*rows, ["all", f"{sum(most.values()):.2f} USD"]])


def prices() -> str:
    """AWS's prices, with where each was read."""
    rows = [
        [f"`{name}`", f"{price.usd:g} USD an hour", price.source]
        for name, price in account_prices.HOURLY.items()
    ]
    serverless = account_prices.SERVERLESS
    per = f"{serverless.usd:.5f} USD a second of answering and GB of memory; for data: not found"
    rows.append(["serverless endpoint", per, serverless.source])
    disk = account_prices.STUDIO_DISK
    rows.append(["disk of a Studio space", f"{disk.usd:g} USD per GB and month", disk.source])
    sources = [f"- *{name}*: {told}\n" for name, told in account_prices.SOURCES.items()]
    head = table(["instance", "price", "source"], rows)
    return f"On demand, {account_prices.PRICED}.\n\n{head}\n{''.join(sources)}"


def containers() -> str:
    """The container images, and how long AWS patches them."""
    region = "us-east-1"
    used = [
        ("training, CPU", images.training(region, "cpu")),
        ("training, GPU", images.training(region, "gpu")),
        ("endpoint, CPU", images.inference(region)),
    ]
    tags = [(what, address.rpartition("/")[2]) for what, address in used]
    rows = [
        [what, f"`{tag}`", last]
        for what, tag in tags
        for name, last in images.PATCHED_UNTIL.items()
        if tag.startswith(f"{name}-")
    ]
    return table(["used for", "image", "patched until"], rows)


PRODUCED = {  # by each lesson
    "01-data-to-s3": "a checked set of photos in S3",
    "02-hpo": "a tuning job, its table of trials, and the best values",
    "03-train-debug-profile": "a fine-tuned model, verdicts of Debugger's rules, a profiler report",
    "04-deploy-query": "an endpoint that answers, and a write-up to hand in",
}


def lessons() -> str:
    """The lessons: what one learns by their own words, what one gets, what AWS charges at most."""
    prices = costs.at_most(TRAINING_INSTANCES["gpu"], ENDPOINT_INSTANCE)
    rows = []
    for name, produced in PRODUCED.items():
        text = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells[0].source
        title = re.match(r"# (.+)", text)[1]
        learned = re.search(r"^\| \*\*You learn\*\* \| (.+?) \|", text, re.M)[1]
        price = f"{prices[name]:.2f} USD" + (" an hour" if name in costs.ENDPOINT_HOURS else "")
        rows.append([f"[{title}](notebooks/{name}.ipynb)", learned, produced, price])
    priced = (
        "\nPrices are upper limits, computed from the time limits of the jobs and AWS's price list "
        f"({costs.PRICED}).\n"
    )
    return table(["notebook", "you learn", "you produce", "on AWS"], rows) + priced


def imports() -> str:
    """What the notebooks import of ours, and where each module is tested."""
    rows = []
    for module, users in sorted(_users().items()):
        file, tests = _places(module)
        said = ast.get_docstring(ast.parse((ROOT / file).read_text())) or ""
        used = ", ".join(sorted(users))
        first = said.partition("\n")[0].replace("|", "\\|")
        rows.append([f"[`{module}`](../{file})", first, used, f"[`{tests}`](../{tests})"])
    return table(["module", "what it is", "imported by", "its tests"], rows)


def _users() -> dict[str, set[str]]:
    """The modules of `course` and `open_debugger`, and the lessons whose cells import them."""
    users: dict[str, set[str]] = defaultdict(set)
    for lesson in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        for cell in nbformat.read(lesson, as_version=4).cells:
            if cell.cell_type == "code":
                for module in _imported(ast.parse(cell.source)):
                    users[module].add(lesson.stem[:2])
    return users


def _imported(tree: ast.Module) -> Iterator[str]:
    """The names below `course` and `open_debugger` that a cell imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] in SOURCES)


def _places(module: str) -> tuple[str, str]:
    """The file of a module and that of its tests, or their folders, relative to the root."""
    source, tests = SOURCES[module.partition(".")[0]]
    path = f"{source}/{module.replace('.', '/')}"
    if not (ROOT / f"{path}.py").is_file() and not (ROOT / path).is_dir():
        package, _, name = module.rpartition(".")  # which hands on a module of one of its rooms
        return _places(getattr(import_module(package), name).__name__)
    below = module.partition(".")[2].replace(".", "/")
    if (ROOT / f"{path}.py").is_file():
        folder, _, name = below.rpartition("/")
        return f"{path}.py".removeprefix("./"), "/".join(
            filter(None, [tests, folder, f"test_{name}.py"])
        )
    return f"{path}/__init__.py".removeprefix("./"), "/".join(filter(None, [tests, below]))


SOURCES = {  # where our packages lie, and their tests
    "course": (".", "tests/course"),
    "open_debugger": ("packages/open-debugger/src", "packages/open-debugger/tests"),
}
PAGES: dict[str, list[Callable[[], str]]] = {
    "docs/training.md": [recommended, pretraining, choices, worth, options],
    "docs/tuning.md": [published],
    "docs/serving.md": [limits],
    "docs/aws.md": [ceilings, quotas],
    "docs/aws-details.md": [prices, containers],
    "README.md": [lessons],
    "notebooks/README.md": [imports],
}


def rewritten(text: str, blocks: dict[str, Callable[[], str]]) -> str:
    """A page with its generated blocks written anew.

    Raises:
        ValueError: a block of the page has no function, or a function has no block.
    """
    found = [name for _, name, _ in BLOCK.findall(text)]
    if sorted(found) != sorted(blocks):
        raise ValueError(f"the page has the generated blocks {found}, expected {list(blocks)}")
    return BLOCK.sub(lambda block: block[1] + blocks[block[2]]() + block[3], text)


def main() -> None:
    """Write the blocks of all pages."""
    for name, functions in PAGES.items():
        page = ROOT / name
        try:
            text = rewritten(page.read_text(), {each.__name__: each for each in functions})
        except ValueError as error:
            sys.exit(f"{name}: {error}")
        page.write_text(text)
    rules_page.write(rules_page.PAGE, rules_page.measured(rules_page.PAGE))
    for script in sorted(ROOT.glob("packages/*/docs/generate.py")):
        subprocess.run([sys.executable, script], check=True)


if __name__ == "__main__":
    main()
