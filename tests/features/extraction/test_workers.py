import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from operator import add
from pathlib import Path

import numpy as np
import pytest

from features.extraction.worker_process import WorkerProcess
from features.extraction.workers import Finished, Patience, Restarted, WorkerError, Workers
from tests.features import work


@pytest.fixture(scope="module")
def two_workers():
    with Workers(2) as some:
        yield some


@pytest.fixture
def workers(two_workers):
    """Both are up: on a busy machine a new one, after a test that ended it, takes seconds."""
    pids_of(two_workers)
    return two_workers


@pytest.fixture
def one_worker(workers, monkeypatch):
    monkeypatch.setattr(workers, "_n_workers", 1)
    return workers


@pytest.fixture
def outcomes(workers):
    return partial(outcomes_of, workers)


def outcomes_of(workers, task_function, tasks, stall_limit_s=30.0, **limits):
    """Return by task the parts of its last attempt and the error, if any."""
    parts, errors = {}, {}
    run = workers.run(task_function, tasks, stall_limit_s=stall_limit_s, **limits)
    with run as events:
        for task, event in events:
            if isinstance(event, Finished):
                errors[task] = event.failure
                parts.setdefault(task, [])
            elif isinstance(event, Restarted):
                parts[task] = []
            else:
                parts.setdefault(task, []).append(event)
    return parts, errors


def count(n, *before_each):
    """Steps of `work.act` that give numbers."""
    return tuple(step for k in range(n) for step in (*before_each, (int, k)))


PATIENT = ((Patience, 60.0), (time.sleep, 5), (int, 1))
HASTY = ((Patience, 0.0), (time.sleep, 600))
SLOW, ENDLESS = count(6, (time.sleep, 0.5)), count(1000, (time.sleep, 0.1))
EXITS = ((os._exit, 7),)


@pytest.mark.parametrize(
    ("limits", "parts", "reasons"),
    [
        ({}, {}, {}),
        ({}, {count(n): [*range(n)] for n in range(12)}, {}),
        (
            {"stall_limit_s": 3},
            {SLOW: [*range(6)], PATIENT: [1]},
            {HASTY: "no result within 3 s: the worker was stopped"},
        ),
        (
            {"task_limit_s": 4.0},
            {count(1): [0]},
            {ENDLESS: "not done within 4 s: the worker was stopped"},
        ),
        ({}, {count(2): [0, 1]}, {EXITS: "died 2 times (exit code 7)"}),
    ],
)
def test_a_task_comes_back_with_its_parts_in_order_or_with_the_reason_why_not(
    outcomes, limits, parts, reasons
):
    found, errors = outcomes(work.act, [*reasons, *parts], **limits)
    found = {task: [each for each in made if each is not None] for task, made in found.items()}
    assert {task: made for task, made in found.items() if task in parts} == parts
    assert errors.keys() == parts.keys() | reasons.keys()
    for task, failure in errors.items():
        assert reasons[task] in failure.reason if failure else task in parts
    assert len(found.get(ENDLESS, ())) < 300


def test_a_worker_that_is_stopped_in_the_middle_of_a_message_is_replaced(monkeypatch):
    monkeypatch.setattr("features.extraction.worker_process._PAUSE_LIMIT_S", 1)
    with Workers(1) as some:
        _, errors = outcomes_of(some, work.stop_in_a_message, [1])
    assert "died 2 times (signal 9, Killed" in errors[1].reason


def test_a_worker_that_does_not_even_take_its_task_is_stopped(monkeypatch):
    monkeypatch.setattr("features.extraction.worker_process.START_LIMIT_S", 1)
    with Workers(1) as some:
        process = WorkerProcess(0)
        os.kill(process._process.pid, signal.SIGSTOP)
        some._idle.append(process)
        with pytest.raises(WorkerError, match="no result within 1 s: the worker was stopped"):
            some.call(len, bytes(1 << 24), limit_s=60)
        assert not process.is_alive()


def test_a_file_of_the_working_folder_stands_in_for_no_library(workers, tmp_path, monkeypatch):
    (tmp_path / "av.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    workers.close()
    assert workers.call(math.factorial, 3, limit_s=60) == 6


def test_relative_paths_are_those_of_whoever_asks(one_worker, tmp_path, monkeypatch):
    assert one_worker.call(math.factorial, 3, limit_s=60) == 6  # it runs
    monkeypatch.chdir(tmp_path)
    assert one_worker.call(os.path.abspath, "clip", limit_s=60) == str(tmp_path / "clip")


def test_a_slow_reader_is_not_taken_for_a_stuck_worker(one_worker):
    # Parts are larger than what a channel takes before it is read.
    arrays = tuple((np.full, 1 << 20, k) for k in range(20))
    run = one_worker.run(work.act, [arrays], stall_limit_s=2, task_limit_s=4)
    with run as events:
        seen = [next(events)[1][0]]
        time.sleep(5)  # the worker waits in the middle of a part
        seen += [event if isinstance(event, Finished) else event[0] for _, event in events]
    assert seen == [*range(20), Finished()]


def test_a_pause_of_everybody_is_not_taken_for_a_stuck_worker(tmp_path, request):
    """Ctrl-Z and `fg`: neither side runs for longer than the limit."""
    code = (
        "import time; from tests.features import work\n"
        "from features.extraction.workers import Workers\n"
        "with Workers(1).run(work.act, [8 * ((time.sleep, 0.5),)], stall_limit_s=2) as events:\n"
        "    print(next(events)[1], flush=True)\n"
        "    print(list(events)[-1][1].failure)"
    )
    command = [sys.executable, "-c", code]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)
    assert owner.stdout.readline() == "None\n"
    os.killpg(owner.pid, signal.SIGSTOP)
    time.sleep(3)
    os.killpg(owner.pid, signal.SIGCONT)
    assert owner.communicate()[0] == "None\n"


def test_a_worker_killed_from_outside_costs_no_task(one_worker, tmp_path):
    task = ((os.getpid,), (work.wait_for, tmp_path / "go"), (str, "done"))
    run = one_worker.run(work.act, [task], stall_limit_s=30)
    seen = []
    with run as events:
        for _, event in events:
            seen.append(event)
            if len(seen) == 1:
                os.kill(event, signal.SIGKILL)
                (tmp_path / "go").touch()
    assert isinstance(seen[1], Restarted)
    assert seen[2] != seen[0]
    assert seen[3:] == [None, "done", Finished()]


def test_what_work_raises_fails_its_own_task_and_comes_back(outcomes):
    text, number = ((add, 1, "text"),), ((add, 1, 2),)
    _, failures = outcomes(work.act, [text, number])
    assert failures[number] is None
    assert failures[text].reason.startswith("TypeError: unsupported operand")
    assert "in act" in failures[text].details  # the traceback
    assert isinstance(failures[text].error, TypeError)
    _, failures = outcomes(work.raise_odd_error, [1])  # which does not pickle
    assert (failures[1].reason, failures[1].error) == ("OddError: 1 and 2", None)


def test_a_result_or_a_task_that_does_not_pickle_is_an_error(workers):
    with pytest.raises(WorkerError, match="pickle"):
        workers.call(work.act, ((threading.Lock,),), limit_s=60)
    with pytest.raises((TypeError, AttributeError), match="pickle"):
        workers.call(math.factorial, lambda: 1, limit_s=60)
    assert workers.call(math.factorial, 3, limit_s=60) == 6


def test_a_call_returns_its_result_and_keeps_what_was_loaded(one_worker):
    assert [one_worker.call(work.load_and_add, k, limit_s=2) for k in (1, 2)] == [[1], [1, 2]]
    with pytest.raises(WorkerError, match="no result within 1 s"):
        one_worker.call(time.sleep, 600, limit_s=1)
    with pytest.raises(WorkerError, match=r"the worker process died \(exit code 7\)"):
        one_worker.call(os._exit, 7, limit_s=60)
    crash = ((os.write, 1, b"the last words"), (signal.raise_signal, signal.SIGSEGV))
    with pytest.raises(WorkerError, match=r"died \(signal 11, Segmentation fault") as caught:
        one_worker.call(work.act, crash, limit_s=60)
    assert "the last words" in caught.value.failure.details
    assert "Segmentation fault" in caught.value.failure.details  # and where it happened


def test_a_reader_that_stops_early_has_drawn_little_and_costs_the_next_run_nothing(one_worker):
    drawn = []

    def tasks():
        for k in range(1000):
            drawn.append(k)
            yield count(100)

    with one_worker.run(work.act, tasks(), stall_limit_s=20) as events:
        assert next(events) == (count(100), 0)
    assert len(drawn) < 3  # as fast as results are taken
    two = count(2)
    assert outcomes_of(one_worker, work.act, [two]) == ({two: [0, 1]}, {two: None})


def pids_of(workers, n=4):
    with workers.run(work.act, n * [((os.getpid,),)], stall_limit_s=120) as events:
        return {event for _, event in events if isinstance(event, int)}


def test_workers_begin_before_the_reader_reads(workers, tmp_path):
    mark = tmp_path / "begun"
    with workers.run(Path.touch, [mark], stall_limit_s=20) as events:
        for _ in range(200):
            if mark.exists():
                break
            time.sleep(0.1)
        assert mark.exists()
        assert [event for _, event in events] == [Finished()]


def test_workers_stay_for_the_next_run_whatever_it_does_or_are_replaced(workers):
    first = pids_of(workers, 20)
    assert pids_of(workers, 20) <= first
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    then = pids_of(workers, 20)
    assert then
    assert not then & first


def test_no_worker_outlives_its_owner():
    forgotten = Workers(1)
    with Workers(1) as closed:
        pids = pids_of(closed) | pids_of(forgotten)
    assert len(pids) == 2
    del forgotten
    gc.collect()
    assert not any(_is_running(pid) for pid in pids)


def test_no_worker_outlives_an_owner_that_is_killed():
    code = (
        "import os, time; from tests.features import work\n"
        "from features.extraction.workers import Workers\n"
        "task = (os.getpid,), (time.sleep, 600)\n"
        "with Workers(1).run(work.act, [task], stall_limit_s=99) as events:\n"
        "    for _, pid in events: print(pid, flush=True)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.communicate()
    end_s = time.monotonic() + 20
    while _is_running(pid) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not _is_running(pid)


def _is_running(pid: int) -> bool:
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode == 0
