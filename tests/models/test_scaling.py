import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from models.scaling import LEAST_LIMIT, InputScaler


@pytest.fixture
def view():
    return np.random.default_rng(0).normal(3, 2, size=(40, 12)).astype(np.float32)


def test_equals_scikit_learn_and_what_is_missing_or_constant_becomes_zero(view):
    gaps = view.copy()
    gaps[:7, 3:6], gaps[:, 0], gaps[:, 1] = np.nan, 0.1, np.nan
    scaler = InputScaler().fit(gaps)
    expected = StandardScaler().fit(gaps[:, 2:].astype(np.float64)).transform(view[:, 2:])
    np.testing.assert_allclose(scaler.transform(view)[:, 2:], expected, atol=1e-5)
    np.testing.assert_array_equal(scaler.transform(view)[:, :2], 0)
    np.testing.assert_array_equal(scaler.transform(gaps)[:7, 3:6], 0)


def test_neither_chunks_nor_work_in_place_show(view, monkeypatch):
    view[:7, 3:6] = np.nan
    expected = InputScaler().fit(view).transform(view)
    monkeypatch.setattr("models.scaling.CHUNK_VALUES", 36)
    scaler = InputScaler().fit(view)
    assert scaler.transform(view, copy=False) is view
    np.testing.assert_allclose(view, expected, atol=1e-6)


def test_new_rows_are_cut_where_training_saw_nothing_like_them(view):
    view[0, 0] = 1000.0
    scaler = InputScaler().fit(view)
    far = np.full((1, 12), 1e6, dtype=np.float32)
    cut = scaler.transform(far)[0]
    assert cut[1] == pytest.approx(LEAST_LIMIT)
    largest = (view[0, 0] - view[:, 0].mean()) / view[:, 0].std()
    assert scaler.transform(view)[0, 0] == pytest.approx(largest, rel=1e-4)


@pytest.mark.parametrize(
    ("bands", "new", "said"),
    [
        ((), np.ones((2, 11)), "X has 11 columns, the fitted head 12"),
        ((), np.full((2, 12), np.inf), "infinity"),
        ((9, 2), np.ones((2, 12)), r"\(9, 2\) are 11 columns, X has 12"),
    ],
)
def test_other_widths_and_infinite_values_are_refused(view, bands, new, said):
    with pytest.raises(ValueError, match=said):
        InputScaler(bands).fit(view).transform(new)


def test_encoders_share_the_variance_as_the_roots_of_their_columns(view):
    scaled = InputScaler((9, 1, 2)).fit(view).transform(view)
    variances = [np.square(part).sum() / 40 for part in np.split(scaled, [9, 10], axis=1)]
    roots = np.sqrt([9, 1, 2])
    np.testing.assert_allclose(variances, 12 * roots / roots.sum(), rtol=1e-4)
