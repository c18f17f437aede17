"""The training jobs as notebook 03 makes them, read from its cells."""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sagemaker.core import shapes

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03-train-debug-profile.ipynb"
# `trainer` is whichever the notebook hands over; here, the one that carries the hook.
TRAINERS, WITH_HOOK = ("ModelTrainer", "trainer"), ("trainer",)
INTERVALS = {"quarter": 2, "half": 4}  # of steps: the notebook's follow from its photos


@dataclass(frozen=True)
class Lesson:
    """What a trainer in the notebook is given that its container sees."""

    variable: str
    requirements: str | None
    environment: dict[str, str]
    hook: dict[str, Any] | None


def lessons(notebook: Path = NOTEBOOK) -> list[Lesson]:
    """Return the notebook's trainers in order; ValueError if there is none."""
    statements = [s for source in _cells(notebook) for s in ast.parse(source).body]
    sources = {
        statement.targets[0].id: call
        for statement in statements
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        for call in _calls(statement.value, "SourceCode")
    }
    hook = _hook(statements)
    found = []
    for statement in statements:
        for call in _calls(statement, *TRAINERS):
            given = {word.arg: word.value for word in call.keywords}
            source = given["source_code"]
            if isinstance(source, ast.Name):
                source = sources[source.id]
            requirements = {word.arg: word.value for word in source.keywords}.get("requirements")
            found.append(
                Lesson(
                    getattr(statement, "name", None) or statement.targets[0].id,
                    ast.literal_eval(requirements) if requirements else None,
                    ast.literal_eval(given["environment"]) if "environment" in given else {},
                    hook if call.func.id in WITH_HOOK else None,
                )
            )
    if not found:
        raise ValueError(f"no trainer in {notebook.name}: has its form changed?")
    return found


def _cells(notebook: Path) -> Iterator[str]:
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            if not source.lstrip().startswith(("%", "!")):
                yield source


def _hook(statements: list[ast.stmt]) -> dict[str, Any]:
    """The notebook's hook configuration as SageMaker writes it into the job.

    What makes collections is run, and nothing else.
    """
    makes = ("CollectionConfiguration", "DebugHookConfig")
    made = [s for s in statements if any(_calls(s, *makes))]
    names = {name: getattr(shapes, name) for name in makes}
    names |= INTERVALS
    names["ws"] = SimpleNamespace(uri=lambda *parts: "/".join(("s3://nowhere", *parts)))
    exec(compile(ast.Module(made, type_ignores=[]), NOTEBOOK.name, "exec"), names)
    hook = names["hook"]
    collections = [
        {
            "CollectionName": each.collection_name,
            "CollectionParameters": each.collection_parameters or {},
        }
        for each in hook.collection_configurations
    ]
    return {"S3OutputPath": hook.s3_output_path, "CollectionConfigurations": collections}


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if called and node.func.id in names:
            yield node
