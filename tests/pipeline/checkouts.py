"""Checkouts in folders of their own, for tests that run commands of git, DVC and ours in them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from pipeline import stages

ROOT = Path(__file__).parents[2]


def copy_code(folder: Path) -> None:
    """Put the code into a checkout."""
    for name in ("features", "models", "pipeline"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))


def environment(folder: Path) -> dict[str, str]:
    """Return variables by which commands are those of this Python, and modules of the checkout."""
    names = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    git = dict.fromkeys(names, "test@localhost") | {"GIT_CONFIG_GLOBAL": os.devnull}
    return git | {"PATH": path, "PYTHONPATH": str(folder)}


def run(folder: Path, *command: str, status: int = 0, **variables: str) -> str:
    """Run a command in a folder; it has to end with a status. Return what it prints."""
    out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, **out)
    assert done.returncode == status, done.stdout
    return done.stdout


def run_stages() -> None:
    """Run all stages in this process, as DVC would load torch anew for each."""
    params = yaml.safe_load(Path("params.yaml").read_text())
    for stage in yaml.safe_load(Path("dvc.yaml").read_text())["stages"].values():
        function = getattr(stages, stage.get("do", stage)["cmd"].split()[3])
        for key in params[stage["foreach"][2:-1]] if "foreach" in stage else [None]:
            function(*([] if key is None else [key]))
