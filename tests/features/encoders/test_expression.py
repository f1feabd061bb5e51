import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from features.encoders import make_encoder
from features.encoders.expression import EXPRESSIONS, MEAN, STD, build_network
from tests.features.encoders.samples import embed, embed_file, pictures, save, trained


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    return trained(build_network)


@pytest.fixture
def spec(network, tmp_path) -> dict[str, object]:
    half = {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()}
    path = save(half, tmp_path / "weights.safetensors")
    return {"kind": "expression", "weights": str(path), "dtype": "float32"}


def test_grey_is_made_of_colours_and_both_outputs_stand_beside_each_other(spec, network):
    encoder = make_encoder(spec)
    assert encoder.columns() == {"vector": 320, "shares": len(EXPRESSIONS)}
    batch = pictures(3, (48, 48))
    grey = np.stack([np.asarray(Image.fromarray(p.transpose(1, 2, 0)).convert("L")) for p in batch])
    values = (torch.from_numpy(grey)[:, None] / 255 - MEAN) / STD
    with torch.inference_mode():
        expected = network(values)[:, : len(EXPRESSIONS)].softmax(dim=1).numpy()
    vector, shares = np.split(embed(encoder, batch), [320], axis=1)
    assert vector.min() >= 0
    assert shares == pytest.approx(expected, abs=0.02)
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_a_picture_without_a_face_is_embedded_whole_and_a_video_is_not(spec, make_clip, tmp_path):
    path, encoder = tmp_path / "grey.png", make_encoder(spec)
    Image.fromarray(pictures(1, (48, 48))[0].transpose(1, 2, 0)).save(path)
    _, rows, end = embed_file(encoder, path)
    assert end.share == 0
    whole = encoder.picture_preprocessing().geometry.apply(Image.open(path))
    assert rows == pytest.approx(embed(encoder, whole[None]), abs=1e-4)
    *_, end = embed_file(encoder, make_clip())
    assert end.step == "face"


def test_the_weights_that_come_with_us_name_faces_as_voters_do(shared):
    table = shared / "ferplus" / "ferplus.parquet"
    faces = pd.read_parquet(table, filters=[("split", "==", "Val")]).sample(300, random_state=0)
    images = [Image.open(io.BytesIO(png)).convert("RGB") for png in faces["png"]]
    batch = np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])
    shares = embed(make_encoder({"kind": "expression"}), batch)[:, 320:]
    votes = faces[list(EXPRESSIONS)].to_numpy(float) / 10
    scores = [np.corrcoef(shares[:, k], votes[:, k])[0, 1] for k in range(1, 8)]
    assert np.mean(scores) > 0.7
