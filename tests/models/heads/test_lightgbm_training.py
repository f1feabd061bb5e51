import numpy as np
import pytest

from models.heads.lightgbm_training import train

PARAMETERS = {"seed": 0, "verbosity": -1, "num_threads": 1, "min_child_samples": 5, "max_bin": 15}


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = x @ rng.normal(size=(4, 5)) + 0.1 * rng.normal(size=(300, 5))
    y[::3, 3] = np.nan  # one target is labelled elsewhere
    y[:20] = np.nan  # rows that are not to be trained on
    return x, y


@pytest.mark.parametrize("n_at_once", [1, 2, 5])
def test_targets_that_share_a_table_get_the_trees_of_their_own(table, n_at_once):
    x, y = table
    boosters = train(lambda rows: x[rows], y, PARAMETERS, 10, n_at_once)
    trees = [booster.dump_model()["tree_info"] for booster in boosters]
    alone = [train(lambda rows: x[rows], y * own, PARAMETERS, 10, 1) for own in only_one(y)]
    assert trees == [each[place].dump_model()["tree_info"] for place, each in enumerate(alone)]


def only_one(y):
    """Factors that leave the labels of one target as they are, and set those of others to zero."""
    return np.eye(y.shape[1])


def test_rows_are_asked_for_a_few_at_a_time(table):
    x, y = table
    asked = []

    def seen(rows):
        asked.append(len(rows))
        return np.tile(x, (10, 1))[rows]

    train(seen, np.tile(y, (10, 1)), PARAMETERS, 1, 2)
    assert max(asked) <= len(y) * 10 // 4
    assert sum(asked) >= 9 * len(y)
