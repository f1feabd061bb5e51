import numpy as np
import pytest
import torch

from models.ridge.forms import MixedForms, ScaledForms
from models.ridge.shifted import SMALL, solve_shifted

SHIFTS = np.array([[1e3, 10.0, 1.0, 1e-2]])


def system(size, n_right=5, decay=1.0, seed=0):
    """A positive definite matrix with mean eigenvalue 1 and a spectrum that falls by a power."""
    rng = np.random.default_rng(seed)
    vectors = np.linalg.qr(rng.normal(size=(size, size)))[0]
    values = np.arange(1, size + 1.0) ** -decay
    matrix = (vectors * (values / values.mean())) @ vectors.T
    return matrix, rng.normal(size=(size, n_right))


def plain(matrix, right):
    return np.stack([np.linalg.solve(matrix + s * np.eye(len(matrix)), right) for s in SHIFTS[0]])


@pytest.mark.parametrize("size", [30, SMALL + 100], ids=["eliminated", "krylov"])
def test_equals_one_solution_per_shift(size):
    matrix, right = system(size)
    found = solve_shifted(ScaledForms(matrix), right[None], SHIFTS, 1e-9)[0]
    np.testing.assert_allclose(found, plain(matrix, right), atol=1e-6)


@pytest.mark.parametrize("size", [30, SMALL + 100], ids=["eliminated", "krylov"])
def test_a_scale_stands_for_the_scaled_matrix(size):
    matrix, right = system(size)
    scales = np.random.default_rng(1).uniform(0, 2, (3, size))
    scales[1, ::3] = 0
    scales[2, 4:] = 0  # ends early
    found = solve_shifted(
        ScaledForms(matrix, scales), scales[:, :, None] * right, np.repeat(SHIFTS, 3, axis=0), 1e-9
    )
    for scale, each in zip(scales, found, strict=True):
        expected = plain(scale[:, None] * matrix * scale, scale[:, None] * right)
        np.testing.assert_allclose(each, expected, atol=1e-6)


def test_every_scale_has_shifts_of_its_own():
    matrix, right = system(SMALL + 100)
    scales = np.ones((2, SMALL + 100))
    shifts = np.array([[0.5, 20.0], [1.0, 10.0]])
    found = solve_shifted(ScaledForms(matrix, scales), scales[:, :, None] * right, shifts, 1e-9)
    np.testing.assert_allclose(found[1], plain(matrix, right)[[2, 1]], atol=1e-6)


def test_residuals_stay_below_the_tolerance():
    matrix, right = system(900)
    for shift, solution in zip(
        SHIFTS[0], solve_shifted(ScaledForms(matrix), right[None], SHIFTS, 1e-3)[0], strict=True
    ):
        residual = right - matrix @ solution - shift * solution
        assert (np.linalg.norm(residual, axis=0) <= 1.01e-3 * np.linalg.norm(right, axis=0)).all()


def test_float32_is_solved_to_its_resolution():
    matrix, right = system(900)
    found = solve_shifted(
        ScaledForms(matrix.astype(np.float32)), right.astype(np.float32)[None], SHIFTS, 1e-6
    )[0]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:3], plain(matrix, right)[:3], atol=1e-4)


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_right_sides_that_depend_on_each_other(rank):
    matrix, right = system(SMALL + 57)
    right[:, rank:] = right[:, :1] if rank else 0
    found = solve_shifted(ScaledForms(matrix), right[None], SHIFTS, 1e-9)[0]
    np.testing.assert_allclose(found, plain(matrix, right), atol=1e-6)


def test_a_matrix_of_low_rank_ends_early_and_right():
    matrix, right = system(SMALL + 57)
    values, vectors = np.linalg.eigh(matrix)
    matrix = (vectors[:, -9:] * values[-9:]) @ vectors[:, -9:].T
    found = solve_shifted(ScaledForms(matrix), right[None], SHIFTS, 1e-9)[0]
    np.testing.assert_allclose(found, plain(matrix, right), rtol=1e-6, atol=1e-6)


def test_an_empty_matrix_leaves_the_right_side():
    right = np.random.default_rng(0).normal(size=(SMALL + 57, 2))
    found = solve_shifted(
        ScaledForms(np.zeros((len(right), len(right)))), right[None], SHIFTS, 1e-9
    )[0]
    np.testing.assert_allclose(found, right / SHIFTS[0][:, None, None])


@pytest.mark.parametrize("size", [30, SMALL + 100], ids=["eliminated", "krylov"])
def test_torch_gives_the_same(size):
    matrix, right = system(size)
    scales = np.random.default_rng(1).uniform(0, 2, (2, size))
    shifts = np.repeat(SHIFTS, 2, axis=0)
    tensors = [torch.from_numpy(array) for array in (matrix, right, scales)]
    found = solve_shifted(
        ScaledForms(tensors[0], tensors[2]), tensors[2][:, :, None] * tensors[1], shifts, 1e-9
    )
    expected = solve_shifted(ScaledForms(matrix, scales), scales[:, :, None] * right, shifts, 1e-9)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-7)


@pytest.mark.parametrize("size", [30, SMALL + 100], ids=["eliminated", "krylov"])
@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_a_mixture_stands_for_the_weighted_sum(size, kind):
    (first, right), (second, _) = system(size), system(size, seed=1)
    weights = np.array([[1.0, 0.0], [0.3, 2.0]])
    make = torch.from_numpy if kind == "torch" else np.asarray
    forms = MixedForms([make(first), make(second)], weights)
    found = solve_shifted(forms, make(np.stack([right] * 2)), np.repeat(SHIFTS, 2, axis=0), 1e-9)
    for (a, b), each in zip(weights, found, strict=True):
        np.testing.assert_allclose(each, plain(a * first + b * second, right), atol=1e-6)
    np.testing.assert_allclose(forms.traces(), weights @ [np.trace(first), np.trace(second)])
