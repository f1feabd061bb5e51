from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from features.encoders.weights import torch_hub_file, weights_file, without_download
from features.errors import EncoderError


def no_fetch(tag: str) -> Path:
    raise AssertionError(f"{tag} was fetched")


def test_a_tag_comes_before_a_file_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("tag").write_bytes(b"x")
    assert weights_file("tag", ["tag"], lambda tag: Path("fetched")) == Path("fetched")
    assert weights_file("tag", ["other"], no_fetch) == Path("tag")
    assert weights_file("~/tag", [], no_fetch) == tmp_path / "tag"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: copy or download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1f\n", "`git lfs pull`"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "is a web page"),
        (bytes(5000), "zeros only"),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.onnx"])
def test_what_stands_in_the_place_of_weights_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EncoderError, match=rf"{name} holds no weights: .*{message}"):
        weights_file(str(path))


@pytest.mark.parametrize("address", ["hf://owner/repo/absent.pt", "hf://owner/a.pt", "hf://"])
def test_a_hub_address_that_cannot_be_had_is_an_error(address, put_on_hub):
    with pytest.raises(EncoderError, match=r"cannot be fetched.*Otherwise give a local file"):
        weights_file(address)


@pytest.mark.parametrize(
    ("weights", "tags", "message"),
    [
        ("a.pth", ["tag"], r"no weights file a\.pth"),
        ("folder/a", ["tag"], "no weights file folder/a"),
        ("tga", ["tag"], r"unknown weights 'tga': expected one of \['tag', 'random'\], the path"),
        ("tga", None, "unknown weights 'tga': expected the path of a file, or hf://"),
    ],
)
def test_what_is_neither_tag_nor_file_says_what_was_expected(weights, tags, message):
    with pytest.raises(EncoderError, match=message):
        weights_file(weights, tags, no_fetch)


def test_an_encoder_error_while_fetching_is_passed_on():
    def refuse(tag: str) -> Path:
        raise EncoderError("set another model")

    with pytest.raises(EncoderError, match="^set another model$"):
        weights_file("tag", ["tag"], refuse)


def test_nothing_is_downloaded_within_the_context(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    downloaded = []
    monkeypatch.setattr(
        torch.hub,
        "download_url_to_file",
        lambda url, path, digest: downloaded.append((url, Path(path).name, digest)),
    )
    url = "https://example.org/resnet18-f37072fd.pth"
    with without_download():
        assert huggingface_hub.constants.HF_HUB_OFFLINE
        with pytest.raises(FileNotFoundError, match=r"resnet18-f37072fd\.pth has not been"):
            torch_hub_file(url)
    assert not huggingface_hub.constants.HF_HUB_OFFLINE
    assert not downloaded
    torch_hub_file(url)
    assert downloaded == [(url, "resnet18-f37072fd.pth", "f37072fd")]
