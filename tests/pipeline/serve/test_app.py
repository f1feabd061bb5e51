import re

import numpy as np
import pytest

from tests.media import write_clip
from tests.pipeline.finished_run import TARGETS
from tests.pipeline.serve.conftest import form


def predict(client, name, content):
    return client.post("/predict", files={"file": (name, content)})


def test_the_answer_is_what_the_predictor_says(client, predictor, clip, tmp_path):
    reply = predict(client, "a clip.mp4", clip)
    assert reply.status_code == 200, reply.text
    answer = reply.json()
    path = tmp_path / "same.mp4"
    path.write_bytes(clip)
    embedded = predictor.embed(path, cache_root=tmp_path / "cache")
    expected, over_time = predictor.table(embedded), predictor.windows(embedded)
    assert answer.pop("duration_s") == pytest.approx(4, abs=0.2)
    assert answer.pop("intensities") == pytest.approx(expected[TARGETS].iloc[0].to_dict(), abs=1e-5)
    for target, values in answer.pop("over_time").items():
        np.testing.assert_allclose(values, over_time[target], atol=1e-5)
    assert answer == {
        "name": "a clip.mp4",
        "has_video": True,
        "has_audio": True,
        "encoders": ["sound", "tiny"],
        "missing": {},
        "random_weights": ["tiny"],
        "time_s": over_time["time_s"].tolist(),
    }


def test_a_picture_is_a_clip_without_a_length_and_sound_alone_one_too(client, picture, tmp_path):
    seen = predict(client, "p.png", picture).json()
    assert (seen["duration_s"], len(seen["time_s"])) == (None, 1)
    only_sound = write_clip(tmp_path / "s.mp4", n_frames=0, sound_s=2).read_bytes()
    heard = predict(client, "voice.m4a", only_sound).json()
    assert (heard["has_video"], heard["encoders"]) == (False, ["sound"])


def test_the_page_needs_nothing_from_elsewhere_and_allows_only_its_own_code(client):
    reply = client.get("/")
    assert reply.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in reply.headers["content-security-policy"]
    assert not re.search(r"https?:(?!//www\.w3\.org/)", reply.text)
    assert not re.search(r"\son\w+=|\sstyle=|innerHTML|<script .*src", reply.text)


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((host, 400) for host in ("evil.example", "localhost.evil.example", "", "192.168.1.5")),
        *((host, 200) for host in ("localhost:8000", "127.0.0.1", "[::1]:8000")),
    ],
)
def test_only_known_host_names_are_answered(client, host, status):
    assert client.get("/health", headers={"Host": host}).status_code == status


def test_uploads_from_other_sites_pages_are_refused(client, picture):
    files = {"file": ("a.mp4", picture)}
    for origin in ("https://evil.example", "null", "http://["):
        reply = client.post("/predict", files=files, headers={"Origin": origin})
        assert reply.status_code == 403
    reply = client.post("/predict", files=files, headers={"Origin": "http://localhost"})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        (b"../../../../etc/passwd", "passwd"),
        (b"..\\..\\windows\\x.mp4", "x.mp4"),
        (b"a/", "clip"),
        (b"%2e%2e%2fx.mp4", "%2e%2e%2fx.mp4"),
        (b"<img src=x onerror=alert(1)>.mp4", "<img src=x onerror=alert(1)>.mp4"),
        ("\u00fcn\u00ef \U0001f600.mp4".encode(), "\u00fcn\u00ef \U0001f600.mp4"),
        (b"long" * 100 + b".mp4", "long" * 50),
        (b"pattern%03d.png", "pattern%03d.png"),
    ],
)
def test_a_name_is_shown_and_never_a_path(client, picture, filename, shown):
    reply = client.post("/predict", **form(filename, picture))
    assert reply.status_code == 200, reply.text
    assert reply.json()["name"] == shown


FORM = "multipart/form-data; boundary=XX"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        *((kind, b"{}") for kind in ("application/json", "multipart/form-data", "text/plain")),
        (FORM, b""),
        (FORM, b"no boundary here"),
        (FORM, b"--XX\r\nContent-Dispo"),
        (FORM, b"--XX\r\n\r\nno header\r\n--XX--\r\n"),
        (FORM, b"--XX\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\n"),
        (FORM, form(b"a.mp4", b"x", field=b"other")["content"]),
        (FORM, form(b"a.mp4", b"x")["content"][:-8] + form(b"b", b"y")["content"]),
    ],
)
def test_a_form_that_is_wrong_is_refused(client, kind, body):
    reply = client.post("/predict", content=body, headers={"Content-Type": kind})
    assert reply.status_code in (400, 422), reply.text


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_too_large_is_refused(client, announced):
    body = form(b"a.mp4", bytes(4_000_000))
    if not announced:
        content = body["content"]
        body["content"] = (content[k : k + 65536] for k in range(0, len(content), 65536))
    assert client.post("/predict", **body).status_code == 413


@pytest.mark.parametrize("ending", ["avi", "mov", "mkv"])
def test_the_name_an_upload_has_changes_no_number(client, tmp_path, ending):
    path = write_clip(tmp_path / f"c.{ending}", n_frames=20, size=(32, 32), sound_s=0)
    names = [f"C.{ending.upper()}", "wrong.jpg", "x" * 300]
    replies = [client.post("/predict", **form(name.encode(), path.read_bytes())) for name in names]
    found = [reply.json()["intensities"] for reply in replies]
    assert all(each == pytest.approx(found[0], abs=1e-6) for each in found)
