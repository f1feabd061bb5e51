import pytest
import torchvision

from features.encoders import EncoderError, make_encoder


def spec(model: str, weights: str, **more: object) -> dict[str, object]:
    return {"kind": "torchvision", "model": model, "weights": weights, **more}


def test_preprocessing_is_that_of_the_tag():
    tags = torchvision.models.ResNet50_Weights
    for name in ("IMAGENET1K_V1", "IMAGENET1K_V2"):
        preset = tags[name].transforms()
        preprocessing = make_encoder(spec("resnet50", name)).picture_preprocessing()
        assert preprocessing.geometry.resize_px == tuple(preset.resize_size * 2)
        assert list(preprocessing.mean) == preset.mean


def test_an_unknown_model_lists_the_known_ones():
    with pytest.raises(EncoderError, match="no classifier 'resnet5'.*resnet50"):
        make_encoder(spec("resnet5", "random")).weights_digest()


def test_a_model_without_a_linear_layer_is_refused():
    with pytest.raises(EncoderError, match="no penultimate vector"):
        make_encoder(spec("squeezenet1_0", "random")).dimension()
