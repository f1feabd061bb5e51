import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.imports.findings import RefusedError
from pipeline.imports.splitting import split_by_person


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=30), st.integers(0, 99), st.randoms())
def test_people_stay_together_and_every_split_has_one(sizes, seed, random):
    people = [f"p{k}" for k, size in enumerate(sizes) for _ in range(size)]
    split = split_by_person(pd.Series(people), (0.7, 0.15, 0.15), seed)
    split_of = dict(zip(people, split, strict=True))
    assert [split_of[person] for person in people] == split
    assert set(split) == {"Train", "Val", "Test"}
    random.shuffle(people)
    again = split_by_person(pd.Series(people), (0.7, 0.15, 0.15), seed)
    assert dict(zip(people, again, strict=True)) == split_of


def test_shares_are_kept_and_nonsense_is_refused():
    people = pd.Series([f"p{k // 5}" for k in range(1000)])
    counts = pd.Series(split_by_person(people, (0.7, 0.3, 0), 0)).value_counts().to_dict()
    assert counts == {"Train": 700, "Val": 300}
    with pytest.raises(RefusedError, match="sum to 1"):
        split_by_person(people, (0.7, 0.3, 0.3), 0)
    with pytest.raises(RefusedError, match="1 people"):
        split_by_person(people[:5], (0.7, 0.15, 0.15), 0)
