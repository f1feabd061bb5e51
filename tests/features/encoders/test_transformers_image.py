from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from features.encoders import Encoder, EncoderError, make_encoder
from features.encoders.pieces import Geometry
from tests.features.encoders.samples import CPU, SMALL, close_to, pictures

PATCHES = {"image_size": 32, "patch_size": 16}
STAGES = {"depths": [1, 1], "hidden_sizes": [8, 16]}
CONFIGS = {
    "vit": (SMALL | PATCHES, {"size": {"height": 32, "width": 32}}),
    "dinov2": (
        SMALL | PATCHES,
        {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}},
    ),
    "swin": (
        {
            **{"image_size": 32, "patch_size": 4, "embed_dim": 8, "window_size": 4},
            **{"depths": [1, 1], "num_heads": [1, 1]},
        },
        {"size": {"height": 32, "width": 32}},
    ),
    "convnext": (STAGES | {"num_stages": 2}, {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    "resnet": (STAGES | {"embedding_size": 8}, {"size": {"shortest_edge": 32}, "crop_pct": 0.875}),
    "clip": (
        {
            "vision_config": SMALL | PATCHES,
            "text_config": SMALL | {"vocab_size": 8, "eos_token_id": 1},
        },
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    ),
}
PROCESSORS = {
    "vit": "ViTImageProcessorPil",
    "dinov2": "BitImageProcessorPil",
    "swin": "ViTImageProcessorPil",
    "convnext": "ConvNextImageProcessorPil",
    "resnet": "ConvNextImageProcessorPil",
    "clip": "CLIPImageProcessorPil",
}


def picture_model(folder: Path, kind: str, head: bool = False) -> Path:
    """Save a small model of pictures and its processor."""
    torch.manual_seed(3)
    settings, processor = CONFIGS[kind]
    labels = {"id2label": {0: "calm", 1: "moved"}}
    config = transformers.AutoConfig.for_model(kind, **settings, **labels)
    auto = transformers.AutoModelForImageClassification if head else transformers.AutoModel
    auto.from_config(config).save_pretrained(folder)
    getattr(transformers, PROCESSORS[kind])(**processor).save_pretrained(folder)
    return folder


def encoder(folder: Path, **more: object) -> Encoder:
    spec = {"kind": "transformers_image", "model": str(folder), "weights": "folder"}
    return make_encoder(spec | more)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_vector_is_a_hidden_state_of_the_library_s_for_a_picture_of_its_processor(kind, tmp_path):
    folder = picture_model(tmp_path / kind, kind)
    image = Image.fromarray(pictures(1, (41, 57))[0].transpose(1, 2, 0))
    processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
    values = processor(image, return_tensors="pt").pixel_values
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = model.vision_model if kind == "clip" else model
    with torch.inference_mode():
        states = model(values, output_hidden_states=True).hidden_states
    ours = encoder(folder, layers=[0, len(states) - 1])
    preprocessing = ours.picture_preprocessing()
    piece = preprocessing.geometry.apply(image)
    mean, std = (np.reshape(each, (3, 1, 1)) for each in (preprocessing.mean, preprocessing.std))
    assert (piece / 255 - mean) / std == pytest.approx(values[0].numpy(), abs=1e-5)
    rows = ours.load_model(CPU).submit(piece[None])()
    axes = (2, 3) if states[0].ndim == 4 else 1
    expected = [states[layer].mean(axes)[0].numpy() for layer in (0, -1)]
    assert rows[0] == close_to(np.concatenate(expected), 1e-4)
    widths = [len(each) for each in expected]
    assert list(ours.columns().values()) == widths
    assert list(ours.columns()) == ["layer_0", f"layer_{len(states) - 1}"]


def test_the_first_token_and_the_outputs_of_the_head(tmp_path):
    folder = picture_model(tmp_path / "vit", "vit", head=True)
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    ours = encoder(folder, tokens="first", logits=True)
    preprocessing, piece = ours.picture_preprocessing(), pictures(1)
    values = (torch.from_numpy(piece) / 255 - 0.5) / 0.5
    assert preprocessing.mean == preprocessing.std == (0.5, 0.5, 0.5)
    with torch.inference_mode():
        output = model(values, output_hidden_states=True)
    expected = torch.cat([output.hidden_states[-1][:, 0], output.logits], dim=1).numpy()
    assert ours.load_model(CPU).submit(piece)() == close_to(expected, 1e-4)
    assert ours.columns() == {"layer_2": 16, "calm": 1, "moved": 1}


def test_pictures_that_are_prepared_in_another_way_are_refused(tmp_path):
    folder = picture_model(tmp_path / "vit", "vit")
    transformers.ViTImageProcessorPil(do_resize=False).save_pretrained(folder)
    with pytest.raises(EncoderError, match="prepares pictures in a way of its own"):
        encoder(folder).picture_preprocessing()
    random = encoder("vit", weights="random")
    assert random.picture_preprocessing().geometry == Geometry(
        size_px=(224, 224), mode="squash", interpolation="bilinear"
    )
