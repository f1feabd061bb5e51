import av
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from features.media.frames import read_frames
from models.arrays import DataError
from pipeline.demo import DemoSettings
from pipeline.demo.corpus import write_corpus
from pipeline.demo.rules import RULES

TARGETS = list(RULES)
SMALL = DemoSettings(n_people=16, clips_per_person=1)


def read_table(folder):
    return pd.read_csv(folder / "labels.csv", dtype={"clip_id": str})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, SMALL, TARGETS)
    return folder


def test_the_table_has_the_contracted_columns_and_its_files_exist(corpus):
    table = read_table(corpus)
    assert list(table) == ["clip_id", "path", "split", "group", *TARGETS, "age", "country"]
    assert table.clip_id.is_unique
    assert sorted(path.name for path in corpus.iterdir()) == ["clips", "labels.csv"]
    assert sorted(f"clips/{p.name}" for p in (corpus / "clips").iterdir()) == sorted(table.path)


def test_labels_are_scaled_to_one_and_blank_for_test(corpus):
    labels = read_table(corpus).set_index("split")[TARGETS]
    assert labels.loc["Test"].isna().all(axis=None)
    labelled = labels.drop(index="Test")
    assert labelled.notna().all(axis=None)
    assert (labelled.max(axis=1) == 1.0).all()


def test_splits_are_by_person_in_the_stated_shares(corpus):
    table = read_table(corpus)
    assert len(table[["group", "split"]].drop_duplicates()) == 16
    assert table["split"].value_counts().to_dict() == {"Train": 10, "Val": 4, "Test": 2}


def test_one_train_clip_has_no_sound_and_another_shows_an_empty_room(corpus):
    silent, empty = [], []
    for row in read_table(corpus).itertuples():
        path = corpus / row.path
        with av.open(str(path)) as container:
            assert len(container.streams.video) == 1
            if not container.streams.audio:
                silent.append((row.clip_id, row.split))
        picture = np.asarray(next(read_frames(path, 1.0)).image, dtype=float)
        if picture.std(axis=(0, 1)).max() < 15:  # a wall and noise
            empty.append((row.clip_id, row.split))
    assert [split for _, split in silent] == [split for _, split in empty] == ["Train"]
    assert silent != empty


def test_durations_vary_within_their_bounds(corpus):
    durations_s = []
    for path in (corpus / "clips").iterdir():
        with av.open(str(path)) as container:
            durations_s.append(container.streams.video[0].frames / 15)
    assert min(durations_s) >= 1.9
    assert max(durations_s) <= 4.1
    assert np.std(durations_s) > 0.3


def test_a_second_run_writes_the_same_bytes_and_another_seed_others(corpus, tmp_path):
    write_corpus(tmp_path / "same", SMALL, TARGETS)
    for path in [corpus / "labels.csv", *(corpus / "clips").iterdir()]:
        again = tmp_path / "same" / path.relative_to(corpus)
        assert again.read_bytes() == path.read_bytes(), path.name
    write_corpus(tmp_path / "other", SMALL.model_copy(update={"seed": 1}), TARGETS)
    assert not read_table(tmp_path / "other")[TARGETS].equals(read_table(corpus)[TARGETS])


def test_six_targets_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match="6 targets came"):
        write_corpus(tmp_path / "new", SMALL, TARGETS[:6])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("wrong", [{"n_people": 15}, {"n_persons": 30}, {"seed": -1}])
def test_settings_out_of_range_or_unknown_are_refused(wrong):
    with pytest.raises(ValidationError):
        DemoSettings(**wrong)
