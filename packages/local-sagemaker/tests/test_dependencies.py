"""The versions that pyproject.toml allows: one, where this package replaces parts of another."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import local_sagemaker

SOURCES = sorted(Path(local_sagemaker.__file__).parent.rglob("*.py"))
PACKAGES = Path(__file__).parents[2]
OWN = {"local_sagemaker", "open_debugger"}


def imported(tree: ast.AST) -> dict[str, str]:
    """Names in a module that stand for other packages, or for parts of them."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {(a.asname or a.name).partition(".")[0]: a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: node.module for a in node.names}
    tops = {name: module.partition(".")[0] for name, module in names.items()}
    return {n: top for n, top in tops.items() if top not in OWN | sys.stdlib_module_names}


def replaced(tree: ast.AST) -> set[str]:
    """The packages of which a module replaces an attribute."""
    names, found = imported(tree), set()
    for node in ast.walk(tree):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            root = target
            while isinstance(root, ast.Attribute):
                root = root.value
            if root is not target and isinstance(root, ast.Name) and root.id in names:
                found.add(names[root.id])
    return found


def test_what_is_patched_inside_has_one_version():
    pinned = set()
    for file in PACKAGES.glob("*/pyproject.toml"):
        for wanted in tomllib.loads(file.read_text())["project"]["dependencies"]:
            pinned |= set(re.findall(r"^([\w-]+)(?:\[\w+\])?==[\d.]+$", wanted))
    modules = set().union(*(replaced(ast.parse(file.read_text())) for file in SOURCES))
    owners = packages_distributions()
    patched = {owners[module][0].lower().replace("_", "-") for module in modules}
    assert {"moto", "waitress", "sagemaker-training"} <= patched
    assert patched <= pinned
