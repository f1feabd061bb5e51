import pytest

from models.heads import HEADS, estimated_cost, make_head


@pytest.mark.parametrize("kind", sorted(HEADS))
def test_more_of_anything_costs_no_less(kind):
    head = make_head({"kind": kind}, 0, (300, 700))
    few = estimated_cost(head, 500, 1000, 3)
    assert 0 < few < 60
    for shape in ((50_000, 1000, 3), (500, 5000, 3), (500, 1000, 9)):
        assert estimated_cost(head, *shape) >= few


def test_cheap_heads_come_first():
    cost = {kind: estimated_cost(make_head({"kind": kind}, 0), 30_000, 2_000, 7) for kind in HEADS}
    assert cost["mean"] < cost["ridge"] < cost["mlp"] < 300
    assert cost["ridge"] < cost["kernel_ridge"] < cost["svr"] < 300
