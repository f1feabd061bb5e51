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
    close_to,
    embed_file,
    of_input,
    pictures,
    small_model,
)

VIDEO = of_input("video")


def encoder(folder: Path, **more: object) -> Encoder:
    given = "video" if folder.name in VIDEO else "pictures"
    spec = {"kind": "transformers", "input": given, "model": str(folder), "weights": "folder"}
    return make_encoder(spec | more)


@pytest.mark.parametrize("kind", of_input("pictures", "video"))
def test_a_vector_is_a_hidden_state_of_the_library_s_for_what_its_processor_makes(kind, tmp_path):
    folder, is_video = small_model(tmp_path / kind, kind), kind in VIDEO
    n_frames = 4 if is_video else 1
    images = [Image.fromarray(each.transpose(1, 2, 0)) for each in pictures(n_frames, (41, 57))]
    if is_video:
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
    off = 1.1 / 255 / preprocessing.std[0] if is_video else 1e-5  # torchvision rounds
    assert (piece / 255 - mean) / std == pytest.approx(values.reshape(piece.shape).numpy(), abs=off)
    rows = ours.load_model(CPU).submit(piece[None] if is_video else piece)()
    axes = (2, 3) if states[0].ndim == 4 else 1
    expected = [states[layer].mean(axes)[0].numpy() for layer in (0, -1)]
    assert rows[0] == close_to(np.concatenate(expected), 0.01 if is_video else 1e-4)
    names = "layer_0", f"layer_{len(states) - 1}"
    assert [*ours.columns().items()] == [*zip(names, map(len, expected), strict=True)]


def test_the_first_token_and_the_outputs_of_the_head(tmp_path):
    folder = small_model(tmp_path / "vit", "vit", head=True)
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    ours, piece = encoder(folder, tokens="first", logits=True), pictures(1)
    with torch.inference_mode():
        output = model((torch.from_numpy(piece) / 255 - 0.5) / 0.5, output_hidden_states=True)
    expected = torch.cat([output.hidden_states[-1][:, 0], output.logits], dim=1).numpy()
    assert ours.load_model(CPU).submit(piece)() == close_to(expected, 1e-4)
    assert ours.columns() == {"layer_2": 16, "arousal": 1, "valence": 1}


@pytest.mark.parametrize(
    ("processor", "options"),
    [
        ("ViTImageProcessorPil", {"do_resize": False}),
        ("ViTImageProcessorPil", {"do_rescale": False}),
        ("ViTImageProcessorPil", {"resample": Image.Resampling.LANCZOS}),
        ("MobileViTImageProcessorPil", CROPPED),  # blue before red
        ("LevitImageProcessorPil", CROPPED),  # scaled to more than it says
        ("PoolFormerImageProcessorPil", CROPPED),
        ("BridgeTowerImageProcessorPil", {}),  # of a size that depends on the picture
    ],
)
def test_pictures_that_are_prepared_in_another_way_are_refused(tmp_path, processor, options):
    folder = small_model(tmp_path / "vit", "vit")
    getattr(transformers, processor)(**options).save_pretrained(folder)
    with pytest.raises(EncoderError, match="prepares pictures in a way of its own"):
        encoder(folder).picture_preprocessing()


def test_a_random_model_sees_pictures_of_its_own_size():
    random = encoder(Path("vit"), weights="random")
    assert random.picture_preprocessing().geometry == Geometry(
        size_px=(224, 224), mode="squash", interpolation="bilinear"
    )


@pytest.mark.parametrize(
    ("n_frames", "stacks"),
    [(1, ["0000"]), (3, ["0122"]), (8, ["0123", "4567"]), (9, ["0123", "4567", "5678"])],
)
def test_stacks_lie_side_by_side_and_the_last_one_is_full(n_frames, stacks):
    kind = Pictures(frame_rate_hz=4, geometry=Geometry(size_px=(2, 2)), n_frames=4)
    waiting, cuts = [], []
    for number in range(n_frames):
        waiting.append((number / 4, np.full((3, 2, 2), number, np.uint8)))
        cuts += kind.take(waiting, at_end=number == n_frames - 1)
    time_s, pieces = (np.concatenate(each) for each in zip(*cuts, strict=True))
    assert ["".join(map(str, stack)) for stack in pieces[:, :, 0, 0, 0]] == stacks
    assert time_s.tolist() == [(int(stack[0]) + int(stack[-1])) / 8 for stack in stacks]


def test_videos_are_embedded_by_windows_at_the_model_s_own_rate(tmp_path, make_clip):
    folder = small_model(tmp_path / "videomae", "videomae")
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
