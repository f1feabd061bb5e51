import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from models.heads import HEADS
from pipeline.compare import compare
from tests.pipeline import odd_heads
from tests.pipeline.commands import eri

IMPORTS = """
import json, sys
from pipeline import cli
from pipeline.compare import compare
compare()
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""

HANGING = """
from models.heads import HEADS
from pipeline import spread
from pipeline.cli import main
from tests.pipeline import odd_heads
HEADS.update(odd_heads.ODD_HEADS)
spread.fit_in_worker = odd_heads.fit
main()
"""


@pytest.fixture
def knowing_odd_heads(monkeypatch):
    for kind, head in odd_heads.ODD_HEADS.items():
        monkeypatch.setitem(HEADS, kind, head)
    monkeypatch.setattr("pipeline.spread.fit_in_worker", odd_heads.fit)


@pytest.fixture
def environment(request, project):
    return os.environ | {"PYTHONPATH": str(request.config.rootpath), "OMP_NUM_THREADS": "1"}


def run(heads, *more, status=0):
    return eri("compare", "--encoders", "face", "--heads", heads, *more, status=status)


def is_running(pid):
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode == 0


def wait_for(condition, limit_s=60.0):
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_whatever_a_head_does_is_a_row_with_its_reason_and_is_tried_again(
    project, knowing_odd_heads
):
    kinds = "raising,hanging,exiting,ridge,killed,undefined,mean"
    shown = run(kinds, "--time-limit-s", 5).stdout
    assert "raising/face: RuntimeError: no good" in shown
    folder = project.folder / "results" / "compare"
    table = pd.read_csv(folder / "leaderboard.csv", keep_default_na=False).set_index("name")
    errors = table["error"]
    assert errors["raising/face"] == "RuntimeError: no good"
    assert errors["hanging/face"] == "no result within 5 s: the worker was stopped"
    assert errors["exiting/face"] == "the worker process died (exit code 7)"
    assert "signal 9, Killed, often for lack of memory" in errors["killed/face"]
    assert "not finite" in errors["undefined/face"]
    assert errors[["ridge/face", "mean/face", "stack", "baseline/duration"]].tolist() == [""] * 4
    assert not is_running((project.folder / "hanging.pid").read_text())
    assert "in go_wrong" in (folder / "errors.txt").read_text()
    assert "| raising/face | failed |" in (folder / "leaderboard.md").read_text()
    run("raising", status=1)
    run("ridge")
    assert (folder / "errors.txt").read_text() == ""


def test_a_second_run_loads_no_library_that_fits_and_fits_are_those_of_a_head_fitted_here(
    project, environment, request
):
    there = compare().drop(columns="fit_s")
    command = [sys.executable, "-c", IMPORTS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert {"numpy", "pandas"} <= loaded
    assert not {"sklearn", "scipy", "torch", "lightgbm", "dvc", "rich"} & loaded
    (project.folder / "cache").rename(project.folder / "old")
    fitted = request.getfixturevalue("fitted")
    here = compare().drop(columns="fit_s")
    assert len(fitted) == 8
    pd.testing.assert_frame_equal(here, there)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_command(project, environment, stop):
    arguments = ("compare", "--heads", "ridge,hanging", "--encoders", "face")
    running = subprocess.Popen(
        [sys.executable, "-c", HANGING, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What runs in the background of a shell ignores Ctrl-C, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    pid_file = project.folder / "hanging.pid"
    wait_for(pid_file.exists)
    running.send_signal(stop)
    running.communicate(timeout=30)
    assert running.returncode == (130 if stop == signal.SIGINT else -stop)
    pid = pid_file.read_text()
    wait_for(lambda: not is_running(pid), limit_s=10)


def test_two_comparisons_at_once_do_not_disturb_each_other(project, environment):
    command = [sys.executable, "-m", "pipeline.cli", "compare", "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment, **pipes) for _ in range(2)]
    rows = []
    for each in both:
        said, errors = each.communicate()
        assert each.returncode == 0, errors
        rows.append([row | {"fit_s": 0} for row in json.loads(said)["leaderboard"]])
    assert rows[0] == rows[1]
