import open_clip
import open_clip.pretrained
import pytest

from features.encoders import EncoderError, make_encoder
from tests.features.encoders.samples import embed, pictures


def spec(model: str, weights: str, **more: object) -> dict[str, object]:
    return {"kind": "open_clip", "model": model, "weights": weights, **more}


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


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(EncoderError, match="no model 'ViT-Z'.*ViT-B-32"):
        make_encoder(spec("ViT-Z", "random")).weights_digest()


def test_a_tag_trained_with_another_activation_is_refused():
    with pytest.raises(EncoderError, match="model: ViT-B-32-quickgelu"):
        make_encoder(spec("ViT-B-32", "openai")).weights_digest()
