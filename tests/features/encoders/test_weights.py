import os
import pickle
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch

from features.encoders.weights import (
    one_line,
    read_state_dict,
    seeded,
    torch_hub_file,
    weights_file,
    without_download,
)
from features.errors import EncoderError


def no_fetch(tag: str) -> Path:
    raise AssertionError(f"{tag} was fetched")


def test_a_tag_comes_before_a_file_of_the_same_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tag").touch()
    assert weights_file("tag", ["tag"], lambda tag: Path("fetched")) == Path("fetched")
    assert weights_file("tag", ["other"], no_fetch) == Path("tag")


def test_the_home_folder_can_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.pt").touch()
    assert weights_file("~/a.pt", [], no_fetch) == tmp_path / "a.pt"


def test_a_hub_address_is_a_file_in_its_cache(tmp_path, put_on_hub):
    file = tmp_path / "a.onnx"
    file.write_bytes(b"bytes")
    put_on_hub(file, "owner/repo", "folder/a.onnx")
    with without_download():
        assert weights_file("hf://owner/repo/folder/a.onnx").read_bytes() == b"bytes"


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


def test_a_checkpoint_runs_no_code(tmp_path):
    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "made"),))

    path = tmp_path / "evil.pth"
    torch.save({"weight": Evil()}, path)
    with pytest.raises(pickle.UnpicklingError):
        read_state_dict(path)
    assert not (tmp_path / "made").exists()


def test_seeded_networks_leave_the_global_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = seeded(lambda: torch.nn.Linear(2, 2), 0).weight
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(seeded(lambda: torch.nn.Linear(2, 2), 0).weight, first)


def test_long_messages_become_one_line():
    text = one_line(ValueError("a\n  b " + "c" * 500), limit=20)
    assert text == "a b " + "c" * 16 + " …"
