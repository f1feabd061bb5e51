"""A small project with all files that the guides name, and how blocks of a guide are run in it."""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import wave
from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from unittest import mock
from urllib.request import urlopen

import numpy as np
import pandas as pd
import typer
import yaml
from typer.testing import CliRunner

from pipeline import cli
from pipeline.clip_ids import find_media
from pipeline.imports.layouts import HUME_TARGETS
from pipeline.params import Params, load_params
from pipeline.systems import load_systems
from tests.conftest import tone, write_clip
from tests.pipeline.stages_in_process import run_stages

ROOT = Path(__file__).parents[2]
CODE = ("features", "models", "pipeline")
FILES = (
    *("Makefile", "pyproject.toml", "requirements.lock", ".dvcignore", ".gitignore"),
    "dvc.yaml",
)
ONE_TEST = "tests/models/test_scaling.py"  # what `make test` finds in the small project
TINY = {"kind": "torchvision", "model": "shufflenet_v2_x0_5", "weights": "random"}
REPRO = (["dvc", "repro"], ["make", "repro"])
PORT = "8080"  # of `eri serve` in the guides; another one here, that is free
IMPORT = (
    "eri import table ratings.csv --media videos/ --targets joy,awe --rescale 1,100 "
    "--split-by-person 0.6,0.2,0.2"
)


class Project:
    """A checkout in a folder of its own, in which a reader of one guide works.

    Blocks share what a shell and an editor would: the working folder, the environment, the files.
    """

    def __init__(self, folder: Path, files_run: Sequence[bytes] = ()) -> None:
        self.folder = folder
        self.working_folder = folder
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(folder),
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@localhost",
        }
        self.files_run = files_run  # by a run of the stages: nothing to do while they are the same
        self._is_code_changed = False
        self._service: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def entered(self):
        """Be in the working folder, with the environment."""
        with contextlib.chdir(self.working_folder), mock.patch.dict(os.environ, self.environment):
            yield

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
                self.working_folder /= words[1]
            elif words[:2] == ["eri", "serve"]:
                self._serve(words)
            elif words[0] == "eri" and not self._is_code_changed:
                self._eri(words[1:])
            elif words[:2] == ["python", "-m"]:
                self._benchmark(words[2], words[3:])
            elif words in REPRO and not self._is_code_changed:
                self._run_changed()
                assert "up to date" in self._process(words)
            elif words == ["make", "systems"]:
                self._run_changed()
                self._eri(["systems"])
            else:
                self._process(words)

    def edit_params(self, block: str) -> None:
        """Put entries into `params.yaml` or `systems.yaml`, which have to be valid with them."""
        entries = yaml.safe_load(block)
        is_params = set(entries) <= set(Params.model_fields)
        path = self.folder / ("params.yaml" if is_params else "systems.yaml")
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
        path = self.folder / block.splitlines()[0].removeprefix("# ")
        assert not path.exists()
        path.write_text(block.split("\n", 1)[1])
        self._is_code_changed = True

    def enter_lines(self, block: str) -> None:
        """Put each line marked + behind the line before it, in the file named in the first line."""
        first, *lines = block.splitlines()
        path = self.folder / first.removeprefix("# ")
        text = path.read_text()
        for before, line in pairwise(lines):
            if line.startswith("+"):
                known = f"\n{before[1:]}\n"
                assert text.count(known) == 1, f"{before[1:]!r} is not one line of {path.name}"
                text = text.replace(known, f"{known}{line[1:]}\n")
        path.write_text(text)
        self._is_code_changed = True

    def _eri(self, arguments: list[str]) -> None:
        """Run the command in this process: to load torch each time would take minutes."""
        with self.entered():
            shown = CliRunner().invoke(cli.app, arguments)
        assert shown.exit_code == 0, (shown.output, shown.exception)

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

    def _run_changed(self) -> None:
        """Run stages in this process; DVC then takes what they wrote, and finds it up to date."""
        files = [(self.working_folder / name).read_bytes() for name in ("params.yaml", "dvc.yaml")]
        if files == self.files_run:
            return
        with self.entered():
            run_stages()
        self._process(["dvc", "commit", "--quiet", "--force", "--with-deps", "dvc.yaml"])
        self.files_run = files

    @cached_property
    def _free_port(self) -> int:
        with socket.create_server(("127.0.0.1", 0)) as server:
            return server.getsockname()[1]

    def _serve(self, words: list[str]) -> None:
        """Start the service, and go on when it answers."""
        command = [sys.executable, "-m", "pipeline.cli", *words[1:]]
        environment = os.environ | self.environment
        log = (self.folder / "serve.log").open("wb")
        self._service = subprocess.Popen(
            command, cwd=self.working_folder, env=environment, stdout=log, stderr=log
        )
        url = f"http://127.0.0.1:{self._free_port}/health"
        for _ in range(600):
            assert self._service.poll() is None, (self.folder / "serve.log").read_text()
            with contextlib.suppress(OSError), urlopen(url) as answer:
                assert answer.status == 200
                return
            time.sleep(0.1)
        raise AssertionError("the service does not answer")

    def close(self) -> None:
        """End the service, if one was started."""
        if self._service is not None:
            self._service.terminate()
            self._service.wait()

    def _process(self, words: list[str]) -> str:
        if words[0] == "eri":
            words = [sys.executable, "-m", "pipeline.cli", *words[1:]]
        if words[:3] == ["dvc", "exp", "run"]:
            # Checks the options; to run some stages takes a minute, and tests of the stages do.
            words.insert(3, "--queue")
        done = subprocess.run(
            words,
            cwd=self.working_folder,
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


def finish_project(folder: Path) -> Project:
    """Make a project and what lies beside it, import its ratings, and run the pipeline once."""
    folder.mkdir(parents=True)
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
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
    (folder / ".venv").mkdir()
    (folder / ".venv" / ".installed").touch()  # the packages are those of this process
    _write_recordings(folder)
    _write_features(folder)
    project = Project(folder)
    project.shell(f"git init -q\ngit add -A\ngit commit -qm start\n{IMPORT}")
    project.shell("dvc repro")
    _write_neighbours(folder)
    return project


def _small_params() -> dict:
    """Return the repository's parameters, with tiny networks under the names of large ones."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["encoders"]["clip"] = {"kind": "timm", "model": "test_vit", "weights": "random"}
    content["encoders"]["resnet50"] = {"kind": "timm", "model": "test_resnet", "weights": "random"}
    content["encoders"]["expression"] |= {"face": "none"}  # the recordings show nobody
    content["folds"]["n_folds"] = 3
    content["heads"]["lightgbm"] |= {"n_rounds": 5, "min_child_samples": 2}
    content["heads"]["mlp"] |= {"max_epochs": 3, "n_seeds": 1}
    content["evaluation"]["n_resamples"] = 100
    return content


def _write_recordings(folder: Path) -> None:
    """Write clips whose brightness tells the targets, of people who are in several of them."""
    rng = np.random.default_rng(0)
    n_people, n_clips = 10, 3
    table = pd.DataFrame({"clip_id": [f"c{n:02d}" for n in range(n_people * n_clips)]})
    table["person"] = [f"p{n // n_clips}" for n in range(len(table))]
    table["country"] = np.where(np.arange(len(table)) % 2, "South Africa", "United States")
    table["age"] = 20 + np.arange(len(table)) // n_clips
    levels = rng.integers(20, 230, len(table))
    table["joy"] = np.clip(levels / 2.5 + rng.normal(0, 5, len(table)), 1, 100).round(1)
    table["awe"] = np.clip(100 - table["joy"] + rng.normal(0, 5, len(table)), 1, 100).round(1)
    for number, (clip_id, level) in enumerate(zip(table["clip_id"], levels, strict=True)):
        path = folder / "videos" / f"{clip_id}.mp4"
        _write_short(path, level=int(level), sound_s=0.4 + 0.01 * (number % 7))
    table.to_csv(folder / "ratings.csv", index=False)
    own = table.drop(columns="person").assign(path=table["clip_id"] + ".mp4", group=table["person"])
    own["split"] = np.where(np.arange(len(own)) < 21, "Train", "Val")
    own[["joy", "awe"]] /= 100
    own.to_csv(folder / "my_labels.csv", index=False)
    _write_short(folder / "clip.mp4", n_frames=30)
    for shard, names in (("a", ("c00", "c01")), ("b", ("c02",))):
        for name in names:
            (folder / "shards" / shard).mkdir(parents=True, exist_ok=True)
            shutil.copy(folder / "videos" / f"{name}.mp4", folder / "shards" / shard)


def _write_features(folder: Path) -> None:
    """Write features that others computed, in three usual forms."""
    rng = np.random.default_rng(1)
    ids = pd.read_csv(folder / "ratings.csv")["clip_id"]
    (folder / "feats" / "fau").mkdir(parents=True)
    for clip_id in ids:
        table = pd.DataFrame(rng.uniform(size=(3, 2)), columns=["AU01", "AU02"])
        table.insert(0, "timestamp", [0.0, 0.5, 1.0])
        table.to_csv(folder / "feats" / "fau" / f"{clip_id}.csv", index=False)
    vectors = rng.normal(size=(len(ids), 4)).astype(np.float32)
    clap = pd.DataFrame(vectors, columns=[f"x{k}" for k in range(4)])
    clap.insert(0, "clip_id", ids)
    clap.to_parquet(folder / "clap.parquet", index=False)
    np.save(folder / "vectors.npy", vectors)
    (folder / "ids.txt").write_text("\n".join(ids))


def _write_neighbours(folder: Path) -> None:
    """Write what lies beside a project: data sets, and a colleague's stores."""
    beside = folder.parent
    (beside / "dvc-remote").mkdir()
    shutil.copytree(folder / "data" / "features", beside / "colleague" / "features")
    hume = beside / "hume_reaction"
    rows = [",".join(["File_ID", "Split", *HUME_TARGETS, "Age", "Country"])]
    for number, split in enumerate(["train"] * 12 + ["val"] * 4 + ["test"] * 2):
        _write_short(hume / split / "mp4" / f"{number:05d}.mp4", level=20 + 10 * number)
        labels = [1.0, *[round(0.1 * (number % 8), 1)] * 6] if split != "test" else [""] * 7
        values = [f"[{number:05d}]", split.title(), *labels, 20 + number, "South Africa"]
        rows.append(",".join(map(str, values)))
    (hume / "data_info.csv").write_text("\n".join(rows) + "\n")
    muse = beside / "muse_2022" / "c2_muse_reaction"
    (muse / "feats" / "faus").mkdir(parents=True)
    ids = [f"{number:05d}" for number in range(3)]
    labels = [f"[{clip_id}],1.0,0.1,0.{n},0,0,0,0.2" for n, clip_id in enumerate(ids)]
    (muse / "labels.csv").write_text("\n".join([",".join(["File_ID", *HUME_TARGETS]), *labels]))
    splits = zip(ids, ["train", "devel", "test"], strict=True)
    parts = [f"{clip_id},{split}" for clip_id, split in splits]
    (muse / "partition.csv").write_text("\n".join(["Id,Proposal", *parts]))
    for clip_id in ids:
        rows = f"timestamp,segment_id,AU01\n0,{clip_id},0.{int(clip_id)}\n250,{clip_id},0.5\n"
        (muse / "feats" / "faus" / f"{clip_id}.csv").write_text(rows)
    _write_cremad(beside / "CREMA-D")


def _write_cremad(root: Path) -> None:
    """Write fifteen voices of five actors, with the ratings of each."""
    names = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
    levels = [f"mean{name}Resp" for name in names]
    actors = pd.DataFrame({"ActorID": range(1001, 1006), "Age": range(20, 25)})
    clips = [
        f"{actor}_IEO_{end}_XX" for actor in actors["ActorID"] for end in ("ANG", "HAP", "SAD")
    ]
    rng = np.random.default_rng(2)
    votes = pd.DataFrame(rng.integers(1, 5, (len(clips), 6)), columns=[name[0] for name in names])
    votes[levels] = rng.integers(10, 90, votes.shape)
    votes = votes.assign(fileName=clips).set_axis(range(100001, 100001 + len(clips)))
    (root / "processedResults").mkdir(parents=True)
    votes.to_csv(root / "processedResults" / "tabulatedVotes.csv")
    actors.assign(Sex=["Female", "Male"] * 2 + ["Male"]).to_csv(
        root / "VideoDemographics.csv", index=False
    )
    (root / "AudioWAV").mkdir()
    for n, clip in enumerate(clips):
        with wave.open(str(root / "AudioWAV" / f"{clip}.wav"), "wb") as file:
            file.setparams((1, 2, 16000, 0, "NONE", ""))
            file.writeframes((tone(1 + n / 50) * 20000).astype("<i2").tobytes())


def _write_short(
    path: Path, n_frames: int = 4, level: int = 128, sound_s: float | None = None
) -> None:
    sound_s = n_frames / 10 if sound_s is None else sound_s
    write_clip(path, n_frames=n_frames, size=(32, 32), level=level, sound_s=sound_s)
