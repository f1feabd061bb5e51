"""Whether `deps` in dvc.yaml name the code of `pipeline` and `models` that a stage runs.

What runs is read from the source: a stage's module, and from there every function, class and
constant by its name. `features` is left out: what it makes is in stores, which say what made them.
"""

import ast
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = ("models", "pipeline")

# They change no table: what they read is a dependency by itself (params), or they say where files
# are, how one is replaced, what is printed, and what is in a cache of embeddings.
NEVER = {
    *("pipeline.errors", "pipeline.failures", "pipeline.params", "pipeline.paths"),
    *("pipeline.replacing", "pipeline.settings_files"),
}
# It hands a table on as it is. A run of `extract` for each change of its module would be dear.
AS_IT_IS = {("pipeline.clip_table", "read_clip_table")}
# Started from a text.
STARTED = {("pipeline.compare.process", "_Running"): ("pipeline.compare.process", "serve")}
# Only encoders are taken from systems.yaml there; the rest of it is checked, no more.
CHECKS = {
    "systems_extract": {
        *("models/evaluation/scores.py", "pipeline/compare/board.py", "pipeline/compare/plan.py"),
        *("pipeline/systems/published.py", "pipeline/views.py"),
    }
}


def stages() -> dict[str, dict]:
    found = {}
    for name in ("dvc.yaml", "pipeline/dvc.yaml"):
        content = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["stages"]
        found |= {stage: each.get("do", each) for stage, each in content.items()}
    return found


STAGES = stages()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_code_that_it_runs(stage):
    deps = [place for place in STAGES[stage]["deps"] if "$" not in place]
    code = [place for place in deps if place.partition("/")[0] in ("features", *PACKAGES)]
    assert [place for place in code if not (ROOT / place).exists()] == []
    runs = files_run(STAGES[stage]["cmd"].split()[2]) - CHECKS.get(stage, set())
    assert sorted(each for each in runs if not any(is_below(each, place) for place in code)) == []


def is_below(path: str, place: str) -> bool:
    return Path(path).is_relative_to(place)


def files_run(start: str) -> set[str]:
    """Follow names from a module as a whole to all that it may run; gives the files."""
    reached: set[tuple[str, str | None]] = set()
    todo: list[tuple[str, str | None]] = [(start, None)]
    while todo:
        module, name = todo.pop()
        if (
            (module, name) in reached | AS_IT_IS
            or module in NEVER
            or (name or "").endswith("Error")
        ):
            continue
        reached.add((module, name))
        if (module, name) in STARTED:
            todo.append(STARTED[module, name])
        todo += uses(module, name)
    return {str(file_of(module).relative_to(ROOT)) for module, _ in reached}


def uses(module: str, name: str | None) -> list[tuple[str, str | None]]:
    """List what a name of a module, or all of it, makes use of: modules and their names."""
    defined, imported, always = parts(module)
    if name is None:
        nodes = [node for each in defined.values() for node in each] + always
    elif name in defined:
        nodes = defined[name] + always
    else:
        return [imported[name]]  # a package hands it on
    found: list[tuple[str, str | None]] = []
    for node in nodes:
        local = imports_in([node])
        for used in {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | set(local):
            if used in local or used in imported:
                found.append(local.get(used) or imported[used])
            elif used in defined:
                found.append((module, used))
    return found


@cache
def parts(module: str) -> tuple[dict[str, list[ast.stmt]], dict, list[ast.stmt]]:
    """Take a module apart: what it defines, what it imports, and what runs at any import."""
    body = ast.parse(file_of(module).read_text(encoding="utf-8")).body
    defined: dict[str, list[ast.stmt]] = {}
    always = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            stored = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
            for each in (n.id for n in stored if isinstance(n.ctx, ast.Store)):
                defined.setdefault(each, []).append(node)
        elif not isinstance(node, ast.Import | ast.ImportFrom):
            always.append(node)
    return defined, imports_in(body), always


def imports_in(nodes: list[ast.stmt]) -> dict[str, tuple[str, str | None]]:
    """Find imports of our packages, also inside functions: what each is called, and what it is."""
    return {
        alias.asname or alias.name: module_or_name(each.module or "", alias.name)
        for node in nodes
        for each in ast.walk(node)
        if isinstance(each, ast.ImportFrom) and (each.module or "").split(".")[0] in PACKAGES
        for alias in each.names
    }


def module_or_name(module: str, name: str) -> tuple[str, str | None]:
    below = f"{module}.{name}"
    return (below, None) if file_of(below).is_file() else (module, name)


def file_of(module: str) -> Path:
    place = ROOT.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
