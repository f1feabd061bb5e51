import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from models.scaling import LEAST_LIMIT, InputScaler


@pytest.fixture
def view():
    return np.random.default_rng(0).normal(3, 2, size=(40, 12)).astype(np.float32)


def test_equals_scikit_learn_without_gaps(view):
    expected = StandardScaler().fit_transform(view.astype(np.float64))
    scaler = InputScaler()
    np.testing.assert_allclose(scaler.fit_transform(view), expected, atol=1e-5)
    np.testing.assert_allclose(scaler.transform(view), expected, atol=1e-5)


def test_neither_chunks_nor_work_in_place_show(view, monkeypatch):
    view[:7, 3:6] = np.nan
    expected = InputScaler().fit(view).transform(view)
    monkeypatch.setattr("models.scaling.CHUNK_VALUES", 36)
    scaler = InputScaler().fit(view)
    assert scaler.transform(view, copy=False) is view
    np.testing.assert_allclose(view, expected, atol=1e-6)


def test_a_missing_block_takes_the_training_mean(view):
    view[:7, 3:6] = np.nan
    scaler = InputScaler().fit(view)
    filled = view.copy()
    filled[:7, 3:6] = np.nanmean(view[:, 3:6], axis=0)
    np.testing.assert_array_equal(scaler.transform(view)[:7, 3:6], 0)
    np.testing.assert_allclose(scaler.transform(view), scaler.transform(filled), atol=1e-5)


def test_constant_and_empty_columns_become_zero(view):
    view[:, 0], view[:, 1] = 0.1, np.nan
    scaler = InputScaler().fit(view)
    view[:, 0], view[:, 1] = 5.0, 5.0
    np.testing.assert_array_equal(scaler.transform(view)[:, :2], 0)


def test_new_rows_are_cut_where_training_saw_nothing_like_them(view):
    view[0, 0] = 1000.0
    scaler = InputScaler().fit(view)
    far = np.full((1, 12), 1e6, dtype=np.float32)
    cut = scaler.transform(far)[0]
    assert cut[1] == pytest.approx(LEAST_LIMIT)
    largest = (view[0, 0] - view[:, 0].mean()) / view[:, 0].std()
    assert scaler.transform(view)[0, 0] == pytest.approx(largest, rel=1e-4)


def test_another_width_is_refused(view):
    with pytest.raises(ValueError, match="X has 11 columns, the fitted head 12"):
        InputScaler().fit(view).transform(view[:, :11])


def test_infinite_values_are_refused(view):
    view[2, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        InputScaler().fit(view)


def test_encoders_share_the_variance_as_the_roots_of_their_columns(view):
    scaled = InputScaler((9, 1, 2)).fit(view).transform(view)
    parts = np.split(scaled, [9, 10], axis=1)
    roots = np.sqrt([9, 1, 2])
    variances = [np.square(part).sum() / 40 for part in parts]
    np.testing.assert_allclose(variances, 12 * roots / roots.sum(), rtol=1e-4)
    with pytest.raises(ValueError, match=r"\(9, 2\) are 11 columns, X has 12"):
        InputScaler((9, 2)).fit(view)
