"""The one direction: `pipeline` uses `features` and `models`, which never know each other."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {"features": {"models", "pipeline"}, "models": {"features", "pipeline"}}


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", FORBIDDEN)
def test_the_lower_packages_know_neither_each_other_nor_the_pipeline(package):
    modules = sorted((ROOT / package).rglob("*.py"))
    assert modules
    wrong = {str(m): imported(m) & FORBIDDEN[package] for m in modules}
    assert not {module: names for module, names in wrong.items() if names}
