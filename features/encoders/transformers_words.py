"""Words in transformers: models of text, which read transcripts, and Whisper, which writes them.

A recogniser is an encoder too: what it makes of a window of sound is a row of tokens, which goes
through batches and cache as any embedding does.
"""

import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.encoders.pieces import NO_TOKEN, SoundWindows, Texts
from features.encoders.transformers import TransformersNetwork, by_length
from features.encoders.transformers_sound import prepare_sound, sound_lengths
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from features.cache import Embedding
    from features.identity import Sampling

# A probability, a mean logarithm of some, and how much a text may shrink by zlib: OpenAI's.
_NOBODY_SPEAKS, _SURELY_HEARD, _REPEATS = 0.6, -1.0, 2.4
_MULTILINGUAL = 51_865  # tokens of a Whisper that knows several languages
_LANGUAGE, _NO_SPEECH = r"<\|[a-z]{2,3}\|>", ("<|nospeech|>", "<|nocaptions|>")


class TokensNetwork(TransformersNetwork):
    """What hearing and reading have in common: a tokenizer, in the one file that all can have."""

    more_files: ClassVar[tuple[str, ...]] = ("tokenizer.json",)

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer, without padding and truncation."""
        from tokenizers import Tokenizer

        with self._loading("with its tokenizer.json, which `AutoTokenizer` saves"):
            tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def input_description(self) -> str:
        """Return what turns input into numbers, as text."""
        return str(self.tokenizer.to_str())


class TransformersTextEncoder(TokensNetwork):
    """A model of text, which reads the transcript of a clip: BERT, RoBERTa, sentence encoders.

    A hidden state is the mean over all tokens, special ones too; vectors are not normalised.

    Attributes
    ----------
    rows : {"clip", "time"}
        One row for all that is said in a clip, the mean over its tokens; or one for each row of the
        transcript, and each part of it where it is longer than the model takes.
    max_tokens : int
        The most that the model sees at once; of one that takes fewer, those.
    """

    modality = "words"
    unused = ("pooler", "position_ids")
    batches: ClassVar[dict[str, Any]] = {
        "batch_size": {"cpu": 32, "cuda": 256},
        "padding": np.int32(NO_TOKEN),
    }

    kind: Literal["transformers"]
    input: Literal["text"]
    rows: Literal["clip", "time"] = "clip"
    max_tokens: int = Field(default=256, ge=8, le=8192)

    def pieces(self, sampling: "Sampling") -> Texts:  # noqa: ARG002  # words have no rate
        """Take the tokens of texts."""
        n_positions = getattr(self.config, "max_position_embeddings", None) or self.max_tokens
        if self.config.model_type in ("roberta", "xlm-roberta", "camembert"):
            n_positions -= 1 + int(self.config.pad_token_id)  # they count from behind the padding
        return Texts(self.tokenizer.to_str(), min(self.max_tokens, n_positions))

    def rows_of(self, model: Any, pieces: "torch.Tensor") -> "torch.Tensor":
        """Embed texts as tokens (n, max_tokens); gives their numbers and rows (n, 1 + width).

        Texts with the same number of tokens share a pass, so there is no padding.
        """
        import torch

        lengths = (pieces != NO_TOKEN).sum(dim=1)
        rows = torch.zeros(len(pieces), 1 + self.dimension(), device=pieces.device)
        layers = self.kept_layers(self.config.num_hidden_layers)
        for length, same in by_length(lengths):
            output = model(pieces[same, :length].long(), output_hidden_states=True)
            parts = [output.hidden_states[layer].float().mean(dim=1) for layer in layers]
            parts += [output.logits.float()] if self.logits else []
            rows[same] = torch.cat([lengths[same, None].float(), *parts], dim=1)
        return rows

    def finish(
        self, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Make one row of all texts of a clip, or leave one to each."""
        if self.rows == "time":
            return time_s, rows[:, 1:]
        shares = rows[:, 0].astype(np.float64) / rows[:, 0].sum()
        return np.array([shares @ time_s]), (shares @ rows[:, 1:])[None].astype(np.float32)


class Utterance(NamedTuple):
    """What is said from one time of a clip to another; without words where nobody speaks."""

    start_s: float
    end_s: float
    text: str
    language: str
    no_speech: float


class SpecialTokens(NamedTuple):
    """Tokens of a Whisper that stand for no text, by their numbers.

    A text stands between `start` and `end`; behind `start` come one of the `languages`, in a model
    that has any, and the `prompt`. What is `suppressed` is never taken as a token of a text, or not
    as the first one.
    """

    start: int
    end: int
    no_speech: int
    languages: tuple[int, ...]
    prompt: tuple[int, ...]
    suppressed: tuple[int, ...]
    suppressed_first: tuple[int, ...]


class Recogniser(TokensNetwork):
    """A Whisper, which writes down what is said; the section ``transcripts`` of ``params.yaml``.

    Sound is recognised in windows as long as the model takes, 30 s, side by side, always by the
    likeliest token: a text depends on its window and on nothing else.

    Attributes
    ----------
    language : str or None
        Such as ``de``. None: the likeliest in each window. A model of English knows no other.
    context_s : float
        Sound is followed by silence up to a multiple of so many seconds. Whisper was trained with
        30. A short clip takes half the time with 15; with less than 12, tiny.en repeats itself.
    max_tokens : int
        Tokens after which the text of a window ends in any case.
    """

    modality = "sound"
    more_files = ("tokenizer.json", "generation_config.json")
    unused = ()
    batches: ClassVar[dict[str, Any]] = {
        "batch_size": {"cpu": 8, "cuda": 32},
        "padding": np.float32(np.nan),
    }

    kind: Literal["whisper"]
    input: Literal["sound"] = "sound"
    language: str | None = Field(default=None, pattern=r"^[a-z]{2,3}$")
    context_s: float = Field(default=30.0, ge=1)
    max_tokens: int = Field(default=224, ge=8, le=2048)

    @model_validator(mode="after")
    def _has_no_vectors(self) -> "Recogniser":
        idle = sorted(self.model_fields_set & {"dtype", "layers", "logits"})
        if idle:
            raise ValueError(f"{', '.join(idle)}: it makes words, and no vectors")
        return self

    def weights_digest(self) -> str:
        """Digest of the checkpoint's files, with all that makes text of what the network gives."""
        of = f"{super().weights_digest()}{self.tokens}{self.input_description()}"
        return hashlib.sha256(of.encode()).hexdigest()

    def input_description(self) -> str:
        """Return what turns sound into numbers, and numbers into text."""
        return f"{self.processor.to_json_string()}{super().input_description()}"

    def auto_class(self) -> Any:
        """Return what loads a model that writes."""
        import transformers

        return transformers.AutoModelForSpeechSeq2Seq

    def pieces(self, sampling: "Sampling") -> SoundWindows:  # noqa: ARG002  # the model has its own
        """Take windows of sound as long as the model takes."""
        n_samples = 2 * self.processor.hop_length * self.config.max_source_positions
        return SoundWindows(int(self.processor.sampling_rate), int(n_samples))

    def columns(self) -> dict[str, int]:
        """Name and width of what a window gives."""
        names = ("n_samples", "no_speech", "mean_log", "language")
        return {**dict.fromkeys(names, 1), "tokens": self.max_tokens}

    def rows_of(self, model: Any, pieces: "torch.Tensor") -> "torch.Tensor":
        """Recognise windows of sound (n, n_samples), NaN where there is none.

        A row (4 + max_tokens) holds the samples up to the last one; the probability that nobody
        speaks; the mean logarithm of the tokens' probabilities; the language's token, or 0; then
        the text's tokens, behind whose end is the token `SpecialTokens.end`. A window without
        sound is a row of zeros.
        """
        frame_samples = 2 * self.processor.hop_length
        context = frame_samples * math.ceil(
            self.context_s * self.processor.sampling_rate / frame_samples
        )
        lengths = sound_lengths(pieces)
        contexts = (-(-lengths // context) * context).clamp(max=pieces.shape[1])  # all it takes
        rows = pieces.new_zeros(len(pieces), 4 + self.max_tokens)
        for n_samples, same in by_length(contexts):
            sound = pieces[same, :n_samples].nan_to_num(0.0)
            spectra = prepare_sound(model, self.processor, sound, n_samples)
            heard = model.get_encoder()(spectra).last_hidden_state
            rows[same, 0], rows[same, 1:] = lengths[same].float(), self._write(model, heard)
        return rows

    def _write(self, model: Any, heard: "torch.Tensor") -> "torch.Tensor":
        """Return all but the first column of the rows (n, 3 + max_tokens)."""
        import torch
        from transformers import DynamicCache, EncoderDecoderCache

        tokens, n, device = self.tokens, len(heard), heard.device
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

        def step(given: torch.Tensor) -> torch.Tensor:
            output = model.get_decoder()(
                input_ids=given, encoder_hidden_states=heard, cache=cache, use_cache=True
            )
            scores: torch.Tensor = model.proj_out(output.last_hidden_state[:, -1]).float()
            return scores

        scores = step(torch.full((n, 1), tokens.start, device=device))
        no_speech = scores.softmax(dim=1)[:, tokens.no_speech]
        given = torch.tensor([tokens.prompt] * n, device=device)
        language = torch.zeros(n, dtype=torch.long, device=device)
        if tokens.languages:
            known = torch.tensor(tokens.languages, device=device)
            language = known[scores[:, known].argmax(dim=1)]
            given = torch.cat([language[:, None], given], dim=1)
        text = torch.full((n, self.max_tokens), tokens.end, device=device)
        sum_log, n_taken = heard.new_zeros(n, dtype=torch.float32), torch.zeros_like(language)
        has_ended = torch.zeros(n, dtype=torch.bool, device=device)
        for place in range(self.max_tokens):
            scores = step(given)
            scores[:, list(tokens.suppressed)] = -torch.inf
            if place == 0:
                scores[:, list(tokens.suppressed_first)] = -torch.inf
            best, taken = scores.log_softmax(dim=1).max(dim=1)
            taken = taken.where(~has_ended, tokens.end)
            sum_log, n_taken = sum_log + best.where(~has_ended, 0.0), n_taken + ~has_ended
            text[:, place], has_ended = taken, has_ended | (taken == tokens.end)
            if has_ended.all():
                break
            given = taken[:, None]
        about = torch.stack([no_speech, sum_log / n_taken, language.float()], dim=1)
        return torch.cat([about, text], dim=1)

    def finish(
        self, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Put the times from the begin of each window to its middle."""
        return time_s + rows[:, 0] / self.processor.sampling_rate / 2, rows

    def utterances(self, heard: "Embedding") -> Iterator[Utterance]:
        """Read what was heard in each window of a clip.

        A window where probably nobody speaks has no words, unless Whisper is sure of what it heard;
        nor has one of which it says the same over and over, as it does of tones and noise.
        """
        rate_hz, end = self.processor.sampling_rate, self.tokens.end
        for middle_s, row in zip(heard.time_s, heard.values, strict=True):
            half_s, no_speech, mean_log = row[0] / rate_hz / 2, float(row[1]), float(row[2])
            ids = row[4:].astype(int).tolist()
            ids = ids[: ids.index(end)] if end in ids else ids
            has_words = no_speech <= _NOBODY_SPEAKS or mean_log > _SURELY_HEARD
            text = self.tokenizer.decode(ids).strip() if has_words else ""
            content = text.encode()
            if len(content) > _REPEATS * len(zlib.compress(content)):
                text = ""
            token = self.tokenizer.id_to_token(int(row[3])) if row[3] else None
            language = token.strip("<|>") if token else "en"
            times_s = max(float(middle_s - half_s), 0.0), float(middle_s + half_s)
            yield Utterance(*times_s, text, language, no_speech)

    @cached_property
    def tokens(self) -> SpecialTokens:
        """The model's special tokens; an EncoderError where its tokenizer is not Whisper's."""
        settings: dict[str, Any] = {}
        for name in ("config.json", "generation_config.json"):  # CTranslate2 has the first one only
            if (path := self.folder / name).is_file():
                settings |= json.loads(path.read_text(encoding="utf-8"))
        size = int(self.config.vocab_size)
        numbers = {name: n for name, n in self.tokenizer.get_vocab().items() if n < size}
        languages = {name: n for name, n in numbers.items() if re.fullmatch(_LANGUAGE, name)}
        is_english = not settings.get("is_multilingual", size >= _MULTILINGUAL)
        if self.language is not None:
            name = f"<|{self.language}|>"
            if name not in languages or (is_english and self.language != "en"):
                raise EncoderError(f"`language: {self.language}`: {self.model} does not know it")
            languages = {name: languages[name]}
        first = settings.get("begin_suppress_tokens", settings.get("suppress_ids_begin")) or []
        never = settings.get("suppress_tokens", settings.get("suppress_ids")) or []
        with self._loading("with a Whisper's special tokens"):
            end, no_timestamps = numbers["<|endoftext|>"], numbers["<|notimestamps|>"]
            never = {each for each in never if 0 <= each < size} | set(range(end + 1, size))
            return SpecialTokens(
                start=numbers["<|startoftranscript|>"],
                end=end,
                no_speech=next(numbers[name] for name in _NO_SPEECH if name in numbers),
                languages=() if is_english else tuple(sorted(languages.values())),
                prompt=(*([] if is_english else [numbers["<|transcribe|>"]]), no_timestamps),
                suppressed=tuple(sorted(never)),
                suppressed_first=tuple(each for each in first if 0 <= each < size),
            )
