import os
import time

import pytest

from features.encoders import EncoderError, make_encoder
from features.media import MediaError
from features.workers import run_isolated

# Standard functions serve as work, since worker processes must be able to import it.


def outcomes(work, tasks, timeout_s=20.0, n_workers=2):
    run = run_isolated(work, tasks, n_workers=n_workers, timeout_s=timeout_s, step="decode")
    return dict(run)


def test_every_task_comes_back_once():
    assert outcomes(abs, range(-20, 0)) == {k: -k for k in range(-20, 0)}


def test_no_tasks_is_no_work():
    assert outcomes(abs, []) == {}


def test_a_task_that_hangs_is_stopped_and_the_others_go_on():
    found = outcomes(time.sleep, [0.0, 600.0, 0.01], timeout_s=3.0)
    error = found.pop(600.0)
    assert found == {0.0: None, 0.01: None}
    assert isinstance(error, MediaError)
    assert error.step == "decode"
    assert "no result within 3 s" in error.reason


def test_a_worker_that_dies_fails_its_own_task_only():
    found = outcomes(os._exit, [7])
    assert "died (exit code 7)" in found[7].reason


def test_an_unforeseen_error_fails_its_own_task_only():
    found = outcomes(abs, ["text", -1])
    assert found.pop(-1) == 1
    assert "TypeError: bad operand" in found["text"].reason


def test_an_error_that_is_no_fault_of_the_clip_ends_the_run():
    spec = {"kind": "nothing"}
    with pytest.raises(EncoderError, match="unknown encoder kind"):
        list(run_isolated(make_encoder, [spec], n_workers=1, timeout_s=20, step="decode"))


def test_tasks_are_drawn_only_as_fast_as_results_are_taken():
    drawn = []

    def tasks():
        for k in range(1000):
            drawn.append(k)
            yield k

    run = run_isolated(abs, tasks(), n_workers=1, timeout_s=20, step="decode")
    next(run)
    run.close()
    assert len(drawn) < 10
