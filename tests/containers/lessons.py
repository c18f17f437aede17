"""The training jobs as notebook 03 makes them, read from its cells."""

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03-train-debug-profile.ipynb"


@dataclass(frozen=True)
class Lesson:
    """What a trainer in the notebook is given that its container sees."""

    variable: str
    requirements: str | None
    environment: dict[str, str]
    hook: dict[str, Any] | None


def lessons() -> list[Lesson]:
    """Return the notebook's trainers in order; ValueError if there is none."""
    trees = [ast.parse(source) for source in _cells()]
    hook = _hook(trees)
    found = []
    for statement in (s for tree in trees for s in tree.body if isinstance(s, ast.Assign)):
        for call in _calls(statement, "ModelTrainer", "DebuggedTrainer"):
            given = {word.arg: word.value for word in call.keywords}
            source = next(_calls(given["source_code"], "SourceCode"))
            requirements = {w.arg: w.value for w in source.keywords}.get("requirements")
            found.append(
                Lesson(
                    statement.targets[0].id,
                    ast.literal_eval(requirements) if requirements else None,
                    ast.literal_eval(given["environment"]) if "environment" in given else {},
                    hook if call.func.id == "DebuggedTrainer" else None,
                )
            )
    if not found:
        raise ValueError(f"no trainer in {NOTEBOOK.name}: has its form changed?")
    return found


def _cells() -> Iterator[str]:
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            if not source.lstrip().startswith(("%", "!")):
                yield source


def _hook(trees: list[ast.Module]) -> dict[str, Any]:
    """The notebook's hook configuration as SageMaker writes it into the job."""
    collections = []
    for call in (c for tree in trees for c in _calls(tree, "CollectionConfiguration")):
        given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
        parameters = given.get("collection_parameters", {})
        collections.append(
            {"CollectionName": given["collection_name"], "CollectionParameters": parameters}
        )
    return {"S3OutputPath": "s3://nowhere/debug", "CollectionConfigurations": collections}


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if called and node.func.id in names:
            yield node
