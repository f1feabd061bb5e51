import os
import signal
import subprocess
import time

import pytest

from features.encoders import EncoderError
from features.media import MediaError
from features.workers import Finished, Restarted, run_isolated
from tests.features import work


def outcomes(task_function, tasks, stall_limit_s=30.0, n_workers=2):
    """Return by task the parts of its last attempt and the error, if any."""
    parts, errors = {}, {}
    events = run_isolated(
        task_function, tasks, n_workers=n_workers, stall_limit_s=stall_limit_s, step="decode"
    )
    for task, event in events:
        if isinstance(event, Finished):
            errors[task] = event.error
            parts.setdefault(task, [])
        elif isinstance(event, Restarted):
            parts[task] = []
        else:
            parts.setdefault(task, []).append(event)
    return parts, errors


def test_every_task_comes_back_once_with_its_parts_in_order():
    parts, errors = outcomes(work.count_to, range(12))
    assert parts == {n: list(range(n)) for n in range(12)}
    assert set(errors.values()) == {None}


def test_no_tasks_is_no_work():
    assert outcomes(work.count_to, []) == ({}, {})


def test_a_task_that_hangs_is_stopped_and_the_others_go_on():
    _, errors = outcomes(work.sleep, [0.0, 600.0, 0.01], stall_limit_s=3.0)
    error = errors.pop(600.0)
    assert set(errors) == {0.0, 0.01}
    assert error.step == "decode"
    assert "no result within 3 s" in error.reason


def test_a_task_may_take_longer_than_the_limit_while_it_hands_over_parts():
    parts, errors = outcomes(work.sleep_often, [(6, 0.5)], stall_limit_s=2.0)
    assert parts == {(6, 0.5): list(range(6))}
    assert errors == {(6, 0.5): None}


def test_a_slow_reader_is_not_taken_for_a_stuck_worker():
    events = run_isolated(work.count_to, [60], n_workers=1, stall_limit_s=0.5, step="decode")
    seen = []
    for _, event in events:
        if len(seen) == 1:
            time.sleep(2)  # the queue is full by then
        seen.append(event)
    assert seen == [*range(60), Finished(None)]


def test_a_worker_that_dies_of_its_task_fails_that_task_only():
    parts, errors = outcomes(work.exit_if_negative, [1, -7, 2])
    assert "died 2 times (exit code 7)" in errors.pop(-7).reason
    assert errors == {1: None, 2: None}
    assert parts[1] == [1]


def test_a_worker_killed_from_outside_costs_no_task(tmp_path):
    events = run_isolated(
        work.report_pid_then_wait, [tmp_path / "go"], n_workers=1, stall_limit_s=30, step="decode"
    )
    seen = []
    for _, event in events:
        seen.append(event)
        if len(seen) == 1:
            os.kill(event, signal.SIGKILL)
            (tmp_path / "go").touch()
    assert isinstance(seen[1], Restarted)
    assert seen[2] != seen[0]
    assert seen[3:] == ["done", Finished(None)]


def test_an_unforeseen_error_fails_its_own_task_only():
    _, errors = outcomes(work.fail_if_text, ["text", 1])
    assert errors["text"].step == "decode"
    assert "TypeError: unsupported operand" in errors["text"].reason
    assert errors[1] is None


def test_an_error_of_the_clip_keeps_its_step():
    _, errors = outcomes(work.raise_media_error, ["probe"])
    assert (errors["probe"].step, errors["probe"].reason) == ("probe", "no good")
    assert isinstance(errors["probe"], MediaError)


def test_an_error_that_is_no_fault_of_the_clip_ends_the_run():
    with pytest.raises(EncoderError, match="no such model"):
        outcomes(work.raise_encoder_error, [1, 2, 3])


def test_tasks_are_drawn_only_as_fast_as_results_are_taken():
    drawn = []

    def tasks():
        for k in range(1000):
            drawn.append(k)
            yield 100

    run = run_isolated(work.count_to, tasks(), n_workers=1, stall_limit_s=20, step="decode")
    next(run)
    run.close()
    assert len(drawn) < 3


def test_no_worker_outlives_the_run():
    run = run_isolated(work.report_pid, range(4), n_workers=2, stall_limit_s=20, step="decode")
    pids = {event for _, event in run if isinstance(event, int)}
    assert pids
    assert not any(_is_running(pid) for pid in pids)


def _is_running(pid: int) -> bool:
    return subprocess.run(["kill", "-0", str(pid)], capture_output=True).returncode == 0
