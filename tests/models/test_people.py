import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, silhouette_score

from models import people
from models.arrays import DataError
from models.people import ALONE, cluster_people, nearest_across, silhouette, unit_rows


def faces(n_people: int, per_person: int, noise: float, seed: int = 0, dimension: int = 64):
    """Vectors around a centre per person, in random order, and who they show."""
    rng = np.random.default_rng(seed)
    centres = unit_rows(rng.normal(size=(n_people, dimension)))[0]
    person = rng.permutation(np.repeat(np.arange(n_people), per_person))
    spread = noise * rng.normal(size=(len(person), dimension)) / np.sqrt(dimension)
    return (centres[person] + spread).astype(np.float32) * 7, person


@pytest.mark.parametrize(
    ("n_people", "per_person", "threshold", "n_found"),
    [(20, 5, 0.6, 20), (20, 5, 0.001, 100), (20, 5, 2, 1), (1, 40, 0.6, 1), (40, 1, 0.4, 40)],
)
def test_a_given_threshold_is_kept(n_people, per_person, threshold, n_found):
    label, kept = cluster_people(faces(n_people, per_person, 0.5)[0], threshold)
    assert (kept, sorted(set(label))) == (threshold, list(range(n_found)))


@pytest.mark.parametrize(("noise", "least"), [(0, 1), (0.3, 1), (0.6, 1), (0.8, 0.99)])
def test_people_are_found_without_a_threshold(noise, least):
    vectors, person = faces(30, 8, noise)
    label, _ = cluster_people(vectors)
    assert adjusted_rand_score(person, label) >= least
    assert silhouette(vectors, label) > 0.3


def test_rows_without_a_vector_are_alone():
    vectors, person = faces(10, 5, 0.3)
    vectors[3, 0] = np.nan
    vectors[10] = 0
    vectors[20] = np.inf
    label = cluster_people(vectors)[0]
    assert np.flatnonzero(label == ALONE).tolist() == [3, 10, 20]
    seen = label != ALONE
    assert adjusted_rand_score(label[seen], person[seen]) == 1
    with pytest.raises(DataError, match="none of the 3 clips has a face vector"):
        cluster_people(np.full((3, 4), np.nan))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), noise=st.sampled_from([0.0, 0.5, 1.5]), n=st.integers(1, 12))
def test_the_order_of_clips_does_not_change_who_is_who(seed, noise, n):
    vectors, _ = faces(n, 4, noise, seed, 16)
    order = np.random.default_rng(seed).permutation(len(vectors))
    label, max_distance = cluster_people(vectors)
    moved, again = cluster_people(vectors[order])
    assert max_distance == again
    assert adjusted_rand_score(label[order], moved) == 1


def test_the_silhouette_is_that_of_scikit_learn():
    vectors, person = faces(12, 4, 1)
    person[:3] = [20, 21, 22]  # alone
    expected = silhouette_score(vectors, person, metric="cosine")
    assert silhouette(vectors, person) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("block_values", [1, 2000, 2**26])
def test_the_nearest_across_sides_is_that_of_the_whole_matrix(monkeypatch, block_values):
    monkeypatch.setattr(people, "_BLOCK_VALUES", block_values)
    vectors, side = np.random.default_rng(0).normal(size=(60, 32)), np.arange(60) % 3
    vectors[7] = 3 * vectors[20] + 0.01  # sides 1 and 2
    vectors[42] = vectors[0]  # both on side 0
    vectors[50] = np.nan
    similarity, nearest = nearest_across(vectors, np.array(list("abc"))[side])
    units = np.nan_to_num(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    products = np.where(side[:, None] != side[None], units @ units.T, -1)
    products[:, 50] = -1
    seen = np.arange(60) != 50
    assert similarity[seen] == pytest.approx(products.max(axis=1)[seen], abs=1e-6)
    assert nearest[seen].tolist() == products.argmax(axis=1)[seen].tolist()
    assert np.isnan(similarity[50])
    assert (nearest[7], nearest[20]) == (20, 7)
    assert (nearest_across(vectors[:3], np.zeros(3))[0] == -1).all()
