from pathlib import Path

import huggingface_hub.constants
import open_clip
import open_clip.pretrained
import pytest
import torch

from features.encoders import EncoderError, make_encoder


def spec(model: str, weights: str, **more: object) -> dict[str, object]:
    return {"kind": "open_clip", "model": model, "weights": weights, **more}


@pytest.fixture
def checkpoint(tiny_clip: str, tmp_path: Path) -> Path:
    torch.manual_seed(7)
    path = tmp_path / "tiny.pt"
    torch.save(open_clip.create_model(tiny_clip).state_dict(), path)
    return path


def test_random_weights_depend_on_the_seed_alone(tiny_clip):
    pictures = torch.rand(2, 3, 32, 32)
    torch.manual_seed(1)
    first = make_encoder(spec(tiny_clip, "random")).load_model()(pictures)
    torch.manual_seed(2)
    again = make_encoder(spec(tiny_clip, "random")).load_model()(pictures)
    other = make_encoder(spec(tiny_clip, "random", seed=1)).load_model()(pictures)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_a_local_file_gives_the_library_s_own_embedding(tiny_clip, checkpoint):
    reference = open_clip.create_model(tiny_clip, str(checkpoint)).eval()
    pictures = torch.rand(2, 3, 32, 32)
    ours = make_encoder(spec(tiny_clip, str(checkpoint))).load_model()(pictures)
    assert torch.equal(ours, reference.encode_image(pictures))


def test_a_tag_is_taken_from_the_hub_s_local_cache(tiny_clip, checkpoint, tmp_path, monkeypatch):
    cfg = open_clip.pretrained._pcfg(hf_hub="eri/tiny/", mean=(0.1,) * 3, interpolation="bilinear")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_clip, {"tag": cfg})
    repository = tmp_path / "hub" / "models--eri--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    checkpoint.rename(snapshot / "open_clip_pytorch_model.bin")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    encoder = make_encoder(spec(tiny_clip, "tag"))

    assert encoder.preprocessing.mean == (0.1, 0.1, 0.1)
    assert encoder.preprocessing.geometry.interpolation == "bilinear"
    state = torch.load(snapshot / "open_clip_pytorch_model.bin")
    loaded = encoder.load_model().state_dict()
    assert torch.equal(loaded["conv1.weight"], state["visual.conv1.weight"])


def test_a_tag_that_cannot_be_fetched_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    encoder = make_encoder(spec("ViT-B-32", "laion2b_s34b_b79k"))
    with pytest.raises(EncoderError, match="cannot be fetched.*local file"):
        encoder.weights_digest()


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(EncoderError, match="no model 'ViT-Z'.*ViT-B-32"):
        make_encoder(spec("ViT-Z", "random")).weights_digest()


def test_an_unknown_tag_lists_the_known_ones():
    with pytest.raises(EncoderError, match="unknown weights 'laion'.*laion2b_s34b_b79k"):
        make_encoder(spec("ViT-B-32", "laion")).weights_digest()


def test_a_missing_file_is_named():
    with pytest.raises(EncoderError, match=r"no weights file nowhere/x\.pt"):
        make_encoder(spec("ViT-B-32", "nowhere/x.pt")).weights_digest()


def test_a_file_of_another_architecture_is_refused(tiny_clip, tmp_path):
    path = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(EncoderError, match=r"other\.pt does not fit eri-tiny"):
        make_encoder(spec(tiny_clip, str(path))).load_model()


def test_a_file_that_holds_no_weights_is_refused(tiny_clip, tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(EncoderError, match=r"broken\.pt does not fit"):
        make_encoder(spec(tiny_clip, str(path))).load_model()


def test_a_tag_trained_with_another_activation_is_refused():
    with pytest.raises(EncoderError, match="model: ViT-B-32-quickgelu"):
        make_encoder(spec("ViT-B-32", "openai")).weights_digest()
