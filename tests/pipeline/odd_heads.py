"""Heads that go wrong, and the work of a worker process that knows them."""

import os
import time
from pathlib import Path

import numpy as np

from models.heads import HEADS, Head
from pipeline import comparison


class _OddHead(Head):
    def _fit(self, inputs, targets, groups):
        self.n_targets_ = targets.shape[1]
        self.go_wrong()

    def _predict(self, inputs):
        return np.zeros((len(inputs), self.n_targets_))

    def go_wrong(self):
        raise NotImplementedError


class RaisingHead(_OddHead):
    def go_wrong(self):
        raise RuntimeError("no good")


class HangingHead(_OddHead):
    """Leaves its process's id in the working folder."""

    def go_wrong(self):
        Path("hanging.part").write_text(str(os.getpid()))
        Path("hanging.part").rename("hanging.pid")
        time.sleep(120)


class ExitingHead(_OddHead):
    def go_wrong(self):
        print("last words", flush=True)
        os._exit(7)


class KilledHead(_OddHead):
    def go_wrong(self):
        os.kill(os.getpid(), 9)


class UndefinedHead(_OddHead):
    """Predicts NaN."""

    def go_wrong(self):
        pass

    def _predict(self, inputs):
        return np.full((len(inputs), self.n_targets_), np.nan)


ODD_HEADS = {
    "raising": RaisingHead,
    "hanging": HangingHead,
    "exiting": ExitingHead,
    "killed": KilledHead,
    "undefined": UndefinedHead,
}


REAL_FIT = comparison.fit_in_worker


def fit(work):
    """In place of `pipeline.comparison.fit_in_worker`: workers import it from here, by name."""
    HEADS.update(ODD_HEADS)
    return REAL_FIT(work)
