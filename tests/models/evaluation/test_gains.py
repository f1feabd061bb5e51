from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.evaluation.compare import score_members
from models.evaluation.gains import gains, subsets

PARTS = ["face", "voice", "words"]


@given(st.lists(st.text(min_size=1, max_size=3), unique=True, min_size=1, max_size=5))
def test_subsets_are_all_but_the_empty_one_each_once(parts):
    found = subsets(parts)
    assert len(found) == len(set(found)) == 2 ** len(parts) - 1
    assert [len(subset) for subset in found] == sorted(len(subset) for subset in found)
    assert found[-1] == tuple(parts)


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(60, 3))
    people = np.arange(60) // 4
    signal = dict(zip(PARTS, (0.3, 1.0, 0.1), strict=True))
    members = [
        y * sum(signal[part] for part in subset) + rng.normal(size=y.shape)
        for subset in subsets(PARTS)
    ]
    return dict(zip(subsets(PARTS), score_members(y, members, people, 300, 0), strict=True))


def test_gains_are_those_of_a_direct_computation(scores):
    found = {(gain.part, gain.to): gain for gain in gains(scores)}
    pairs = {
        (part, to)
        for part in PARTS
        for size in (1, 2)
        for to in combinations([other for other in PARTS if other != part], size)
    }
    assert set(found) == pairs
    assert len(pairs) == 9
    for (part, to), gain in found.items():
        both = scores[tuple(p for p in PARTS if p == part or p in to)]
        difference = both.resampled - scores[to].resampled
        assert gain.gain == pytest.approx(both.pearson.mean() - scores[to].pearson.mean())
        low, high = np.quantile(difference, [0.025, 0.975])
        assert (gain.interval.low, gain.interval.high) == pytest.approx((low, high))
        assert gain.p_better == pytest.approx((difference > 0).mean())
    assert found["voice", ("words",)].interval.low > 0


def test_a_subset_without_a_score_has_no_gain(scores):
    known = {subset: score for subset, score in scores.items() if subset != ("face", "voice")}
    found = {(gain.part, gain.to) for gain in gains(known)}
    assert len(found) == 9 - 3
    assert ("words", ("face", "voice")) not in found
    assert ("voice", ("face",)) not in found
    assert gains({}) == []
