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


@pytest.mark.parametrize("n_components", [None, 4])
def test_fit_transform_equals_fit_then_transform(view, n_components):
    view[:7, 3:6] = np.nan
    scaler = InputScaler(n_components)
    np.testing.assert_allclose(
        scaler.fit_transform(view), scaler.fit(view).transform(view), atol=1e-5
    )


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


def test_projection_is_narrow_centred_and_of_mean_square_one(view):
    projected = InputScaler(5).fit_transform(view)
    assert projected.shape == (40, 5)
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-5)
    assert np.square(projected).mean() == pytest.approx(1, rel=0.05)


def test_projection_is_clipped_to_the_rows(view):
    assert InputScaler(11).fit_transform(view[:6]).shape == (6, 5)


def test_narrow_views_are_not_projected(view):
    np.testing.assert_array_equal(
        InputScaler(12).fit_transform(view), InputScaler().fit_transform(view)
    )


def test_randomized_projection_repeats_byte_for_byte():
    wide = np.random.default_rng(1).normal(size=(200, 600)).astype(np.float32)
    first, second = (InputScaler(10, seed=3).fit_transform(wide) for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_a_view_without_any_variation_projects_to_zero():
    np.testing.assert_array_equal(InputScaler(2).fit_transform(np.ones((5, 8))), 0)


def test_another_width_is_refused(view):
    with pytest.raises(ValueError, match="X has 11 columns, the fitted head 12"):
        InputScaler().fit(view).transform(view[:, :11])


def test_infinite_values_are_refused(view):
    view[2, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        InputScaler().fit(view)
