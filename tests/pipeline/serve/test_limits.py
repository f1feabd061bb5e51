import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from pipeline.serve.app import create_app
from tests.pipeline.serve.conftest import LIMITS, n_uploads, until


@pytest.fixture
def go(predictor, monkeypatch):
    """Whether predictions go on; they do for the warm-up."""
    go, embed = threading.Event(), predictor.embed
    go.set()
    monkeypatch.setattr(predictor, "embed", lambda *a, **b: go.wait(30) and embed(*a, **b))
    return go


def test_to_more_than_may_wait_it_is_busy_at_once(predictor, go, disk, picture):
    app, files = create_app(predictor, LIMITS), {"file": ("a.mp4", picture)}
    with ThreadPoolExecutor() as pool, TestClient(app, base_url="http://localhost") as client:
        go.clear()
        n = LIMITS.waiting + 1
        calls = [pool.submit(client.post, "/predict", files=files) for _ in range(n)]
        until(lambda: n_uploads(client.get) == 3)
        reply = client.post("/predict", files=files)
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) > 0
        assert "busy" in reply.json()["detail"]
        go.set()
        assert [call.result().status_code for call in calls] == [200] * n
        assert client.post("/predict", files=files).status_code == 200


def test_an_answer_has_a_time_limit_and_its_prediction_keeps_the_place_until_it_ends(
    predictor, go, disk, picture
):
    limits, files = replace(LIMITS, waiting=0, answer_s=0.2), {"file": ("a.mp4", picture)}
    with TestClient(create_app(predictor, limits), base_url="http://localhost") as client:
        go.clear()
        replies = [client.post("/predict", files=files) for _ in range(2)]
        assert [reply.status_code for reply in replies] == [504, 503]
        assert "0.2 s" in replies[0].json()["detail"]
        assert n_uploads(client.get) == 1
        go.set()
        until(lambda: n_uploads(client.get) == 0)
        go.clear()
        assert client.post("/predict", files=files).status_code == 504
        threading.Timer(0.3, go.set).start()
    assert go.is_set()  # what runs at the end is waited for
