"""Models of text in transformers, which read transcripts, and the tokenizers of words."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from features.encoders.pieces import NO_TOKEN, Texts
from features.encoders.transformers import TransformersNetwork, by_length
from features.encoders.weights import PACKAGE, weights_file
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

    from features.identity import Sampling


class TokensNetwork(TransformersNetwork):
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

        path = self.beside("tokenizer.json")
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

    def beside(self, name: str) -> Path:
        """Return where a file lies that belongs to the weights."""
        if self.weights.startswith(PACKAGE):
            return weights_file(self.weights).with_name(name)
        return (self._folder or Path(self.model)) / name


class TransformersTextEncoder(TokensNetwork):
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
        if self.max_tokens > n_positions:
            raise EncoderError(
                f"`max_tokens: {self.max_tokens}`: {self.model} takes {n_positions} at most"
            )
        return Texts(self.tokenizer.to_str(), self.max_tokens)

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
