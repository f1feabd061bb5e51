"""A small project with all files that the guides name, and how blocks of a guide are run in it."""

import contextlib
import shlex
import shutil
import socket
import sys
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from unittest import mock

import typer
import yaml
from typer.testing import CliRunner

from benchmarks.service import serving
from pipeline.clip_ids import find_media
from pipeline.params import Params, load_params
from pipeline.systems import load_systems
from tests.docs.data import write_features, write_neighbours, write_recordings
from tests.pipeline.checkouts import ROOT, Checkout
from tests.pipeline.commands import WorkersHere, eri

FILES = ("Makefile", "pyproject.toml", "requirements.lock", "requirements-test.lock", "dvc.yaml")
FILES += (".dvcignore", ".gitignore")
ONE_TEST = "tests/models/test_scaling.py"  # what `make test` finds in the small project
TINY = {"kind": "torchvision", "model": "shufflenet_v2_x0_5", "weights": "random"}
PORT = "8080"  # of `eri serve` in the guides; another one here, that is free
IMPORT = (
    "eri import table ratings.csv --media videos/ --targets joy,awe --rescale 1,100 "
    "--split-by-person 0.6,0.2,0.2"
)


class Project(Checkout):
    """A checkout in a folder of its own, in which a reader of one guide works.

    Blocks share what a shell and an editor would: the working folder, the environment, the files.
    """

    def __init__(self, folder: Path, files_run: Sequence[bytes] = ()) -> None:
        super().__init__(folder)
        self.root = folder
        (folder / ".venv").mkdir(exist_ok=True)
        for name in (".installed", ".installed-tools"):  # the packages are those of this process
            (folder / ".venv" / name).write_text(str(folder.resolve()))
        self.files_run = files_run  # by a run of the stages: nothing to do while they are the same
        self._is_code_changed = False
        self.services = contextlib.ExitStack()

    def shell(self, block: str) -> None:
        """Run commands one after the other; each has to end with status 0."""
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.replace(PORT, str(self._free_port)), comments=True)
            if not words:
                continue
            if words[0] == "export":
                name, value = words[1].split("=")
                self.environment[name] = value
            elif words[0] == "cd":
                self.folder /= words[1]
            elif words[:2] == ["eri", "serve"]:
                with self.entered():
                    log = self.root / "serve.log"
                    self.services.enter_context(serving(words[2:], log, self.environment))
            elif words[0] == "eri" and not self._is_code_changed:
                self._eri(words[1:])
            elif words[:2] == ["python", "-m"]:
                self._benchmark(words[2], words[3:])
            elif words == ["dvc", "repro"] and not self._is_code_changed:
                self._repro()
            elif words == ["make", "repro"]:
                self._repro()
                assert "up to date" in self._process(words)
            elif words == ["make", "systems"]:
                self._repro()
                self._eri(["systems"])
            else:
                self._process(words)

    def edit_params(self, block: str) -> None:
        """Put entries into `params.yaml` or `systems.yaml`, which have to be valid with them."""
        entries = yaml.safe_load(block)
        is_params = set(entries) <= set(Params.model_fields)
        path = self.root / ("params.yaml" if is_params else "systems.yaml")
        content = yaml.safe_load(path.read_text())
        for key, value in entries.items():
            is_section = isinstance(value, dict) and isinstance(content.get(key), dict)
            is_section &= f"{key}: # these alone" not in block
            content[key] = content[key] | value if is_section else value
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        if self._is_code_changed:  # of which this process knows nothing
            self._process([sys.executable, "-c", "from pipeline.params import *; load_params()"])
            return
        with self.entered():
            params = load_params()
            if "# these alone" not in block:  # systems.yaml names the others
                load_systems(params)

    def write_module(self, block: str) -> None:
        """Write a module, whose path is in the first line."""
        path = self.root / block.splitlines()[0].removeprefix("# ")
        assert not path.exists()
        path.write_text(block.split("\n", 1)[1])
        self._is_code_changed = True

    def enter_lines(self, block: str) -> None:
        """Put each line marked + behind the line before it, in the file named in the first line."""
        first, *lines = block.splitlines()
        path = self.root / first.removeprefix("# ")
        text = path.read_text()
        for before, line in pairwise(lines):
            if line.startswith("+"):
                known = f"\n{before[1:]}\n"
                assert text.count(known) == 1, f"{before[1:]!r} is not one line of {path.name}"
                text = text.replace(known, f"{known}{line[1:]}\n")
        path.write_text(text)
        self._is_code_changed = True

    def _eri(self, arguments: list[str]) -> None:
        """Run the command in this process, and heads too: to load torch each time takes minutes."""
        with self.entered(), mock.patch("pipeline.spread.Workers", WorkersHere):
            eri(*arguments)

    def _benchmark(self, name: str, arguments: list[str]) -> None:
        """Run a benchmark on short clips, with tiny networks under the names of large ones."""
        benchmark = import_module(name)
        app = typer.Typer()
        app.command()(benchmark.main)
        specs = dict.fromkeys(benchmark.SPECS, TINY)
        small = {"SPECS": specs, "benchmark_clips": lambda *_, **__: find_media([Path("videos")])}
        known = {key: each for key, each in small.items() if hasattr(benchmark, key)}
        with self.entered(), mock.patch.multiple(benchmark, **known):
            shown = CliRunner().invoke(app, arguments)
        assert shown.exit_code == 0, (shown.output, shown.exception)
        assert "\n| resnet50 |" in shown.output, shown.output

    def _repro(self) -> None:
        """Run stages in this process; DVC then takes what they wrote, and finds it up to date."""
        files = [(self.folder / name).read_bytes() for name in ("params.yaml", "dvc.yaml")]
        commands = ["repro"]
        if files != self.files_run:
            self.run_stages()
            commands.insert(0, "commit --quiet --force --with-deps dvc.yaml")
        assert "up to date" in self.dvc(*commands)
        self.files_run = files

    @cached_property
    def _free_port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return server.getsockname()[1]

    def _process(self, words: list[str]) -> str:
        if words[0] == "eri":
            words = [sys.executable, "-m", "pipeline.cli", *words[1:]]
        if words[:3] == ["dvc", "exp", "run"]:
            # Checks the options; to run some stages takes a minute, and tests of the stages do.
            words.insert(3, "--queue")
        return self.run(*words)


def finish_project(folder: Path) -> Project:
    """Make a project and what lies beside it, import its ratings, and run the pipeline once."""
    folder.mkdir(parents=True)
    project = Project(folder)
    project.copy_code()
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / ".dvc", folder / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache"))
    (folder / "params.yaml").write_text(yaml.safe_dump(_small_params(), sort_keys=False))
    systems = yaml.safe_load((ROOT / "systems.yaml").read_text())
    tiny = {"kind": "timm", "model": "test_efficientnet", "weights": "random"}
    systems["encoders"] |= {"dino": tiny, "face": tiny | {"model": "test_resnet"}}
    (folder / "systems.yaml").write_text(yaml.safe_dump(systems, sort_keys=False))
    (folder / ONE_TEST).parent.mkdir(parents=True)
    shutil.copy(ROOT / ONE_TEST, folder / ONE_TEST)
    write_recordings(folder)
    write_features(folder)
    project.shell(f"git init -q\ngit add -A\ngit commit -qm start\n{IMPORT}")
    project.shell("dvc repro")
    write_neighbours(folder)
    return project


def _small_params() -> dict:
    """Return the repository's parameters, with tiny networks under the names of large ones."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["encoders"]["clip"] = {"kind": "timm", "model": "test_vit", "weights": "random"}
    content["encoders"]["resnet50"] = {"kind": "timm", "model": "test_resnet", "weights": "random"}
    # Each is one more view for every head, and large:
    for name in ("efficientnet_lite0", "whisper_tiny_en", "expression"):
        del content["encoders"][name]
    del content["heads"]["kernel_ridge"]
    content["folds"]["n_folds"] = 3
    content["heads"]["lightgbm"] |= {"n_rounds": 5, "min_child_samples": 2}
    content["heads"]["mlp"] |= {"max_epochs": 3, "n_seeds": 1}
    content["evaluation"]["n_resamples"] = 100
    return content
