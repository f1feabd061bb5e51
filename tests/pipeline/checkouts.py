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


class Checkout:
    """A checkout in a folder, driven by commands of this Python as a user would.

    `environment` has variables on top of those of this process, `variables` some of them.
    """

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        who = [f"GIT_{who}_{what}" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = dict.fromkeys(who, "test@localhost") | {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH": path,
            "PYTHONPATH": str(folder),
            **variables,
        }

    def copy_code(self) -> None:
        """Put the code into it."""
        ignored = shutil.ignore_patterns("__pycache__")
        for name in ("features", "models", "pipeline"):
            shutil.copytree(ROOT / name, self.folder / name, ignore=ignored)

    def run(self, *command: str, status: int = 0) -> str:
        """Run a command, which has to end with a status. Return what it prints."""
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        environment = os.environ | self.environment
        done = subprocess.run(command, cwd=self.folder, env=environment, **out)
        assert done.returncode == status, done.stdout
        return done.stdout

    def git(self, *commands: str) -> None:
        """Run commands of git."""
        for command in commands:
            self.run("git", *command.split())

    def dvc(self, *commands: str, status: int = 0) -> str:
        """Run commands of DVC in one process, since to load it takes its time, as `run` does."""
        return self.run(sys.executable, "-c", DVC, *commands, status=status)

    def run_stages(self, only: Sequence[str] = ()) -> str:
        """Run stages, all or `only` some, in this process: DVC loads torch for each.

        Returns what they print.
        """
        said = io.StringIO()
        params = yaml.safe_load((self.folder / "params.yaml").read_text())
        steps = yaml.safe_load((self.folder / "dvc.yaml").read_text())["stages"]
        steps = [step for name, step in steps.items() if name in (only or steps)]
        with self.entered(), contextlib.redirect_stdout(said):
            for step in steps:
                function = getattr(stages, step.get("do", step)["cmd"].split()[3])
                for key in params[step["foreach"][2:-1]] if "foreach" in step else [None]:
                    function(*([] if key is None else [key]))
        return said.getvalue()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the folder, with its environment."""
        with contextlib.chdir(self.folder), mock.patch.dict(os.environ, self.environment):
            yield
