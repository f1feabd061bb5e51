"""Pictures, and what the tests of all kinds do with them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from features.encoders import Encoder, FrameEncoder
from features.encoders.pieces import Preprocessing
from features.identity import Sampling
from features.media.sound import Track

CPU = torch.device("cpu")


def pictures(n: int, size_px: tuple[int, int] = (32, 32), seed: int = 0) -> NDArray[np.uint8]:
    shape = (n, 3, *size_px)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def embed(encoder: FrameEncoder, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    return encoder.load_model(CPU).submit(batch)()


def normalised(batch: NDArray[np.uint8], preprocessing: Preprocessing) -> torch.Tensor:
    mean, std = (
        torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std)
    )
    return (torch.from_numpy(batch).float() / 255 - mean) / std


def close_to(expected: NDArray[np.float32], share: float = 1e-4) -> object:
    """Compare equal to what is off by no more than a share of the largest value."""
    return pytest.approx(expected, abs=share * float(np.abs(expected).max()))


def trained(build: Callable[[], torch.nn.Module]) -> torch.nn.Module:
    """Build a network none of whose weights is what it starts with."""
    torch.manual_seed(7)
    network = build().eval()
    with torch.no_grad():
        for values in network.state_dict().values():
            if values.is_floating_point():
                values.add_(0.1 * torch.rand_like(values))
    return network


def save(state: dict[str, object], path: Path) -> Path:
    """Write a checkpoint, in the format that its ending says."""
    if path.suffix == ".safetensors":
        save_file({key: value.clone() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def embed_sound(
    encoder: Encoder, *clips: NDArray[np.float32], gaps_s: object = (), batch_size: int = 1
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Embed clips of 16 kHz as extraction does; return the times and rows of the first."""
    kind = encoder.pieces(Sampling(frame_rate_hz=1, sample_rate_hz=16000))
    cuts = []
    for samples in clips:
        gaps = np.array(gaps_s, np.float64).reshape(-1, 2)
        parts = list(kind.cut(Track(samples, 0.0, gaps)))
        cuts.append([np.concatenate(each) for each in zip(*parts, strict=True)])
    time_s, _ = cuts[0]
    rows = np.concatenate([pieces for _, pieces in cuts])
    if model := encoder.load_model(CPU):
        model.batch_size = batch_size
        rows = model.submit(rows)()
    return encoder.finish(time_s, rows[: len(time_s)])


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}


def speech_model(folder: Path, kind: str = "wav2vec2", head: bool = False) -> Path:
    """Save a small speech model with 50 hidden states a second, and its processor."""
    import transformers

    torch.manual_seed(3)
    if kind == "whisper":
        width = {"d_model": 16, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32}
        layers = {f"{part}_{what}": 2 for part in ("encoder", "decoder") for what in _COUNTS}
        config = transformers.WhisperConfig(**width, **layers, **_TOKENS, max_source_positions=100)
        processor = transformers.WhisperFeatureExtractor(chunk_length=2)
    else:
        convolutions = {"conv_dim": (8, 8), "conv_kernel": (40, 32), "conv_stride": (20, 16)}
        positions = {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
        labels = {"id2label": {0: "arousal", 1: "valence"}, "num_feat_extract_layers": 2}
        config = transformers.AutoConfig.for_model(
            kind, **SMALL, **convolutions, **positions, **labels
        )
        processor = transformers.Wav2Vec2FeatureExtractor()
    auto = transformers.AutoModelForAudioClassification if head else transformers.AutoModel
    auto.from_config(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


_COUNTS = ("layers", "attention_heads")
_TOKENS = {"vocab_size": 8, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}
