import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score, silhouette_score

from models.arrays import DataError
from models.cosine import unit_rows
from models.people import ALONE, cluster_people, measure_agreement, measure_separation


def faces(n_people: int, per_person: int, noise: float, seed: int = 0, dimension: int = 64):
    """Vectors around a centre per person, in random order, and who they show."""
    rng = np.random.default_rng(seed)
    centres = unit_rows(rng.normal(size=(n_people, dimension)))[0]
    person = rng.permutation(np.repeat(np.arange(n_people), per_person))
    spread = noise * rng.normal(size=(len(person), dimension)) / np.sqrt(dimension)
    return (centres[person] + spread).astype(np.float32) * 7, person


def same_partition(a, b) -> bool:
    return adjusted_rand_score(a, b) == 1


@pytest.mark.parametrize(("noise", "least"), [(0, 1), (0.3, 1), (0.6, 1), (0.8, 0.99)])
def test_people_are_found_without_a_threshold(noise, least):
    vectors, person = faces(30, 8, noise)
    label, _ = cluster_people(vectors)
    assert adjusted_rand_score(person, label) >= least
    assert measure_separation(vectors, label).silhouette > 0.3


def test_a_given_threshold_is_kept():
    vectors, person = faces(20, 5, 0.5)
    assert same_partition(cluster_people(vectors, 0.6)[0], person)
    assert cluster_people(vectors, 0.6)[1] == 0.6
    assert len(set(cluster_people(vectors, 0.001)[0])) == len(vectors)
    assert len(set(cluster_people(vectors, 2)[0])) == 1


def test_one_person_is_one_and_all_distinct_are_all_apart():
    assert set(cluster_people(faces(1, 40, 0.5)[0], 0.6)[0]) == {0}
    assert cluster_people(faces(40, 1, 0)[0], 0.4)[0].tolist() == list(range(40))


def test_rows_without_a_vector_are_alone():
    vectors, person = faces(10, 5, 0.3)
    vectors[3, 0] = np.nan
    vectors[10] = 0
    vectors[20] = np.inf
    label = cluster_people(vectors)[0]
    assert np.flatnonzero(label == ALONE).tolist() == [3, 10, 20]
    seen = label != ALONE
    assert same_partition(label[seen], person[seen])


def test_no_vector_at_all_is_an_error():
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
    assert same_partition(label[order], moved)


def test_the_silhouette_is_that_of_scikit_learn():
    vectors, person = faces(12, 4, 1)
    person[:3] = [20, 21, 22]  # alone
    expected = silhouette_score(vectors, person, metric="cosine")
    assert measure_separation(vectors, person).silhouette == pytest.approx(expected, abs=1e-5)


def test_the_similarities_are_those_of_pairs():
    vectors, person = faces(3, 4, 1)
    products = unit_rows(vectors)[0] @ unit_rows(vectors)[0].T
    same = person[:, None] == person[None]
    off = ~np.eye(12, dtype=bool)
    found = measure_separation(vectors, person)
    assert found.within == pytest.approx(products[same & off].mean(), abs=1e-5)
    others = [
        max(row[person == k].mean() for k in {0, 1, 2} - {own})
        for row, own in zip(products, person, strict=True)
    ]
    assert found.nearest_other == pytest.approx(np.mean(others), abs=1e-5)


def test_agreement_counts_rows_with_both():
    label = np.array([0, 0, 1, 1, ALONE, 2])
    found = measure_agreement(label, ["a", "a", "b", "b", "c", None])
    assert (found.n_rows, found.adjusted_rand) == (4, 1)
    split = measure_agreement(np.arange(4), ["a", "a", "b", "b"])
    assert split.homogeneity == pytest.approx(1)
    assert split.completeness < 1
    assert measure_agreement(label, [None] * 6) is None
