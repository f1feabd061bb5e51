"""The contract every head keeps."""

import pickle

import numpy as np
import pytest

from models.arrays import label_patterns
from models.heads import HEADS, make_head
from models.metrics import mean_pearson
from tests.models.small import ENTRIES


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(90, 6)).astype(np.float32)
    y = 0.5 + 0.2 * x[:, :3] + 0.05 * rng.normal(size=(90, 3))
    return x, y, rng.integers(12, size=90)


@pytest.fixture(params=sorted(HEADS))
def kind(request):
    return request.param


def test_learns_what_is_there(kind, clips):
    x, y, groups = clips
    head = make_head(ENTRIES[kind], 0).fit(x[:60], y[:60], groups[:60])
    predicted = head.predict(x[60:])
    assert predicted.shape == (30, 3)
    assert predicted.dtype == np.float64
    score = mean_pearson(y[60:], predicted)
    assert score == 0.0 if kind == "mean" else score > 0.5
    np.testing.assert_allclose(predicted.mean(axis=0), y[60:].mean(axis=0), atol=0.15)


def test_same_seed_gives_same_bytes_and_pickles(kind, clips):
    x, y, groups = clips
    heads = [make_head(ENTRIES[kind], 5).fit(x, y, groups) for _ in range(2)]
    first, second = (head.predict(x).tobytes() for head in heads)
    assert first == second
    assert pickle.loads(pickle.dumps(heads[0])).predict(x).tobytes() == first


def test_inputs_of_unlabelled_rows_and_targets_do_not_matter(kind, clips):
    x, y, groups = clips
    y[40:45] = np.nan
    labelled = ~np.isnan(y).all(axis=1)
    with_rows = make_head(ENTRIES[kind], 0).fit(x, y, groups)
    without = make_head(ENTRIES[kind], 0).fit(x[labelled], y[labelled], groups[labelled])
    np.testing.assert_array_equal(with_rows.predict(x), without.predict(x))


def test_units_of_targets_do_not_matter(kind, clips):
    x, y, groups = clips
    plain = make_head(ENTRIES[kind], 0).fit(x, y, groups).predict(x)
    scaled = make_head(ENTRIES[kind], 0).fit(x, 1024 * y, groups).predict(x)
    np.testing.assert_allclose(scaled, 1024 * plain, rtol=1e-3)


def test_constant_target_is_predicted_as_it_is(kind, clips):
    x, y, groups = clips
    y[:, 1] = 0.7
    predicted = make_head(ENTRIES[kind], 0).fit(x, y, groups).predict(x)
    np.testing.assert_allclose(predicted[:, 1], 0.7, atol=0.01)


def test_a_single_label_is_predicted_as_it_is_and_none_as_nan(kind, clips):
    x, y, groups = clips
    alone = make_head(ENTRIES[kind], 0).fit(x, y[:, :1], groups).predict(x)
    y[1:, 2], y[:, 1] = np.nan, np.nan
    predicted = make_head(ENTRIES[kind], 0).fit(x, y, groups).predict(x)
    np.testing.assert_allclose(predicted[:, :1], alone, atol=1e-3)
    assert np.isnan(predicted[:, 1]).all()
    np.testing.assert_array_equal(predicted[:, 2], y[0, 2])


def test_other_lengths_are_refused(clips):
    x, y, groups = clips
    with pytest.raises(ValueError, match="X 90, y 89, groups 90"):
        make_head({"kind": "mean"}, 0).fit(x, y[1:], groups)


def test_label_patterns_part_targets_by_their_rows():
    nan = np.nan
    targets = np.array([[1, 1, nan, 1], [1, nan, 1, 1], [1, 1, 1, 1]])
    found = {tuple(columns): rows.tolist() for rows, columns in label_patterns(targets)}
    assert found == {
        (0, 3): [True, True, True],
        (1,): [True, False, True],
        (2,): [False, True, True],
    }
