import shutil

import pytest
import torch

from features.encoders import make_encoder
from features.identity import Sampling, encoder_identity

SAMPLING = Sampling(frame_rate_hz=2, sample_rate_hz=16000)
CLIP = {"kind": "open_clip", "model": "ViT-B-32", "weights": "random"}
SOUND = {"kind": "opensmile", "model": "eGeMAPSv02"}


def identity(spec: dict[str, object], sampling: Sampling = SAMPLING) -> str:
    return encoder_identity(make_encoder(spec), sampling)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "ViT-B-16"},
        {"seed": 1},
        {"precision": "bf16"},
        {"dtype": "float32"},
        {"kind": "torchvision", "model": "resnet50"},
    ],
)
def test_what_changes_the_numbers_changes_the_identity(change):
    assert identity(CLIP | change) != identity(CLIP)


@pytest.mark.parametrize(
    "change", [{"model": "ComParE_2016"}, {"level": "lld"}, {"window_s": 2.0, "hop_s": 1.0}]
)
def test_sound_encoders_too(change):
    assert identity(SOUND | change) != identity(SOUND)


def test_each_kind_depends_on_its_own_sampling_only():
    faster = Sampling(frame_rate_hz=4, sample_rate_hz=16000)
    higher = Sampling(frame_rate_hz=2, sample_rate_hz=44100)
    assert identity(CLIP, faster) != identity(CLIP) == identity(CLIP, higher)
    assert identity(SOUND, higher) != identity(SOUND) == identity(SOUND, faster)


def test_weights_count_by_their_bytes_and_not_by_their_path(tiny_clip, tmp_path):
    first, copy, other = (tmp_path / name for name in ("a.pt", "b.pt", "c.pt"))
    torch.save({"x": torch.zeros(1)}, first)
    shutil.copy(first, copy)
    torch.save({"x": torch.ones(1)}, other)
    by_path = [
        identity({**CLIP, "model": tiny_clip, "weights": str(p)}) for p in (first, copy, other)
    ]
    assert by_path[0] == by_path[1] != by_path[2]
