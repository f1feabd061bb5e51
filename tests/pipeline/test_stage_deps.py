"""Whether `deps` in dvc.yaml name the code that stages run: by folder, so that none is left out."""

import ast
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGES = {"features", "models", "pipeline"}
STAGES = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
# They need of the other packages only what hands things on as they are.
LEFT_OUT = {"demo": PACKAGES, "index": {"models"}, "extract": {"models"}}
LEFT_OUT |= {"pool": {"models"}, "pool_store": {"models"}, "folds": {"features"}}
FEATURES_ARE_DATA = {"baseline", "fit", "stack", "bundle", "evaluate", "learning_curve"}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_folders_of_its_code(name):
    deps = {dep for dep in STAGES[name]["deps"] if dep.split("/")[0] in PACKAGES}
    assert all((ROOT / dep).is_dir() for dep in deps)
    module = STAGES[name]["cmd"].split()[2]
    allowed = LEFT_OUT.get(name, {"features"} if name in FEATURES_ARE_DATA else set())
    assert packages_of(module) - allowed <= deps


def packages_of(module: str) -> set[str]:
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {name.split(".")[0] for name in imports if name} & PACKAGES


def test_every_input_is_made_by_some_stage():
    outs = [out for stage in STAGES.values() for out in stage["outs"] + stage.get("metrics", [])]
    made = [Path(out.split("${")[0]) for out in outs]
    for stage in STAGES.values():
        for dep in (each for each in stage["deps"] if each.startswith(("data/", "results/"))):
            wanted = Path(dep.split("${")[0])
            assert any(m.is_relative_to(wanted) or wanted.is_relative_to(m) for m in made), dep
