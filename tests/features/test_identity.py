import math
import shutil
from importlib.metadata import version

import pytest
import torch
from pydantic import ValidationError

from features.encoders import make_encoder, torch_encoder
from features.identity import Sampling, encoder_identity

SAMPLING = Sampling(frame_rate_hz=2, sample_rate_hz=16000)
CLIP = {"kind": "open_clip", "model": "ViT-B-32", "weights": "random"}
SOUND = {"kind": "opensmile", "model": "eGeMAPSv02"}


def identity(spec: dict[str, object], **sampling: float) -> str:
    return encoder_identity(make_encoder(spec), SAMPLING.model_copy(update=sampling))


@pytest.mark.parametrize(
    ("spec", "change"),
    [
        (CLIP, {"model": "ViT-B-16"}),
        (CLIP, {"seed": 1}),
        (CLIP, {"precision": "bf16"}),
        (CLIP, {"dtype": "float32"}),
        (CLIP, {"kind": "torchvision", "model": "resnet50"}),
        (SOUND, {"model": "ComParE_2016"}),
        (SOUND, {"level": "lld"}),
        (SOUND, {"window_s": 2.0, "hop_s": 1.0}),
    ],
)
def test_what_changes_the_numbers_changes_the_identity(spec, change):
    assert identity(spec | change) != identity(spec)


def test_each_kind_depends_on_its_own_sampling_only():
    assert identity(CLIP, frame_rate_hz=4) != identity(CLIP) == identity(CLIP, sample_rate_hz=44100)
    assert (
        identity(SOUND, sample_rate_hz=44100) != identity(SOUND) == identity(SOUND, frame_rate_hz=4)
    )


def test_weights_and_detectors_count_by_their_bytes_and_not_by_their_path(tiny_clip, tmp_path):
    def of_weights(path) -> str:
        return identity({**CLIP, "model": tiny_clip, "weights": str(path)})

    def cropped(path, **change) -> str:
        return identity({**CLIP, "face": "yunet", "face_weights": str(path), **change})

    first, copy, other = (tmp_path / name for name in ("a.pt", "b.pt", "c.pt"))
    torch.save({"x": torch.zeros(1)}, first)
    shutil.copy(first, copy)
    torch.save({"x": torch.ones(1)}, other)
    for named in (of_weights, cropped):
        assert named(first) == named(copy) != named(other)
    assert identity(CLIP) != cropped(first)
    changes = {
        "face_margin": 0.2,
        "face_min_score": 0.9,
        "face_missing": "leave_out",
        "who": "all",
        "face_align": True,
    }
    for key, value in changes.items():
        assert cropped(first, **{key: value}) != cropped(first)
    assert cropped(first, who="largest", face_align=False) == cropped(first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"face": "none"}, "face_missing, who need `face: yunet`"),
        ({"face_missing": "whole_frame"}, "`who: all` leaves frames without a face out"),
        ({"who": "most"}, "'largest' or 'all'"),
    ],
)
def test_settings_of_faces_that_make_no_sense_are_refused(change, message):
    everyone = {**CLIP, "face": "yunet", "who": "all"}
    assert make_encoder(everyone).face_missing == "leave_out"
    with pytest.raises(ValidationError, match=message):
        make_encoder(everyone | change)


def test_borrowed_preprocessing_counts_by_what_it_is():
    spec = {"kind": "torchvision", "model": "resnet50", "weights": "random"}
    borrowed = [identity({**spec, "preprocessing_of": f"IMAGENET1K_V{k}"}) for k in (1, 2)]
    assert borrowed[0] != borrowed[1] == identity(spec)


@pytest.mark.parametrize("library", ["torch", "open_clip_torch"])
def test_random_weights_are_those_of_a_seed_and_of_the_libraries_that_draw_them(
    monkeypatch, library
):
    first, other = identity(CLIP), {library: "0.0.1"}
    monkeypatch.setattr(torch_encoder, "version", lambda name: other.get(name, version(name)))
    assert identity(CLIP) != first


@pytest.mark.parametrize(
    "change",
    [{"frame_rate_hz": each} for each in (0, 1e-7, 1001, math.inf, math.nan)]
    + [{"sample_rate_hz": each} for each in (0, 999, 192_001)],
)
def test_rates_are_such_as_clips_can_be_sampled_with(change):
    (name,) = change
    with pytest.raises(ValidationError, match=name):
        Sampling(**(SAMPLING.model_dump() | change))
    for rate_hz in (0.001, 1000):
        Sampling(frame_rate_hz=rate_hz, sample_rate_hz=16000)
