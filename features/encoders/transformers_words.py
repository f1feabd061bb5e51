"""Words in Hugging Face's transformers: Whisper, which hears them, and models that read them.

Both are encoders: what a recogniser makes of a window of sound is a row of tokens, which goes
through batches and cache as any embedding does.
"""

import hashlib
import json
import math
import re
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.encoders.pieces import NO_TOKEN, SoundWindows, Texts
from features.encoders.transformers import TransformersNetwork
from features.encoders.weights import PACKAGE, weights_file
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from features.cache import Embedding
    from features.encoders.torch_model import TorchModel
    from features.encoders.words_networks import SpecialTokens
    from features.identity import Sampling

_TEXTS = {"cpu": 32, "cuda": 256}
_WINDOWS = {"cpu": 8, "cuda": 32}
"""Texts, and windows of sound, in a batch."""

# A probability, a mean logarithm of some, and how much a text may shrink by zlib: OpenAI's.
_NOBODY_SPEAKS, _SURELY_HEARD, _REPEATS = 0.6, -1.0, 2.4
_MULTILINGUAL = 51_865  # tokens of a Whisper that knows several languages


class Utterance(NamedTuple):
    """What is said from one time of a clip to another; without words where nobody speaks."""

    start_s: float
    end_s: float
    text: str
    language: str
    no_speech: float


class _TokensNetwork(TransformersNetwork):
    """What hearing and reading have in common: a tokenizer, in the one file that all can have."""

    more_files: ClassVar[tuple[str, ...]] = ("tokenizer.json",)

    @cached_property
    def tokenizer(self) -> "Tokenizer":
        """The model's own tokenizer.

        Raises
        ------
        EncoderError
            When the model has none in a file ``tokenizer.json``.
        """
        from tokenizers import Tokenizer

        path = self._beside("tokenizer.json")
        if not path.is_file():
            raise EncoderError(
                f"{self.model} has no tokenizer.json: take a copy of its folder, and save into it "
                "`AutoTokenizer.from_pretrained(...)`, which writes one"
            )
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    def input_description(self) -> str:
        """Return what turns input into numbers, as text."""
        return str(self.tokenizer.to_str())

    def _beside(self, name: str) -> Path:
        if self.weights.startswith(PACKAGE):
            return weights_file(self.weights).with_name(name)
        return (self._folder or Path(self.model)) / name


class TransformersTextEncoder(_TokensNetwork):
    """A model of text, which reads the transcript of a clip: BERT, RoBERTa, sentence encoders.

    A hidden state is the mean over all tokens, special ones too; vectors are not normalised.

    Attributes
    ----------
    rows : {"clip", "time"}
        One row for all that is said in a clip, the mean over its tokens; or one for each row of the
        transcript, and each part of it where it is longer than the model takes.
    max_tokens : int
        The most that the model sees at once.
    """

    modality = "words"
    unused = ("pooler", "position_ids")

    kind: Literal["transformers"]
    input: Literal["text"]
    rows: Literal["clip", "time"] = "clip"
    max_tokens: int = Field(default=256, ge=8, le=8192)

    def default_processor(self) -> Any:
        """Return the tokenizer: there is none by default."""
        return self.tokenizer

    def pieces(self, sampling: "Sampling") -> Texts:  # noqa: ARG002  # words have no rate
        """Take the tokens of texts."""
        n_positions = getattr(self.config, "max_position_embeddings", None) or self.max_tokens
        if self.config.model_type in ("roberta", "xlm-roberta", "camembert"):
            n_positions -= 1 + int(self.config.pad_token_id)  # they count from behind the padding
        if self.max_tokens > n_positions:
            raise EncoderError(
                f"`max_tokens: {self.max_tokens}`: {self.model} takes {n_positions} at most"
            )
        return Texts(self.tokenizer.to_str(), self.max_tokens)

    def load_model(self, device: "torch.device | None" = None) -> "TorchModel":
        """Load the model onto a device."""
        from features.encoders.torch_model import TorchModel
        from features.encoders.words_networks import TextNetwork

        layers = self.kept_layers(self.config.num_hidden_layers)
        network = TextNetwork(
            self.network(), layers=layers, logits=self.logits, width=self.dimension()
        )
        padding = np.int32(NO_TOKEN)
        return TorchModel(network, self.precision, device, batch_size=_TEXTS, padding=padding)

    def is_clip_level(self) -> bool:
        """Whether a clip is one row."""
        return self.rows == "clip"

    def finish(
        self, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Make one row of all texts of a clip, or leave one to each."""
        if self.rows == "time":
            return time_s, rows[:, 1:]
        shares = rows[:, 0].astype(np.float64) / rows[:, 0].sum()
        return np.array([shares @ time_s]), (shares @ rows[:, 1:])[None].astype(np.float32)


class Recogniser(_TokensNetwork):
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

    def default_processor(self) -> Any:
        """Return Whisper's."""
        import transformers

        return transformers.WhisperFeatureExtractor(feature_size=self.config.num_mel_bins)

    def pieces(self, sampling: "Sampling") -> SoundWindows:  # noqa: ARG002  # the model has its own
        """Take windows of sound as long as the model takes."""
        if self.config.model_type != "whisper":
            raise EncoderError(
                f"{self.model} ({self.config.model_type}) is no Whisper: no other model can be "
                "named in `transcripts`; import what another one wrote by `eri import transcripts`"
            )
        n_samples = 2 * self.processor.hop_length * self.config.max_source_positions
        return SoundWindows(int(self.processor.sampling_rate), int(n_samples))

    def load_model(self, device: "torch.device | None" = None) -> "TorchModel":
        """Load the model onto a device."""
        from features.encoders.torch_model import TorchModel
        from features.encoders.words_networks import RecogniserNetwork

        frame_samples = 2 * self.processor.hop_length
        n_frames = math.ceil(self.context_s * self.processor.sampling_rate / frame_samples)
        network = RecogniserNetwork(
            self.network(),
            self.processor,
            self.tokens,
            context_samples=frame_samples * min(n_frames, self.config.max_source_positions),
            max_tokens=self.max_tokens,
        )
        padding = np.float32(np.nan)
        return TorchModel(network, self.precision, device, batch_size=_WINDOWS, padding=padding)

    def columns(self) -> dict[str, int]:
        """Name and width of what a window gives."""
        names = ("n_samples", "no_speech", "mean_log", "language")
        return {**dict.fromkeys(names, 1), "tokens": self.max_tokens}

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
    def tokens(self) -> "SpecialTokens":
        """The model's special tokens.

        Raises
        ------
        EncoderError
            When its tokenizer is not Whisper's, or does not know the language.
        """
        from features.encoders.words_networks import SpecialTokens

        settings: dict[str, Any] = {}
        for name in ("config.json", "generation_config.json"):  # CTranslate2 has the first one only
            if (path := self._beside(name)).is_file():
                settings |= json.loads(path.read_text(encoding="utf-8"))
        numbers = self.tokenizer.get_vocab()
        size = int(self.config.vocab_size)

        def number(*names: str) -> int:
            found = [numbers[name] for name in names if name in numbers]
            if not found or found[0] >= size:
                raise EncoderError(f"{self.model} has no token {names[0]}: expected a Whisper")
            return found[0]

        end = number("<|endoftext|>")
        is_english = not settings.get("is_multilingual", size >= _MULTILINGUAL)
        languages = {name for name in numbers if re.fullmatch(r"<\|[a-z]{2,3}\|>", name)}
        if self.language is not None:
            if f"<|{self.language}|>" not in languages or (is_english and self.language != "en"):
                raise EncoderError(f"`language: {self.language}`: {self.model} does not know it")
            languages = {f"<|{self.language}|>"}
        first = settings.get("begin_suppress_tokens", settings.get("suppress_ids_begin")) or []
        never = settings.get("suppress_tokens", settings.get("suppress_ids")) or []
        never = {each for each in never if 0 <= each < size} | set(range(end + 1, size))
        no_timestamps = number("<|notimestamps|>")
        return SpecialTokens(
            start=number("<|startoftranscript|>"),
            end=end,
            no_speech=number("<|nospeech|>", "<|nocaptions|>"),
            languages=() if is_english else tuple(sorted(map(number, languages))),
            prompt=(no_timestamps,) if is_english else (number("<|transcribe|>"), no_timestamps),
            suppressed=tuple(sorted(never)),
            suppressed_first=tuple(each for each in first if 0 <= each < size),
        )
