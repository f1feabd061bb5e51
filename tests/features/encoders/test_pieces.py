import numpy as np
import open_clip
import pytest
import timm
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode

from features.encoders.libraries import timm_preprocessing
from features.encoders.pieces import Geometry, SoundWindows
from features.media.sound import Track

SIDES = st.integers(8, 90)


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@settings(max_examples=60, deadline=None)
@given(
    width=SIDES,
    height=SIDES,
    mode=st.sampled_from(["shortest", "longest", "squash"]),
    size_px=st.sampled_from([(32, 32), (40, 24)]),
)
def test_geometry_equals_open_clip(width, height, mode, size_px):
    image = picture(width, height)
    reference = open_clip.image_transform(
        size_px, is_train=False, resize_mode=mode, mean=(0.0,) * 3, std=(1.0,) * 3
    )
    ours = Geometry(size_px=size_px, mode=mode).apply(image)
    assert torch.equal(torch.from_numpy(ours).float() / 255, reference(image))


@settings(max_examples=40, deadline=None)
@given(width=SIDES, height=SIDES)
def test_geometry_equals_torchvision(width, height):
    image = picture(width, height)
    reference = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(36, InterpolationMode.BILINEAR),
            torchvision.transforms.CenterCrop(32),
            torchvision.transforms.PILToTensor(),
        ]
    )
    geometry = Geometry(size_px=(32, 32), resize_px=(36, 36), interpolation="bilinear")
    assert torch.equal(torch.from_numpy(geometry.apply(image)), reference(image))


@settings(max_examples=150, deadline=None)
@given(
    width=SIDES,
    height=SIDES,
    size_px=st.sampled_from([(32, 32), (40, 24), (24, 41)]),
    crop_mode=st.sampled_from(["center", "border", "squash"]),
    crop_pct=st.sampled_from([1.0, 0.9, 0.875]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
)
def test_geometry_equals_timm(width, height, size_px, crop_mode, crop_pct, interpolation):
    mean = (0.485, 0.456, 0.406)
    cfg = timm.models.PretrainedCfg(
        input_size=(3, *size_px),
        crop_mode=crop_mode,
        crop_pct=crop_pct,
        interpolation=interpolation,
        mean=mean,
    )
    data = timm.data.resolve_data_config(pretrained_cfg=cfg.to_dict())
    reference = timm.data.create_transform(**data, is_training=False, normalize=False)
    image = picture(width, height)
    ours = timm_preprocessing(cfg).geometry.apply(image)
    assert torch.equal(torch.from_numpy(ours), reference(image))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_any_picture_becomes_three_channels(mode):
    picture = Image.new(mode, (40, 30))
    result = Geometry(size_px=(16, 24), mode="squash").apply(picture)
    assert result.shape == (3, 16, 24)
    assert result.dtype == np.uint8


def test_windows_of_sound_lie_side_by_side_and_come_a_minute_at_a_time():
    samples = np.arange(1255, dtype=np.float32)
    gaps_s = np.array([[2.5, 6.5], [100.0, 100.5]])
    parts = list(SoundWindows(10, 20).cut(Track(samples, 0.5, gaps_s)))
    assert [windows.shape for _, windows in parts] == [(28, 20), (30, 20), (3, 20)]
    start_s = np.concatenate([start_s for start_s, _ in parts])
    assert start_s == pytest.approx(np.delete(0.5 + 2 * np.arange(63), [1, 2]))
    sound = np.concatenate([windows.ravel() for _, windows in parts])
    heard = np.delete(samples, [*range(20, 60), *range(995, 1000)])
    assert np.array_equal(sound[~np.isnan(sound)], heard)
