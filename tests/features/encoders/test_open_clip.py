import pytest

from features.encoders import EncoderError, make_encoder


def spec(model: str, weights: str, **more: object) -> dict[str, object]:
    return {"kind": "open_clip", "model": model, "weights": weights, **more}


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(EncoderError, match="no model 'ViT-Z'.*ViT-B-32"):
        make_encoder(spec("ViT-Z", "random")).weights_digest()


def test_a_tag_trained_with_another_activation_is_refused():
    with pytest.raises(EncoderError, match="model: ViT-B-32-quickgelu"):
        make_encoder(spec("ViT-B-32", "openai")).weights_digest()
