"""Pictures, and what the tests of all kinds do with them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from features.encoders import Encoder, FrameEncoder
from features.encoders.pieces import Preprocessing
from features.extraction.reading import ClipToRead, End, Pieces, read_clip
from features.identity import Sampling
from features.media.files import clip_sha256
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


def noise(duration_s: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.1, round(duration_s * 16000)).astype(np.float32)


def frames(encoder: FrameEncoder, n: int) -> NDArray[np.uint8]:
    """Return pieces that an encoder takes: pictures, or stacks of them."""
    kind = encoder.pieces(Sampling(frame_rate_hz=1, sample_rate_hz=16000))
    each = pictures(n * (kind.n_frames or 1), kind.geometry.size_px)
    return each if kind.n_frames is None else each.reshape(n, kind.n_frames, *each.shape[1:])


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


def read(encoder: Encoder, *texts: str) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Embed what is said in a clip, a text a second, as extraction does."""
    words = json.dumps([[n, n + 1, text] for n, text in enumerate(texts)])
    cuts = encoder.pieces(Sampling(frame_rate_hz=1, sample_rate_hz=16000)).cut(words)
    time_s, pieces = (np.concatenate(each) for each in zip(*cuts, strict=True))
    return encoder.finish(time_s, encoder.load_model(CPU).submit(pieces)())


def embed_file(
    encoder: Encoder, path: Path
) -> tuple[NDArray[np.float64], NDArray[np.float32], End]:
    """Embed a file as extraction does, in this process; return also what became of reading it."""
    sampling = Sampling(frame_rate_hz=3, sample_rate_hz=16000)
    kinds = {"it": encoder.pieces(sampling)}
    reading = read_clip(ClipToRead(clip_sha256(path), str(path), kinds))
    times, rows, model = [], [], encoder.load_model(CPU)
    while True:
        try:
            part = next(reading)
        except StopIteration as end:
            return *encoder.finish(np.concatenate(times), np.concatenate(rows)), end.value["it"]
        if isinstance(part, Pieces):
            times.append(part.time_s)
            rows.append(model.submit(part.values)())


SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
AST = "audio-spectrogram-transformer"
SPECTRUM = {"max_length": 200, "num_mel_bins": 32}
WAVE = SMALL | {"conv_dim": (8, 8), "conv_kernel": (40, 32), "conv_stride": (20, 16)}
WAVE |= {"num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2}
WAVE |= {"num_feat_extract_layers": 2}
WHISPER = {"d_model": 16, "max_source_positions": 100}
for _part in ("encoder", "decoder"):
    WHISPER |= {f"{_part}_ffn_dim": 32, f"{_part}_layers": 2, f"{_part}_attention_heads": 2}
TOKENS = {"vocab_size": 8, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}

SQUASHED = {"size": {"height": 40, "width": 36}, "crop_size": {"height": 32, "width": 32}}
SQUARE = {"size": {"height": 32, "width": 32}}
CROPPED = {"size": {"shortest_edge": 36}, "crop_size": {"height": 32, "width": 32}}
BY_SHARE = {"size": {"shortest_edge": 32}, "crop_pct": 0.875}
PATCHES = SMALL | {"image_size": 32, "patch_size": 16}
MAE = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
STAGES = {"depths": [1, 1], "hidden_sizes": [8, 16]}
SWIN = {"image_size": 32, "patch_size": 4, "embed_dim": 8, "window_size": 4}
SWIN |= {"depths": [1, 1], "num_heads": [1, 1]}
VIVIT = SMALL | {"image_size": 32, "num_frames": 4, "tubelet_size": [2, 16, 16]}
VJEPA = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
VJEPA |= {"crop_size": 32, "frames_per_clip": 4, "pred_hidden_size": 24, "num_pooler_layers": 1}
VJEPA |= {"pred_num_hidden_layers": 1, "pred_num_attention_heads": 2}
TOWERS = {"vision_config": PATCHES, "text_config": SMALL | {"vocab_size": 8, "eos_token_id": 1}}
FAMILIES = {
    "wav2vec2": ("sound", WAVE, "Wav2Vec2FeatureExtractor", {}),
    "hubert": ("sound", WAVE, "Wav2Vec2FeatureExtractor", {}),
    "wavlm": ("sound", WAVE, "Wav2Vec2FeatureExtractor", {}),
    # which joins two of its convolutions' outputs
    "sew": ("sound", WAVE | {"conv_stride": (20, 8)}, "Wav2Vec2FeatureExtractor", {}),
    "whisper": ("sound", WHISPER | TOKENS, "WhisperFeatureExtractor", {"chunk_length": 2}),
    AST: ("sound", SMALL | SPECTRUM | {"time_stride": 2}, "ASTFeatureExtractor", SPECTRUM),
    "vit": ("pictures", PATCHES, "ViTImageProcessorPil", SQUARE),
    "deit": ("pictures", PATCHES, "DeiTImageProcessorPil", SQUASHED),
    "vit_mae": ("pictures", PATCHES | MAE, "ViTImageProcessorPil", SQUARE),
    "dinov2": ("pictures", PATCHES, "BitImageProcessorPil", CROPPED),
    "swin": ("pictures", SWIN, "ViTImageProcessorPil", SQUARE),
    "convnext": ("pictures", STAGES | {"num_stages": 2}, "ConvNextImageProcessorPil", BY_SHARE),
    "resnet": ("pictures", STAGES | {"embedding_size": 8}, "ConvNextImageProcessorPil", BY_SHARE),
    "clip": (
        "pictures",
        TOWERS,
        "CLIPImageProcessorPil",
        CROPPED | {"size": {"shortest_edge": 32}},
    ),
    "videomae": ("video", PATCHES | {"num_frames": 4}, "VideoMAEVideoProcessor", CROPPED),
    "timesformer": ("video", PATCHES | {"num_frames": 4}, "VideoMAEImageProcessor", CROPPED),
    "vivit": ("video", VIVIT, "VivitImageProcessor", CROPPED),
    "vjepa2": ("video", VJEPA, "VJEPA2VideoProcessor", {"crop_size": 32}),
}
"""Input and settings of a small model of each family, its processor, and that one's settings."""


def of_input(*inputs: str) -> list[str]:
    return [family for family, (given, *_) in FAMILIES.items() if given in inputs]


def small_model(folder: Path, family: str, head: bool = False) -> Path:
    """Save a small model and its processor; those of sound have 50 hidden states a second."""
    import transformers

    torch.manual_seed(3)
    given, settings, processor, options = FAMILIES[family]
    labels = {"id2label": {0: "arousal", 1: "valence"}}
    config = transformers.AutoConfig.for_model(family, **settings, **labels)
    what = {"sound": "Audio", "pictures": "Image", "video": "Video"}[given]
    auto = getattr(transformers, f"AutoModelFor{what}Classification" if head else "AutoModel")
    auto.from_config(config).save_pretrained(folder)
    getattr(transformers, processor)(**options).save_pretrained(folder)
    return folder


def onnx_file(
    path: Path,
    nodes: list[object],
    inputs: dict[str, object],
    outputs: dict[str, object],
    weights: dict[str, NDArray[np.generic]] | None = None,
    dtype: int = 1,  # float32
    **more: object,
) -> Path:
    """Save an ONNX network of nodes; inputs, which have a dtype, and outputs are named shapes."""
    from onnx import helper, numpy_helper, save

    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, 1, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path, **more)
    return path


def onnx_node(kind: str, inputs: str, output: str, **more: object) -> object:
    from onnx import helper

    return helper.make_node(kind, inputs.split(), [output], **more)


def sound_network(folder: Path, shape: tuple[object, ...] = ("n", "t")) -> Path:
    """Save an ONNX network of waves: their mean, and their greatest and least value."""
    axes = list(range(1, len(shape)))
    nodes = []
    for what in ("Mean", "Max", "Min"):
        nodes.append(onnx_node(f"Reduce{what}", "wave", what, axes=axes, keepdims=0))
        nodes.append(onnx_node("Unsqueeze", f"{what} axis", f"{what}s"))
    nodes.append(onnx_node("Concat", "Maxs Mins", "range", axis=1))
    made = {"Means": [shape[0], 1], "range": [shape[0], 2]}
    path = folder / f"sound{len(shape)}.onnx"
    return onnx_file(path, nodes, {"wave": shape}, made, {"axis": np.array([1])})


def recogniser_model(folder: Path, *, multilingual: bool = False) -> Path:
    """Save a small Whisper of 2 s, with a tokenizer of eight words."""
    import transformers

    special = ["<|endoftext|>", "<|startoftranscript|>", "<|de|>", "<|en|>", "<|transcribe|>"]
    n_tokens = tokenizer_of(folder, [*special, "<|nospeech|>", "<|notimestamps|>"], {})
    torch.manual_seed(4)
    tokens = {"vocab_size": n_tokens, "pad_token_id": 0, "bos_token_id": 8, "eos_token_id": 8}
    tokens |= {"decoder_start_token_id": 9, "max_target_positions": 40, "init_std": 0.5}
    config = transformers.WhisperConfig(**WHISPER, **tokens)
    transformers.WhisperForConditionalGeneration(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor(chunk_length=2).save_pretrained(folder)
    settings = {"is_multilingual": multilingual, "suppress_tokens": [0]}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


def text_model(folder: Path, *, head: bool = False) -> Path:
    """Save a small BERT, with the tokenizer of the same eight words and two special tokens."""
    import transformers

    n_tokens = tokenizer_of(folder, ["[CLS]", "[SEP]"], {"[CLS]": 8, "[SEP]": 9})
    torch.manual_seed(5)
    sizes = SMALL | {"vocab_size": n_tokens, "max_position_embeddings": 16}
    labels = {"id2label": {0: "glad", 1: "sad"}}
    config = transformers.BertConfig(**sizes, **labels, initializer_range=0.5)
    name = "BertForSequenceClassification" if head else "BertModel"
    getattr(transformers, name)(config).save_pretrained(folder)
    return folder


def tokenizer_of(folder: Path, special: list[str], ends: dict[str, int]) -> int:
    """Save a tokenizer of whole words; return how many tokens it knows."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[UNK]", "oh", "what", "a", "joy", "fear", "is", "this", *special]
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens(special)
    if ends:
        first, last = ends
        tokenizer.post_processor = processors.TemplateProcessing(
            f"{first} $A {last}", special_tokens=list(ends.items())
        )
    tokenizer.enable_padding(length=12)  # as sentence encoders come; we do without
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return len(words)
