"""Tables of face trackers: rows without a face, and faces beside the one that counts."""

import numpy as np
import pytest

from features.store import read_store
from tests.pipeline.imports.conftest import import_features

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
