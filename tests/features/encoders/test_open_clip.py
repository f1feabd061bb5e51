from pathlib import Path

import huggingface_hub.constants
import numpy as np
import open_clip
import open_clip.pretrained
import pytest
import torch

from features.encoders import EncoderError, make_encoder
from features.encoders.weights import without_download
from tests.features.encoders.samples import embed, normalised, pictures


def spec(model: str, weights: str, **more: object) -> dict[str, object]:
    return {"kind": "open_clip", "model": model, "weights": weights, **more}


@pytest.fixture
def checkpoint(tiny_clip: str, tmp_path: Path) -> Path:
    torch.manual_seed(7)
    path = tmp_path / "tiny.pt"
    torch.save(open_clip.create_model(tiny_clip).state_dict(), path)
    return path


def test_random_weights_depend_on_the_seed_alone(tiny_clip):
    torch.manual_seed(1)
    first = embed(make_encoder(spec(tiny_clip, "random")), pictures(2))
    torch.manual_seed(2)
    again = embed(make_encoder(spec(tiny_clip, "random")), pictures(2))
    other = embed(make_encoder(spec(tiny_clip, "random", seed=1)), pictures(2))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_local_file_gives_the_library_s_own_embedding(tiny_clip, checkpoint):
    reference = open_clip.create_model(tiny_clip, str(checkpoint)).eval()
    encoder = make_encoder(spec(tiny_clip, str(checkpoint)))
    with torch.inference_mode():
        expected = reference.encode_image(normalised(pictures(2), encoder.preprocessing))
    ours = embed(encoder, pictures(2))
    assert ours == pytest.approx(expected.numpy(), abs=1e-5)
    assert encoder.dimension() == ours.shape[1]


def test_a_tower_that_also_returns_tokens_gives_its_embedding(tiny_clip, monkeypatch):
    create = open_clip.create_model

    def create_with_tokens(*args, **kwargs):
        model = create(*args, **kwargs)
        model.visual.output_tokens = True
        return model

    expected = embed(make_encoder(spec(tiny_clip, "random")), pictures(2))
    monkeypatch.setattr(open_clip, "create_model", create_with_tokens)
    encoder = make_encoder(spec(tiny_clip, "random"))
    assert embed(encoder, pictures(2)) == pytest.approx(expected, abs=1e-5)
    assert encoder.dimension() == expected.shape[1]


@pytest.fixture
def tag(tiny_clip, monkeypatch) -> str:
    cfg = open_clip.pretrained._pcfg(hf_hub="eri/tiny/", mean=(0.1,) * 3, interpolation="bilinear")
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_clip, {"tag": cfg})
    return "tag"


def test_a_tag_is_taken_from_the_hub_s_local_cache(tiny_clip, tag, checkpoint, put_on_hub):
    put_on_hub(checkpoint, "eri/tiny", "open_clip_pytorch_model.bin")
    encoder = make_encoder(spec(tiny_clip, tag))
    assert encoder.preprocessing.mean == (0.1, 0.1, 0.1)
    assert encoder.preprocessing.geometry.interpolation == "bilinear"
    local = make_encoder(spec(tiny_clip, str(checkpoint), preprocessing_of=tag))
    assert encoder.weights_digest() == local.weights_digest()
    assert np.array_equal(embed(encoder, pictures(2)), embed(local, pictures(2)))


def test_a_local_file_can_take_the_preprocessing_of_a_tag(tiny_clip, tag, checkpoint):
    plain = make_encoder(spec(tiny_clip, str(checkpoint))).preprocessing
    tagged = make_encoder(spec(tiny_clip, str(checkpoint), preprocessing_of=tag)).preprocessing
    assert tagged == make_encoder(spec(tiny_clip, tag)).preprocessing != plain
    with pytest.raises(EncoderError, match=r"preprocessing_of: tagg.*\['tag'\]"):
        _ = make_encoder(spec(tiny_clip, str(checkpoint), preprocessing_of="tagg")).preprocessing


def test_a_tag_that_cannot_be_fetched_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    encoder = make_encoder(spec("ViT-B-32", "laion2b_s34b_b79k"))
    with without_download(), pytest.raises(EncoderError, match=r"cannot be fetched.*local file"):
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
    with pytest.raises(EncoderError, match=r"other\.pt cannot be loaded into eri-tiny"):
        embed(make_encoder(spec(tiny_clip, str(path))), pictures(1))


def test_a_file_that_lacks_weights_is_refused(tiny_clip, checkpoint):
    state = torch.load(checkpoint)
    del state["visual.conv1.weight"]
    torch.save(state, checkpoint)
    with pytest.raises(EncoderError, match=r"cannot be loaded into eri-tiny.*visual\.conv1"):
        embed(make_encoder(spec(tiny_clip, str(checkpoint))), pictures(1))


def test_a_file_that_holds_no_weights_is_refused(tiny_clip, tmp_path):
    path = tmp_path / "broken.pt"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(EncoderError, match=r"broken\.pt cannot be loaded"):
        embed(make_encoder(spec(tiny_clip, str(path))), pictures(1))


def test_the_dimension_is_found_without_weights():
    with without_download():
        assert make_encoder(spec("ViT-B-32", "laion2b_s34b_b79k")).dimension() == 512


def test_a_tag_trained_with_another_activation_is_refused():
    with pytest.raises(EncoderError, match="model: ViT-B-32-quickgelu"):
        make_encoder(spec("ViT-B-32", "openai")).weights_digest()
