import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from pipeline.serve.app import create_app
from tests.pipeline.serve.conftest import LIMITS, Held, n_uploads, until


@pytest.fixture
def held(predictor):
    """A predictor that is let through for the warm-up."""
    held = Held(predictor)
    held.go.set()
    return held


def test_to_more_than_may_wait_it_is_busy_at_once(held, disk, picture):
    app, files = create_app(held, LIMITS), {"file": ("a.mp4", picture)}
    with ThreadPoolExecutor() as pool, TestClient(app, base_url="http://localhost") as client:
        held.go.clear()
        n = LIMITS.waiting + 1
        calls = [pool.submit(client.post, "/predict", files=files) for _ in range(n)]
        until(lambda: n_uploads(client.get) == 3)
        reply = client.post("/predict", files=files)
        assert reply.status_code == 503
        assert int(reply.headers["retry-after"]) > 0
        assert "busy" in reply.json()["detail"]
        held.go.set()
        assert [call.result().status_code for call in calls] == [200] * n
        assert client.post("/predict", files=files).status_code == 200


def test_an_answer_has_a_time_limit_and_its_prediction_keeps_the_place_until_it_ends(
    held, disk, picture
):
    limits, files = replace(LIMITS, waiting=0, answer_s=0.2), {"file": ("a.mp4", picture)}
    with TestClient(create_app(held, limits), base_url="http://localhost") as client:
        held.go.clear()
        replies = [client.post("/predict", files=files) for _ in range(2)]
        assert [reply.status_code for reply in replies] == [504, 503]
        assert "0.2 s" in replies[0].json()["detail"]
        assert n_uploads(client.get) == 1
        held.go.set()
        until(lambda: n_uploads(client.get) == 0)
        held.go.clear()
        assert client.post("/predict", files=files).status_code == 504
        threading.Timer(0.3, held.go.set).start()
    assert held.go.is_set()  # what runs at the end is waited for
