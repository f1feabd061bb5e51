"""Forms that a client could send; see `test_hostile` for what is in them."""

import errno

import pytest

from pipeline.serve.upload import FIELD
from tests.pipeline.serve.conftest import form


@pytest.mark.parametrize(
    ("filename", "shown"),
    [
        (b"../../../../etc/passwd", "passwd"),
        (b"..\\..\\windows\\x.mp4", "x.mp4"),
        (b"/etc/cron.d/x.mp4", "x.mp4"),
        (b"..", ".."),
        (b".", "."),
        (b"a/", "clip"),
        (b"", "clip"),
        (b"a\x00b.mp4", "ab.mp4"),
        (b"%2e%2e%2fx.mp4", "%2e%2e%2fx.mp4"),
        (b"<img src=x onerror=alert(1)>.mp4", "<img src=x onerror=alert(1)>.mp4"),
        (b"x.mp4/../../y.m3u8", "y.m3u8"),
        (b"x.tar.gz;rm -rf ~", "x.tar.gz;rm -rf ~"),
        (b"\xff\xfe.mp4", "\N{REPLACEMENT CHARACTER}" * 2 + ".mp4"),
        ("ünï 😀.mp4".encode(), "ünï 😀.mp4"),
        (b"long" * 100 + b".mp4", "long" * 50),
        (b"con.mp4", "con.mp4"),
        (b"-i.mp4", "-i.mp4"),
        (b"file:///etc/passwd", "passwd"),
        (b"pattern%03d.png", "pattern%03d.png"),
    ],
)
def test_a_name_is_shown_and_never_a_path(client, clip, filename, shown):
    reply = client.post("/predict", **form(filename, clip))
    assert reply.status_code == 200, reply.text
    assert reply.json()["name"] == shown


def test_what_is_no_form_is_refused(client):
    for kind in ("application/json", "multipart/form-data", "multipart/mixed; boundary=x", "ä"):
        headers = {"Content-Type": kind.encode("latin-1")}
        reply = client.post("/predict", content=b"{}", headers=headers)
        assert reply.status_code == 415
        assert FIELD in reply.json()["detail"]
    assert client.post("/predict").status_code == 415


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "cut short"),
        (b"no boundary here", "not a multipart form"),
        (b"--XX--\r\n", "no file"),
        (b"--XX\r\nContent-Dispo", "cut short"),
        (b"--XX\r\n\r\nno header\r\n--XX--\r\n", "expected one file"),
        (b'--XX\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--XX--', "expected one"),
        (b"--XX\r\n" + b"X-Much: y\r\n" * 1000 + b"\r\n", "not a multipart form"),
        (b"--XX\r\nX-Long: " + b"y" * 100_000 + b"\r\n\r\n", "not a multipart form"),
        (b"--XX\r\nBad\x00Header: 1\r\n\r\n", "not a multipart form"),
    ],
)
def test_a_form_that_is_wrong_is_refused(client, body, detail):
    reply = client.post("/predict", content=body, headers=form(b"", b"")["headers"])
    assert reply.status_code == 400
    assert detail in reply.json()["detail"]


def test_a_boundary_that_is_too_long_is_refused(client):
    headers = {"Content-Type": "multipart/form-data; boundary=" + "X" * 300}
    reply = client.post("/predict", content=b"", headers=headers)
    assert reply.status_code == 400
    assert "not a multipart form" in reply.json()["detail"]


def test_one_file_in_its_field_and_nothing_else(client, clip):
    one = form(b"a.mp4", clip)["content"].removesuffix(b"--XX--\r\n")
    twice = {**form(b"", b""), "content": one + one + b"--XX--\r\n"}
    for body in (twice, form(b"a.mp4", clip, field=b"other")):
        reply = client.post("/predict", **body)
        assert reply.status_code == 400
        assert "expected one file, in the field 'file'" in reply.json()["detail"]


def test_a_form_cut_short_is_refused(client, clip):
    body = form(b"a.mp4", clip)
    body["content"] = body["content"][: len(clip) // 2]
    reply = client.post("/predict", **body)
    assert (reply.status_code, reply.json()["detail"]) == (400, "the form is cut short")


@pytest.mark.parametrize("announced", [True, False])
def test_what_is_too_large_is_refused(client, announced):
    body = form(b"a.mp4", bytes(4_000_000))
    if not announced:
        content = body["content"]
        body["content"] = (content[k : k + 65536] for k in range(0, len(content), 65536))
    reply = client.post("/predict", **body)
    assert (reply.status_code, reply.json()["detail"]) == (413, "the upload is larger than 3 MB")


def test_a_full_disk_is_told(client, clip, monkeypatch):
    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipeline.serve.upload._Form._take", write)
    reply = client.post("/predict", **form(b"a.mp4", clip))
    assert reply.status_code == 507
