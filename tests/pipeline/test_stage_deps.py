"""Whether `deps` in dvc.yaml name the code that stages run: by folder, so that none is left out."""

import ast
import inspect
from pathlib import Path

import pytest
import yaml

from pipeline import stages

ROOT = Path(__file__).parents[2]
STAGES = {
    name: stage.get("do", stage)
    for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
HANDED_ON = {"index": {"models"}, "extract": {"models"}}  # without a part in what comes out


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_depends_on_the_folders_of_its_code(name):
    module, function = STAGES[name]["cmd"].split()[2:4]
    assert module == "pipeline.stages"
    tree = ast.parse(inspect.getsource(getattr(stages, function)))
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    packages = {each.split(".")[0] for each in imports if each} | {"pipeline"}
    deps = {dep.split("/")[0] for dep in STAGES[name]["deps"]}
    assert packages - HANDED_ON.get(name, set()) <= deps


def test_every_stage_of_the_module_is_run():
    assert {s["cmd"].split()[3] for s in STAGES.values()} == {s.__name__ for s in stages.STAGES}


def test_every_input_is_made_by_some_stage():
    outs = [out for stage in STAGES.values() for out in stage["outs"] + stage.get("metrics", [])]
    made = [Path(out.split("${")[0]) for out in outs]
    for stage in STAGES.values():
        for dep in (each for each in stage["deps"] if each.startswith(("data/", "results/"))):
            wanted = Path(dep.split("${")[0])
            assert any(m.is_relative_to(wanted) or wanted.is_relative_to(m) for m in made), dep
