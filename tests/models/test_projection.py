import numpy as np
import pytest
from sklearn.decomposition import PCA

from models.projection import principal_axes
from models.ridge.equations import FoldGram


def table(n_rows, n_columns, seed=0):
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(n_rows, 30)) * np.arange(1, 31) ** -0.7
    x = parts @ rng.normal(size=(30, n_columns)) + 0.01 * rng.normal(size=(n_rows, n_columns))
    return (x + 3).astype(np.float32)


@pytest.mark.parametrize("shape", [(60, 40), (40, 60), (600, 500)], ids=str)
def test_equals_scikit_learn_but_for_scale_and_signs(shape):
    x = table(*shape)
    folds = np.arange(len(x)) % 3
    projection, again = (
        principal_axes(FoldGram(x, folds).equations((0,)), 8, seed=0) for _ in range(2)
    )
    assert projection.axes.tobytes() == again.axes.tobytes()
    train = x[folds != 0]
    pca = PCA(8).fit(train.astype(np.float64))
    expected, found = pca.transform(x), projection.apply(x)
    assert np.square(found[folds != 0]).mean() == pytest.approx(1, rel=1e-3)
    ratio = np.linalg.norm(expected) / np.linalg.norm(found)
    np.testing.assert_allclose(np.abs(found) * ratio, np.abs(expected), rtol=1e-2, atol=2e-2)
    np.testing.assert_allclose(found[folds != 0].mean(axis=0), 0, atol=1e-3)


def test_no_more_components_than_there_are():
    x = table(6, 20)
    gram = FoldGram(x, np.zeros(6, np.int64))
    assert principal_axes(gram.equations(), 11, 0).apply(x).shape == (6, 5)
    flat = np.ones((5, 8), np.float32)
    projection = principal_axes(FoldGram(flat, np.zeros(5, np.int64)).equations(), 2, 0)
    np.testing.assert_array_equal(projection.apply(flat), 0)


def test_weak_components_survive_the_randomized_solver(monkeypatch):
    rng = np.random.default_rng(0)
    traits = rng.normal(size=(900, 500)) * np.arange(1, 501) ** -1.0
    x = (traits @ rng.normal(size=(500, 700)) / 10).astype(np.float32)
    folds = np.zeros(900, np.int64)
    matrix = FoldGram(x, folds).equations().matrix
    monkeypatch.setattr("models.ridge.equations.EXACT_SIZE", 0)
    axes = principal_axes(FoldGram(x, folds).equations(), 128, 0).axes
    axes = axes / np.linalg.norm(axes, axis=0)
    values = np.linalg.eigvalsh(matrix)[::-1]
    captured = np.einsum("ik,ij,jk->", axes, matrix, axes, optimize=True)
    assert captured > 0.995 * values[:128].sum()
