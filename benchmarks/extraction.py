"""End-to-end extraction against its parts, and against the plain loop.

``python -m benchmarks.extraction [--fast] [--encoders resnet50,clip-b-32] [--copies 20]``

- decode: all clips read by the decode workers, nothing encoded
- encode: their pictures, in memory, through the encoder; loading it included
- end to end: `features.extraction.extract` with an empty cache, from clip table to store
- plain loop: one clip at a time in one process, the libraries' own transforms and defaults, fp32;
  over every clip once, however many copies the others read

The first three are timed in turn, several rounds long, and their medians count: processors change
their speed within a run by more than the parts differ. So decoding and encoding are timed before
and after the end-to-end run of their round, and the mean of both taken.
"""

import tempfile
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
import typer
from numpy.typing import NDArray

from benchmarks.common import describe, known_names, timed
from benchmarks.corpora import benchmark_clips, copies
from benchmarks.encoders import SPECS
from features.encoders import FrameEncoder, make_encoder
from features.encoders.torch_model import default_device
from features.extraction import extract, index_files
from features.extraction.batches import Batcher
from features.extraction.embedder import STALL_LIMIT_S, EncoderRun, plan
from features.extraction.reading import Pieces, read_clip
from features.extraction.workers import Workers
from features.identity import Sampling
from features.media.frames import read_frames
from features.store import read_store

SAMPLING = Sampling(frame_rate_hz=3, sample_rate_hz=16000)
PRECISION = "bf16" if torch.cuda.is_available() else "fp32"
HUME_CLIPS, HUME_CLIP_S = 25_067, 11
N_ROUNDS = 3


def main(
    fast: Annotated[bool, typer.Option(help="Few clips, and once over: a minute.")] = False,
    encoders: Annotated[
        str, typer.Option(help=f"Names, joined by commas, of {', '.join(SPECS)}.")
    ] = "resnet50,clip-b-32",
    precision: Literal["fp32", "bf16"] = PRECISION,
    n_copies: Annotated[
        int, typer.Option("--copies", help="Of every clip, so that a GPU has work.")
    ] = 1,
) -> None:
    """Print one table row per encoder."""
    chosen = known_names(encoders, SPECS)
    print(describe())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = benchmark_clips(folder, fast=fast)
        if n_copies > 1:
            files = copies([*files.values()], n_copies * len(files), folder / "copies")
        clips = index_files(files, progress=False)
        clips = clips[clips["has_video"]].reset_index(drop=True)
        on_gpu = default_device().type == "cuda"
        bound = "max(decode, encode)" if on_gpu else "(decode + encode)"
        print(f"{len(clips)} clips, {precision}, device {default_device()}\n")
        print(
            f"| encoder | frames | decode s | encode s | end to end s | {bound} / end to end | "
            "frames/s | plain frames/s | ratio | least clip correlation | Hume-Reaction h |"
        )
        print("|---" * 11 + "|")
        for each in chosen:
            spec = SPECS[each] | {"precision": precision}
            row = measure(each, spec, clips, n_copies, folder, 1 if fast else N_ROUNDS)
            print("| " + " | ".join(row) + " |", flush=True)


def measure(
    name: str, spec: dict[str, str], clips: pd.DataFrame, n_copies: int, folder: Path, n_rounds: int
) -> list[str]:
    """Time one encoder; every part does its own start-up."""
    encoder = make_encoder(spec)
    assert isinstance(encoder, FrameEncoder)
    warm_up(encoder)
    once = clips[: len(clips) // n_copies]
    plain_s, plain_vectors = timed(lambda: plain_loop(encoder, once))
    parts = list(decode(name, encoder, once, folder))

    def alone_s() -> NDArray[np.float64]:
        decode_s, _ = timed(lambda: deque(decode(name, encoder, clips, folder), maxlen=0))
        encode_s, _ = timed(lambda: encode(encoder, parts, n_copies))
        return np.array([decode_s, encode_s])

    rounds = []
    for number in range(n_rounds):
        out, cache = folder / f"out-{number}", folder / f"cache-{number}"
        run = partial(extract, clips, {name: encoder}, SAMPLING, out, cache_root=cache)
        before_s = alone_s()
        end_to_end_s, _ = timed(partial(run, progress=False))
        rounds.append([*(before_s + alone_s()) / 2, end_to_end_s])
    decode_s, encode_s, end_to_end_s = np.median(rounds, axis=0)
    store = read_store(out / name)
    frames = pd.DataFrame(store.embedding.astype(np.float32)).groupby(store.clip_id, sort=False)
    vectors = frames.mean().loc[list(plain_vectors)].to_numpy()
    plain = np.stack(list(plain_vectors.values()))
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(vectors, plain, strict=True)]
    n = len(store.embedding)
    on_gpu = default_device().type == "cuda"
    bound_s = max(decode_s, encode_s) if on_gpu else decode_s + encode_s
    rate, plain_rate = n / end_to_end_s, n / n_copies / plain_s
    hume_h = HUME_CLIPS * HUME_CLIP_S * SAMPLING.frame_rate_hz / rate / 3600
    seconds = [f"{each:.1f}" for each in (decode_s, encode_s, end_to_end_s)]
    rates = [f"{rate:.1f}", f"{plain_rate:.1f}", f"{rate / plain_rate:.2f}"]
    ends = [f"{min(correlations):.5f}", f"{hume_h:.2f}"]
    return [name, str(n), *seconds, f"{bound_s / end_to_end_s:.2f}", *rates, *ends]


def decode(name: str, encoder: FrameEncoder, clips: pd.DataFrame, folder: Path) -> Iterator[Pieces]:
    """Read all clips with all processors."""
    run = EncoderRun(name, encoder, SAMPLING, folder / "unused")
    planned = plan(clips, {name: run})
    with (
        Workers(niceness=19) as workers,
        workers.run(read_clip, planned, stall_limit_s=STALL_LIMIT_S) as events,
    ):
        yield from (event for _, event in events if isinstance(event, Pieces))


def encode(encoder: FrameEncoder, parts: list[Pieces], n_copies: int) -> None:
    """Embed pictures that are in memory, over and over."""
    model = encoder.load_model(default_device())
    batcher = Batcher(model, lambda *_: None)
    for number, part in enumerate(parts * n_copies):
        batcher.add(str(number), part.time_s, part.values)
        batcher.end(str(number))
    batcher.flush()


@torch.inference_mode()
def plain_loop(encoder: FrameEncoder, clips: pd.DataFrame) -> dict[str, np.ndarray]:
    """Do what a script does: open a clip, transform its frames, run the model, go on."""
    device = default_device()
    model, transform = library_model(encoder)
    model = model.to(device)
    vectors = {}
    for clip in clips.itertuples():
        frames = read_frames(Path(clip.path), SAMPLING.frame_rate_hz)
        batch = torch.stack([transform(frame.image.convert("RGB")) for frame in frames])
        vectors[clip.clip_id] = model(batch.to(device)).flatten(1).mean(0).cpu().numpy()
    return vectors


def library_model(encoder: FrameEncoder) -> tuple[torch.nn.Module, Any]:
    """Return the network and the eval transform as its library makes them."""
    torch.manual_seed(0)
    if encoder.kind == "torchvision":
        import torchvision

        model = torchvision.models.get_model(encoder.model)
        model.fc = torch.nn.Identity()
        weights = torchvision.models.get_model_weights(encoder.model)
        return model.eval(), weights.DEFAULT.transforms()
    import open_clip

    model, _, transform = open_clip.create_model_and_transforms(encoder.model)
    return model.visual.eval(), transform


def warm_up(encoder: FrameEncoder) -> None:
    """Import everything, and let the libraries choose their kernels."""
    size = encoder.picture_preprocessing().geometry.size_px
    encoder.load_model(default_device()).submit(np.zeros((1, 3, *size), np.uint8))()


if __name__ == "__main__":
    typer.run(main)
