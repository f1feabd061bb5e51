"""Checkouts in folders of their own, for tests that run commands of git, DVC and ours in them."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from unittest import mock

import yaml

from pipeline import stages

ROOT = Path(__file__).parents[2]
DVC = """
import sys
from dvc.cli import main
for command in sys.argv[1:]:
    if status := main(command.split()):
        sys.exit(status)
"""


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


def dvc(folder: Path, *commands: str, status: int = 0, **variables: str) -> str:
    """Run commands of DVC in one process, since to load it takes its time, as `run` does."""
    return run(folder, sys.executable, "-c", DVC, *commands, status=status, **variables)


def run_stages(folder: Path, only: Sequence[str] = (), **variables: str) -> str:
    """Run stages of a checkout, all or `only` some, in this process: DVC loads torch for each.

    Returns what they print.
    """
    said = io.StringIO()
    params = yaml.safe_load((folder / "params.yaml").read_text())
    steps = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    steps = [step for name, step in steps.items() if name in (only or steps)]
    with entered(folder, **variables), contextlib.redirect_stdout(said):
        for step in steps:
            function = getattr(stages, step.get("do", step)["cmd"].split()[3])
            for key in params[step["foreach"][2:-1]] if "foreach" in step else [None]:
                function(*([] if key is None else [key]))
    return said.getvalue()


@contextlib.contextmanager
def entered(folder: Path, **variables: str) -> Iterator[None]:
    """Be in a folder, with variables of the environment."""
    with contextlib.chdir(folder), mock.patch.dict(os.environ, variables):
        yield
