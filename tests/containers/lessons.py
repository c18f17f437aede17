"""The training jobs as notebook 03 makes them, read from its cells."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from sagemaker.core.debugger import CollectionConfig, DebuggerHookConfig

from course import debugger
from course.debugger.trainer import NO_DEPENDENCIES, REQUIREMENTS

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "03-train-debug-profile.ipynb"
TRAINERS = ("ModelTrainer", "DebuggedTrainer")
# What the notebook computes from its photos and its network; the job has three steps.
NAMES = {"NETWORK": "resnet18", "some": "2", "looks": [1]}
# Which its hook then saves; step 0 is smdebug's own, the first of every 500.
SAVED = {"gradients": [0, 2], "weights": [0, 2], "activations": [0, 1]}


@dataclass(frozen=True)
class Lesson:
    """What a trainer in the notebook is given that its container sees."""

    variable: str
    requirements: str
    environment: dict[str, str] = field(default_factory=dict)
    hook: dict[str, Any] | None = None
    profiled: bool = False

    @property
    def form(self) -> tuple:
        """What sets a job's environment apart from another's."""
        return self.requirements, self.hook is not None, self.profiled


def lessons(notebook: Path = NOTEBOOK) -> list[Lesson]:
    """Return the notebook's trainers in order, the first of each form.

    Raises:
        ValueError: the notebook has no trainer of some form, so its cells have changed.
    """
    statements = [s for source in _cells(notebook) for s in ast.parse(source).body]
    hook = _hook(statements)
    found: dict[tuple, Lesson] = {}
    for statement in statements:
        for assignment in (a for a in ast.walk(statement) if isinstance(a, ast.Assign)):
            for call in _calls(assignment.value, *TRAINERS):
                lesson = _lesson(assignment.targets[0].id, call, hook)
                found.setdefault(lesson.form, lesson)
    if len(found) != 3:
        raise ValueError(f"{notebook.name} has trainers of the forms {list(found)}, expected three")
    return list(found.values())


def _lesson(variable: str, call: ast.Call, hook: dict[str, Any]) -> Lesson:
    given = {word.arg for word in call.keywords}
    if _called(call) == "ModelTrainer":
        return Lesson(variable, "requirements.txt")
    watched = "debugger_hook_config" in given
    return Lesson(
        variable, REQUIREMENTS, dict(NO_DEPENDENCIES), hook if watched else None, not watched
    )


def _cells(notebook: Path) -> Iterator[str]:
    for cell in json.loads(notebook.read_text())["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def _hook(statements: list[ast.stmt]) -> dict[str, Any]:
    """The notebook's hook configuration as SageMaker writes it into the job."""
    assigned = [s for s in statements if isinstance(s, ast.Assign)]
    [made] = [s for s in assigned if getattr(s.targets[0], "id", None) == "hook"]
    names = {
        "DebuggerHookConfig": DebuggerHookConfig,
        "CollectionConfig": CollectionConfig,
        "debugger": debugger,
        "ws": SimpleNamespace(uri=lambda *parts: "/".join(("s3://nowhere", *parts))),
        **NAMES,
    }
    exec(compile(ast.Module([made], type_ignores=[]), NOTEBOOK.name, "exec"), names)
    hook = names["hook"]
    collections = [
        {"CollectionName": each.name, "CollectionParameters": each.parameters or {}}
        for each in hook.collection_configs
    ]
    return {"S3OutputPath": hook.s3_output_path, "CollectionConfigurations": collections}


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", None) or getattr(call.func, "attr", "")


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in names:
            yield node
