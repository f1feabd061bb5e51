"""Files of face trackers: what was not measured, and more faces than one."""

import numpy as np
import pytest

from features.cache import Embedding
from features.store import StoredClip, read_store, write_store
from tests.pipeline.imports.conftest import import_features, refused

RNG = np.random.default_rng(1)


def test_of_a_store_of_several_people_the_one_seen_longest_is_kept(folder):
    track = np.array([0, 1, 0, 0, 1], np.int32)
    score, values = np.full(5, 0.3, np.float32), RNG.normal(size=(5, 3)).astype("f4")
    embedding = Embedding(np.array([0, 0, 1, 2, 2.0]), values, 1.0, track, score)
    write_store(folder / "faces", [StoredClip("[00000]", "0" * 64, embedding)], {"spec": {}})
    found = import_features(folder / "faces", "faces")
    assert np.array_equal(read_store(found["store"]).embedding, values[track == 0])
    assert found["dimension"] == 3


HEADERS = {
    "openface": "frame, face_id, timestamp, confidence, success, AU12_r",
    "pyfeat": "frame,face_id,FaceRectX,confidence,FaceScore,AU12_r",
}


@pytest.mark.parametrize("tool", HEADERS)
def test_what_a_face_tracker_did_not_measure_is_no_zero(folder, tool):
    rows = [
        f"{k + 1}, 0, {k * 0.04:.2f}, {0.9 * (k % 3 > 0)}, {int(k % 3 > 0)}, {0.6 * (k % 3 > 0)}"
        for k in range(9)
    ]
    (folder / "f").mkdir()
    (folder / "f/00001.csv").write_text("\n".join([HEADERS[tool], *rows]))
    found = import_features(folder / "f", "f")
    assert found["columns"] == ["AU12_r"]
    assert found["by_kind"]["clips with rows not measured"]["items"] == ["00001"]
    assert np.allclose(read_store(found["store"]).embedding, 0.6)


def test_of_several_faces_the_one_seen_most_is_kept_and_said(folder):
    rows = ["0,0,0.2", "0,1,0.9", "0.04,0,0.4"]
    (folder / "t.csv").write_text(
        "clip_id,timestamp,face_id,a\n" + "".join(f"1,{r}\n" for r in rows)
    )
    found = import_features(folder / "t.csv", "t")
    assert found["by_kind"]["clips with several faces"]["items"] == ["1: 2"]
    assert np.allclose(read_store(found["store"]).embedding[:, 0], [0.2, 0.4])


def test_several_faces_of_a_frame_that_cannot_be_told_apart_are_refused(folder):
    (folder / "f").mkdir()
    rows = ["1,0.0,.9,1,.1", "1,0.0,.9,1,.7", "2,0.04,.9,1,.1"]
    (folder / "f/00001.csv").write_text("\n".join(["frame,timestamp,confidence,success,a", *rows]))
    assert "several rows at one time" in refused("f", "f")
