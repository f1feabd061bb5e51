"""What a part adds: the scores of every subset of some parts, with and without each of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from models.evaluation.bootstrap import Interval, percentile_interval, probability_better
from models.evaluation.compare import MemberScore

Subset = tuple[str, ...]


@dataclass(frozen=True)
class Gain:
    """What a part adds to others.

    Attributes
    ----------
    part : str
        What is added.
    to : tuple of str
        The parts that are there already.
    gain : float
        Difference of the mean Pearson, with the part less without it; NaN without a score.
    interval : Interval
        95 % interval of the difference over resampled people, the same ones with and without.
    p_better : float
        Share of the resamples in which the score is higher with the part; ties count half.
    """

    part: str
    to: Subset
    gain: float
    interval: Interval
    p_better: float


def subsets(parts: Sequence[str]) -> list[Subset]:
    """Return every subset of the parts but the empty one: small ones first, parts in their order.

    Examples
    --------
    >>> subsets(["face", "voice"])
    [('face',), ('voice',), ('face', 'voice')]
    """
    sizes = range(1, len(parts) + 1)
    return [subset for size in sizes for subset in combinations(parts, size)]


def gains(scores: Mapping[Subset, MemberScore]) -> list[Gain]:
    """Return what each part adds to each subset that lacks it.

    Parameters
    ----------
    scores : mapping of tuple of str to MemberScore
        By subset, as `subsets` gives them, of the same rows and resamples (`score_members`). A pair
        of which one is missing, such as a subset whose fit failed, has no gain.

    Returns
    -------
    list of Gain
        Part by part, in the order of the subsets.
    """
    parts = dict.fromkeys(part for subset in scores for part in subset)
    found = []
    for part in parts:
        for both, with_part in scores.items():
            to = tuple(other for other in both if other != part)
            if part in both and to in scores:
                found.append(_gain(part, to, with_part, scores[to]))
    return found


def _gain(part: str, to: Subset, with_part: MemberScore, without: MemberScore) -> Gain:
    return Gain(
        part=part,
        to=to,
        gain=with_part.mean_pearson - without.mean_pearson,
        interval=percentile_interval(with_part.resampled - without.resampled),
        p_better=probability_better(with_part.resampled, without.resampled),
    )
