import numpy as np
import open_clip
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode

from features.preprocessing import Geometry

SIDES = st.integers(8, 90)


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@settings(max_examples=60, deadline=None)
@given(width=SIDES, height=SIDES, mode=st.sampled_from(["shortest", "longest", "squash"]))
def test_geometry_equals_open_clip(width, height, mode):
    image = picture(width, height)
    reference = open_clip.image_transform(
        32, is_train=False, resize_mode=mode, mean=(0.0,) * 3, std=(1.0,) * 3
    )
    ours = Geometry(size_px=(32, 32), mode=mode).apply(image)
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
    ours = Geometry(size_px=(32, 32), resize_px=36, interpolation="bilinear").apply(image)
    assert torch.equal(torch.from_numpy(ours), reference(image))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_any_picture_becomes_three_channels(mode):
    picture = Image.new(mode, (40, 30))
    result = Geometry(size_px=(16, 24), mode="squash").apply(picture)
    assert result.shape == (3, 16, 24)
    assert result.dtype == np.uint8
