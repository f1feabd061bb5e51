"""What hears words in sound, and what makes vectors of words, as networks from pieces to rows."""

from typing import Any, NamedTuple

import torch

from features.encoders.pieces import NO_TOKEN
from features.encoders.transformers_networks import prepare_sound

Tensor = torch.Tensor


class SpecialTokens(NamedTuple):
    """Tokens of a Whisper that stand for no text, by their numbers.

    Attributes
    ----------
    start, end, no_speech : int
        What a transcript begins and ends with; what stands for sound without speech.
    languages : tuple of int
        Those of the languages to choose from.
    prompt : tuple of int
        What comes behind the language, or behind `start` in a model without languages.
    suppressed, suppressed_first : tuple of int
        What is never taken, and what is not taken as the first token of a text.
    """

    start: int
    end: int
    no_speech: int
    languages: tuple[int, ...]
    prompt: tuple[int, ...]
    suppressed: tuple[int, ...]
    suppressed_first: tuple[int, ...]


class RecogniserNetwork(torch.nn.Module):
    """A Whisper that writes down what it hears: always the likeliest token, window by window.

    Parameters
    ----------
    model : torch.nn.Module
        ``WhisperForConditionalGeneration`` of transformers.
    processor : object
        Its feature extractor.
    tokens : SpecialTokens
        Its special tokens.
    context_samples : int
        Sound is followed by silence up to a multiple of so many samples.
    max_tokens : int
        Tokens after which a text ends in any case.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        tokens: SpecialTokens,
        *,
        context_samples: int,
        max_tokens: int,
    ) -> None:
        super().__init__()
        self.model = model
        self._processor, self._tokens = processor, tokens
        self._context_samples, self._max_tokens = context_samples, max_tokens

    def forward(self, windows: Tensor) -> Tensor:
        """Recognise windows of sound, NaN where there is none.

        Parameters
        ----------
        windows : Tensor of float32, shape (n, n_samples)

        Returns
        -------
        Tensor of float32, shape (n, 4 + max_tokens)
            Samples up to the last one; the probability that nobody speaks; the mean logarithm of
            the tokens' probabilities; the language's token, or 0; then the text's tokens, behind
            whose end is the token `SpecialTokens.end`. Zeros for a window without sound.
        """
        places = torch.arange(1, windows.shape[1] + 1, device=windows.device)
        lengths = (~windows.isnan() * places).amax(dim=1)
        padded = -(-lengths // self._context_samples) * self._context_samples
        contexts = padded.clamp(max=windows.shape[1]).tolist()  # as long as the model takes
        rows = windows.new_zeros(len(windows), 4 + self._max_tokens)
        for n_samples in sorted({*contexts} - {0}):
            same = torch.tensor([each == n_samples for each in contexts], device=windows.device)
            sound = windows[same, :n_samples].nan_to_num(0.0)
            spectra = prepare_sound(self.model, self._processor, sound, n_samples)
            heard = self.model.get_encoder()(spectra).last_hidden_state
            rows[same, 0], rows[same, 1:] = lengths[same].float(), self._write(heard)
        return rows

    def _write(self, heard: Tensor) -> Tensor:
        """Return all but the first column of the rows (n, 3 + max_tokens)."""
        from transformers import DynamicCache, EncoderDecoderCache

        tokens, n = self._tokens, len(heard)
        cache = EncoderDecoderCache(DynamicCache(), DynamicCache())

        def step(given: Tensor) -> Tensor:
            decoder = self.model.get_decoder()
            output = decoder(
                input_ids=given, encoder_hidden_states=heard, cache=cache, use_cache=True
            )
            scores: Tensor = self.model.proj_out(output.last_hidden_state[:, -1]).float()
            return scores

        scores = step(torch.full((n, 1), tokens.start, device=heard.device))
        no_speech = scores.softmax(dim=1)[:, tokens.no_speech]
        prompt = torch.tensor([tokens.prompt] * n, device=heard.device)
        language = torch.zeros(n, dtype=torch.long, device=heard.device)
        if tokens.languages:
            known = torch.tensor(tokens.languages, device=heard.device)
            language = known[scores[:, known].argmax(dim=1)]
            prompt = torch.cat([language[:, None], prompt], dim=1)
        text = torch.full((n, self._max_tokens), tokens.end, device=heard.device)
        sum_log, n_taken = heard.new_zeros(n, dtype=torch.float32), torch.zeros_like(language)
        has_ended = torch.zeros(n, dtype=torch.bool, device=heard.device)
        given = prompt
        for place in range(self._max_tokens):
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
        return torch.cat(
            [torch.stack([no_speech, sum_log / n_taken, language.float()], dim=1), text], dim=1
        )


class TextNetwork(torch.nn.Module):
    """Hidden states of a text model, each the mean over the tokens of a text.

    Texts with the same number of tokens share a pass, so there is no padding.

    Parameters
    ----------
    model : torch.nn.Module
        Of transformers.
    layers : tuple of int
        The hidden states that are kept.
    logits : bool
        Whether the outputs of its head are kept.
    width : int
        Numbers that are kept of a text.
    """

    def __init__(self, model: Any, *, layers: tuple[int, ...], logits: bool, width: int) -> None:
        super().__init__()
        self.model = model
        self._layers, self._logits, self._width = layers, logits, width

    def forward(self, texts: Tensor) -> Tensor:
        """Embed texts as tokens (n, max_tokens); gives their numbers and rows (n, 1 + width)."""
        lengths = (texts != NO_TOKEN).sum(dim=1)
        rows = torch.zeros(len(texts), 1 + self._width, device=texts.device)
        for length in sorted({*lengths.tolist()} - {0}):
            same = lengths == length
            output = self.model(texts[same, :length].long(), output_hidden_states=True)
            parts = [output.hidden_states[layer].float().mean(dim=1) for layer in self._layers]
            parts += [output.logits.float()] if self._logits else []
            rows[same] = torch.cat([lengths[same, None].float(), *parts], dim=1)
        return rows
