import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
from operator import add

import numpy as np
import pytest

from features.extraction import worker_process
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


def pids_of(workers, n=4):
    with workers.run(work.act, n * [((os.getpid,),)], stall_limit_s=120) as events:
        return {event for _, event in events if isinstance(event, int)}


def outcomes(workers, task_function, tasks, stall_limit_s=30.0, **limits):
    """Return by task the parts of its last attempt and the error, if any."""
    parts, errors = {}, {}
    with workers.run(task_function, tasks, stall_limit_s=stall_limit_s, **limits) as events:
        for task, event in events:
            if isinstance(event, Finished):
                errors[task] = event.failure
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
STOPPED = "the worker was stopped"


@pytest.mark.parametrize(
    ("limits", "parts", "reasons"),
    [
        ({}, {}, {}),
        ({}, {count(n): [*range(n)] for n in range(1, 12)}, {}),
        (
            {"stall_limit_s": 3},
            {SLOW: [*range(6)], PATIENT: [1]},
            {HASTY: f"no result within 3 s: {STOPPED}"},
        ),
        ({"task_limit_s": 4.0}, {count(1): [0]}, {ENDLESS: f"not done within 4 s: {STOPPED}"}),
        ({}, {count(2): [0, 1]}, {EXITS: "the worker process died (exit code 7)"}),
    ],
)
def test_a_task_comes_back_with_its_parts_in_order_or_with_the_reason_why_not(
    workers, limits, parts, reasons
):
    found, errors = outcomes(workers, work.act, [*reasons, *parts], **limits)
    for task, made in parts.items():
        assert [each for each in found[task] if each is not None] == made
    assert {task: why and why.reason for task, why in errors.items()} == {
        **dict.fromkeys(parts),
        **reasons,
    }
    assert len(found.get(ENDLESS, ())) < 300


def test_a_worker_that_is_stopped_in_a_message_or_takes_no_task_is_replaced(monkeypatch):
    monkeypatch.setattr(worker_process, "_PAUSE_LIMIT_S", 1)
    with Workers(1) as some:
        _, errors = outcomes(some, work.stop_in_a_message, [1])
    assert "died (signal 9, Killed, often for lack of memory)" in errors[1].reason
    monkeypatch.setattr(worker_process, "START_LIMIT_S", 1)
    with Workers(1) as some:
        process = WorkerProcess(0)
        os.kill(process._process.pid, signal.SIGSTOP)
        some._idle.append(process)
        with pytest.raises(WorkerError, match="no result within 1 s: the worker was stopped"):
            some.call(len, bytes(1 << 24), limit_s=60)
        assert not process.is_alive()


def test_the_working_folder_is_the_caller_s_and_stands_in_for_no_library(
    one_worker, tmp_path, monkeypatch
):
    (tmp_path / "av.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    for _ in ("one that runs", "a new one"):
        assert one_worker.call(os.path.abspath, "clip", limit_s=60) == str(tmp_path / "clip")
        one_worker.close()


def test_a_slow_reader_is_not_taken_for_a_stuck_worker(one_worker):
    # Parts are larger than what a channel takes before it is read.
    arrays = tuple((np.full, 1 << 20, k) for k in range(20))
    run = one_worker.run(work.act, [arrays], stall_limit_s=2, task_limit_s=4)
    with run as events:
        seen = [next(events)[1][0]]
        time.sleep(5)  # the worker waits in the middle of a part
        seen += [event if isinstance(event, Finished) else event[0] for _, event in events]
    assert seen == [*range(20), Finished()]


def owner_of_a_worker(steps: str, stall_limit_s: float) -> subprocess.Popen:
    """Start a process that has a worker do something, and prints the first thing it hears."""
    code = (
        "import os, time; from tests.features import work\n"
        "from features.extraction.workers import Workers\n"
        f"run = Workers(1).run(work.act, [{steps}], stall_limit_s={stall_limit_s})\n"
        "with run as events:\n"
        "    print(next(events)[1], flush=True)\n"
        "    print(list(events)[-1][1].failure)"
    )
    command = [sys.executable, "-c", code]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)


def test_a_pause_of_everybody_is_not_taken_for_a_stuck_worker():
    """Ctrl-Z and `fg`: neither side runs for longer than the limit."""
    owner = owner_of_a_worker("8 * ((time.sleep, 0.5),)", 2)
    assert owner.stdout.readline() == "None\n"
    os.killpg(owner.pid, signal.SIGSTOP)
    time.sleep(3)
    os.killpg(owner.pid, signal.SIGCONT)
    assert owner.communicate()[0] == "None\n"


def test_no_worker_outlives_an_owner_that_is_killed():
    owner = owner_of_a_worker("((os.getpid,), (time.sleep, 600))", 99)
    pid = int(owner.stdout.readline())
    owner.kill()
    owner.communicate()
    end_s = time.monotonic() + 20
    while is_running(pid) and time.monotonic() < end_s:
        time.sleep(0.05)
    assert not is_running(pid)


def test_no_worker_outlives_its_owner():
    forgotten = Workers(1)
    with Workers(1) as closed:
        pids = pids_of(closed) | pids_of(forgotten)
    assert len(pids) == 2
    del forgotten
    gc.collect()
    assert not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode == 0


def test_a_worker_killed_from_outside_costs_no_task(one_worker, tmp_path):
    task = ((os.getpid,), (work.wait_for, tmp_path / "go"), (str, "done"))
    seen = []
    with one_worker.run(work.act, [task], stall_limit_s=30) as events:
        for _, event in events:
            seen.append(event)
            if len(seen) == 1:
                os.kill(event, signal.SIGKILL)
                (tmp_path / "go").touch()
    assert seen[1:2] + seen[3:] == [Restarted(), None, "done", Finished()]
    assert seen[2] != seen[0]


def test_what_work_raises_fails_its_own_task_and_comes_back(workers):
    text, number = ((add, 1, "text"),), ((add, 1, 2),)
    _, failures = outcomes(workers, work.act, [text, number])
    assert failures[number] is None
    assert failures[text].reason.startswith("TypeError: unsupported operand")
    assert "in act" in failures[text].details  # the traceback
    assert isinstance(failures[text].error, TypeError)
    _, failures = outcomes(workers, work.raise_odd_error, [1])  # which does not pickle
    assert (failures[1].reason, failures[1].error) == ("OddError: 1 and 2", None)
    with pytest.raises(WorkerError, match="pickle"):  # nor does the result
        workers.call(work.act, ((threading.Lock,),), limit_s=60)
    with pytest.raises((TypeError, AttributeError), match="pickle"):  # nor the task
        workers.call(math.factorial, lambda: 1, limit_s=60)


def test_a_call_returns_its_result_and_keeps_what_was_loaded(one_worker):
    assert [one_worker.call(work.load_and_add, k, limit_s=2) for k in (1, 2)] == [[1], [1, 2]]
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
    assert outcomes(one_worker, work.act, [two]) == ({two: [0, 1]}, {two: None})


def test_workers_stay_for_the_next_run_or_are_replaced(workers):
    first = pids_of(workers, 20)
    assert pids_of(workers, 20) <= first
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    then = pids_of(workers, 20)
    assert then
    assert not then & first
