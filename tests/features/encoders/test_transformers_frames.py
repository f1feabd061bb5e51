from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from features.encoders import Encoder, EncoderError, make_encoder
from features.encoders.pieces import Geometry, Pictures
from features.identity import Sampling, encoder_identity
from tests.features.encoders.samples import (
    CPU,
    CROPPED,
    FRAME_MODELS,
    VIDEO,
    close_to,
    embed_file,
    frame_model,
    pictures,
)


def encoder(folder: Path, **more: object) -> Encoder:
    given = "video" if folder.name in VIDEO else "pictures"
    spec = {"kind": "transformers", "input": given, "model": str(folder), "weights": "folder"}
    return make_encoder(spec | more)


@pytest.mark.parametrize("kind", FRAME_MODELS)
def test_a_vector_is_a_hidden_state_of_the_library_s_for_what_its_processor_makes(kind, tmp_path):
    folder = frame_model(tmp_path / kind, kind)
    n_frames = 4 if kind in VIDEO else 1
    images = [Image.fromarray(each.transpose(1, 2, 0)) for each in pictures(n_frames, (41, 57))]
    if kind in VIDEO:
        processor = transformers.AutoVideoProcessor.from_pretrained(folder)
        inputs = processor([np.stack([*map(np.asarray, images)])], return_tensors="pt")
    else:
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        inputs = processor(images, return_tensors="pt")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    model = model.vision_model if kind == "clip" else model
    model.config.mask_ratio = 0.0  # of MAE, whose tokens have no order then
    with torch.inference_mode():
        states = model(**inputs, output_hidden_states=True).hidden_states
    ours = encoder(folder, layers=[0, len(states) - 1])
    preprocessing = ours.picture_preprocessing()
    piece = np.stack([preprocessing.geometry.apply(image) for image in images])
    mean, std = (np.reshape(each, (3, 1, 1)) for each in (preprocessing.mean, preprocessing.std))
    (values,) = inputs.values()
    off = 1e-5 if kind not in VIDEO else 1.1 / 255 / preprocessing.std[0]  # torchvision rounds
    assert (piece / 255 - mean) / std == pytest.approx(values.reshape(piece.shape).numpy(), abs=off)
    rows = ours.load_model(CPU).submit(piece[None] if kind in VIDEO else piece)()
    axes = (2, 3) if states[0].ndim == 4 else 1
    expected = [states[layer].mean(axes)[0].numpy() for layer in (0, -1)]
    assert rows[0] == close_to(np.concatenate(expected), 1e-4 if kind not in VIDEO else 0.01)
    widths = [len(each) for each in expected]
    assert list(ours.columns().values()) == widths
    assert list(ours.columns()) == ["layer_0", f"layer_{len(states) - 1}"]


def test_the_first_token_and_the_outputs_of_the_head(tmp_path):
    folder = frame_model(tmp_path / "vit", "vit", head=True)
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


@pytest.mark.parametrize(
    ("processor", "options"),
    [
        ("ViTImageProcessorPil", {"do_resize": False}),
        ("MobileViTImageProcessorPil", CROPPED),  # blue before red
        ("LevitImageProcessorPil", CROPPED),  # scaled to more than it says
        ("PoolFormerImageProcessorPil", CROPPED),
    ],
)
def test_pictures_that_are_prepared_in_another_way_are_refused(tmp_path, processor, options):
    folder = frame_model(tmp_path / "vit", "vit")
    getattr(transformers, processor)(**options).save_pretrained(folder)
    with pytest.raises(EncoderError, match="prepares pictures in a way of its own"):
        encoder(folder).picture_preprocessing()


def test_a_random_model_sees_pictures_of_its_own_size():
    random = encoder(Path("vit"), weights="random")
    assert random.picture_preprocessing().geometry == Geometry(
        size_px=(224, 224), mode="squash", interpolation="bilinear"
    )


@pytest.mark.parametrize(
    ("n_frames", "starts"),
    [(1, [[0] * 4]), (3, [[0, 1, 2, 2]]), (8, [0, 4]), (9, [0, 4, 5]), (7, [0, 3])],
)
def test_stacks_lie_side_by_side_and_the_last_one_is_full(n_frames, starts):
    geometry = Geometry(size_px=(2, 2))
    kind = Pictures(frame_rate_hz=4, geometry=geometry, n_frames=4)
    waiting, cuts = [], []
    for number in range(n_frames):
        waiting.append((number / 4, np.full((3, 2, 2), number, np.uint8)))
        cuts += kind.take(waiting, at_end=False)
    cuts += kind.take(waiting, at_end=True)
    time_s, pieces = (np.concatenate(each) for each in zip(*cuts, strict=True))
    expected = [each if isinstance(each, list) else [*range(each, each + 4)] for each in starts]
    assert pieces[:, :, 0, 0, 0].tolist() == expected
    assert time_s.tolist() == [(each[0] + each[-1]) / 8 for each in expected]
    assert waiting == []


def test_videos_are_embedded_by_windows_at_the_model_s_own_rate(tmp_path, make_clip):
    folder = frame_model(tmp_path / "videomae", "videomae")
    clips = [make_clip(f"{n}.mp4", n_frames=n, size=(48, 48)) for n in (3, 20)]  # at 10 Hz
    ours = encoder(folder, window_s=0.8)
    (short_s, short, _), (long_s, long, _) = (embed_file(ours, clip) for clip in clips)
    assert [*short_s, *long_s] == pytest.approx([0.1, 0.3, 1.1, 1.5], abs=0.11)
    assert (short.shape, long.shape) == ((1, 16), (3, 16))
    identities = [
        encoder_identity(each, Sampling(frame_rate_hz=rate_hz, sample_rate_hz=16000))
        for each, rate_hz in ((ours, 3), (ours, 4), (encoder(folder, window_s=1.6), 3))
    ]
    assert identities[0] == identities[1] != identities[2]
