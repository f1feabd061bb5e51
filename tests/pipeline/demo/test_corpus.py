import av
import numpy as np
import pandas as pd
import pytest

from features.media.frames import read_frames
from models.arrays import DataError
from pipeline.demo import DemoSettings
from pipeline.demo.corpus import write_clip, write_corpus
from pipeline.demo.rules import EMOTIONS

TARGETS = list(EMOTIONS)
SMALL = DemoSettings(n_people=16, clips_per_person=1)


def read_table(folder):
    return pd.read_csv(folder / "labels.csv", dtype={"clip_id": str})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, SMALL, TARGETS)
    return folder


def test_the_table_is_as_the_contract_says_with_blank_labels_for_test(corpus):
    table = read_table(corpus)
    assert list(table) == ["clip_id", "path", "split", "group", *TARGETS, "age", "country"]
    assert sorted(f"clips/{p.name}" for p in (corpus / "clips").iterdir()) == sorted(table.path)
    labels = table.set_index("split")[TARGETS]
    assert labels.loc["Test"].isna().all(axis=None)
    assert (labels.drop(index="Test").max(axis=1, skipna=False) == 1.0).all()
    assert table["group"].is_unique
    assert table["split"].value_counts().to_dict() == {"Train": 10, "Val": 4, "Test": 2}


def test_clips_differ_in_length_one_has_no_sound_and_another_no_face(corpus):
    silent, empty, lengths_s = [], [], []
    for row in read_table(corpus).itertuples():
        path = corpus / row.path
        with av.open(str(path)) as container:
            lengths_s.append(container.streams.video[0].frames / 15)
            if not container.streams.audio:
                silent.append(row)
        picture = np.asarray(next(read_frames(path, 1.0)).image, dtype=float)
        if picture.std(axis=(0, 1)).max() < 15:  # a wall and noise
            empty.append(row)
    assert [row.split for row in silent] == [row.split for row in empty] == ["Train"]
    assert silent != empty
    assert 1.9 <= min(lengths_s) < max(lengths_s) - 1 <= 3.1


def test_the_same_clip_has_the_same_bytes_and_six_targets_are_refused_before_one_is_written(
    tmp_path,
):
    for name in "abc":
        write_clip(tmp_path / name)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1
    with pytest.raises(DataError, match="6 targets came"):
        write_corpus(tmp_path / "new", SMALL, TARGETS[:6])
    assert not (tmp_path / "new").exists()
