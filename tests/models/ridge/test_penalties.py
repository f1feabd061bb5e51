import numpy as np

from models.folds import WHOLE
from models.ridge.equations import FoldGram
from models.ridge.penalties import CHOOSING_TOLERANCE, RidgeCandidates, choose

ALPHAS = (0.01, 10.0, 1.0)


class Ledger:
    """Candidates whose errors tell which folds were left out."""

    folds = (0, 1, 2)

    def __init__(self):
        self.asked = []

    def errors(self, excluded):
        self.asked.append(excluded)
        # On fold 0 candidate 0 is right, elsewhere candidate 1; target 1 the other way round.
        return {
            fold: np.array([[0.0, 1.0], [1.0, 0.0]]) if fold == 0 else np.array([[1.0, 0], [0, 1]])
            for fold in excluded
        }


def test_no_choice_looks_at_the_fold_it_is_for():
    ledger = Ledger()
    best = [choose(ledger, fold).tolist() for fold in (0, 1, WHOLE)]
    # Folds 1 and 2 agree; folds 0 and 2 tie, which takes the first.
    assert best == [[1, 0], [0, 0], [1, 0]]
    assert ledger.asked == [(0, 1), (0, 2), (0, 1), (1, 2), (0,), (1,), (2,)]


def test_rough_solutions_choose_what_exact_ones_choose(monkeypatch):
    rng = np.random.default_rng(0)
    traits = rng.normal(size=(900, 200)) * np.arange(1, 201) ** -0.5
    x = traits @ rng.normal(size=(200, 600)) + 0.3 * rng.normal(size=(900, 600))
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    noise = np.array([0.1, 0.5, 2.0, 8.0, 30.0])
    y = traits[:, :5] @ rng.normal(size=(5, 5)) + noise * rng.normal(size=(900, 5))
    alphas = 10.0 ** np.arange(3, -2.1, -0.5)
    gram, found = FoldGram(x, np.arange(900) % 5), []
    for tolerance in (CHOOSING_TOLERANCE, 1e-8):
        monkeypatch.setattr("models.ridge.penalties.CHOOSING_TOLERANCE", tolerance)
        family = RidgeCandidates(gram, y, alphas)
        found.append([choose(family, fold).tolist() for fold in (*gram.folds, WHOLE)])
    assert found[0] == found[1]
    assert len(np.unique(found[0][-1])) > 2
