"""A head of models of affect that transformers lacks."""

from typing import Any

import torch
from transformers import Wav2Vec2Model, Wav2Vec2PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class SpeechClassifier(Wav2Vec2PreTrainedModel):  # type: ignore[misc]  # untyped in transformers
    """A wav2vec2 with a head that checkpoints call ``Wav2Vec2ForSpeechClassification``.

    Models of affect have it, such as audEERING's of arousal, dominance and valence: the mean of the
    last hidden state, a layer with tanh, and one output for each label.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.wav2vec2 = Wav2Vec2Model(config)
        self.classifier = torch.nn.ModuleDict(
            {
                "dense": torch.nn.Linear(width, width),
                "out_proj": torch.nn.Linear(width, config.num_labels),
            }
        )
        self.post_init()

    from_config = classmethod(lambda cls, config: cls(config))

    def forward(self, input_values: torch.Tensor, **options: Any) -> Any:
        """Return hidden states, and logits (n, n_labels), of waves (n, n_samples)."""
        output = self.wav2vec2(input_values, **options)
        hidden = self.classifier["dense"](output.last_hidden_state.mean(dim=1)).tanh()
        logits = self.classifier["out_proj"](hidden)
        return SequenceClassifierOutput(logits=logits, hidden_states=output.hidden_states)
