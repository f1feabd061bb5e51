import av
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from pipeline.demo.corpus import DemoSettings, plan_corpus, write_corpus
from pipeline.demo.intensities import RULES

TARGETS = [rule.emotion for rule in RULES]
SMALL = DemoSettings(
    n_people=16,
    clips_per_person=1,
    min_duration_s=1.0,
    max_duration_s=1.2,
    frame_rate_hz=5,
    image_size_px=64,
)


def read_table(dest):
    return pd.read_csv(dest / "labels.csv", dtype={"clip_id": str})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    dest = tmp_path_factory.mktemp("corpus")
    write_corpus(dest, SMALL, TARGETS)
    return dest


def test_the_table_has_the_contracted_columns_and_its_files_exist(corpus):
    table = read_table(corpus)
    assert list(table) == ["clip_id", "path", "split", "group", *TARGETS, "age", "country"]
    assert table.clip_id.is_unique
    assert table.path.iloc[3] == "clips/00003.mp4"
    assert sorted(p.name for p in corpus.iterdir()) == ["clips", "labels.csv"]
    assert sorted(f"clips/{p.name}" for p in (corpus / "clips").iterdir()) == sorted(table.path)


def test_labels_are_scaled_to_one_and_blank_for_test(corpus):
    table = read_table(corpus).set_index("split")[TARGETS]
    assert table.loc["Test"].isna().all(axis=None)
    assert (table.drop(index="Test").max(axis=1) == 1.0).all()
    assert table.drop(index="Test").notna().all(axis=None)


def test_just_one_clip_has_no_sound(corpus):
    table = read_table(corpus)
    silent = []
    for row in table.itertuples():
        with av.open(str(corpus / row.path)) as container:
            assert len(container.streams.video) == 1
            if not container.streams.audio:
                silent.append(row.split)
    assert silent == ["Train"]


def test_a_second_run_writes_the_same_bytes(corpus, tmp_path):
    write_corpus(tmp_path, SMALL, TARGETS)
    for path in [corpus / "labels.csv", *(corpus / "clips").iterdir()]:
        assert (tmp_path / path.relative_to(corpus)).read_bytes() == path.read_bytes(), path.name


def test_splits_are_by_person_in_the_stated_shares():
    plans, splits = plan_corpus(DemoSettings())
    people = pd.DataFrame({"person": [p.person.person_id for p in plans], "split": splits})
    assert len(people.drop_duplicates()) == 30  # no person in two splits
    assert (people.groupby("person").size() == 4).all()
    assert people.drop_duplicates().split.value_counts().to_dict() == {
        "Train": 18,
        "Val": 8,
        "Test": 4,
    }


def test_one_train_clip_is_silent_and_another_has_no_face():
    plans, splits = plan_corpus(DemoSettings(seed=3))
    silent = [i for i, plan in enumerate(plans) if not plan.has_sound]
    empty = [i for i, plan in enumerate(plans) if not plan.has_face]
    assert len(silent) == len(empty) == 1
    assert silent != empty
    assert splits[silent[0]] == splits[empty[0]] == "Train"


def test_durations_vary_and_tell_nothing_of_the_labels():
    plans, _ = plan_corpus(DemoSettings(n_people=100))
    durations_s = np.array([plan.n_frames / plan.frame_rate_hz for plan in plans])
    labels = np.stack([plan.labels for plan in plans])
    assert durations_s.min() >= 1.96
    assert durations_s.max() <= 4.04
    assert durations_s.std() > 0.4
    for target in labels.T:
        assert abs(np.corrcoef(durations_s, target)[0, 1]) < 0.17


def test_the_seed_decides():
    first, _ = plan_corpus(DemoSettings(seed=1))
    second, _ = plan_corpus(DemoSettings(seed=2))
    assert not np.array_equal(first[0].labels, second[0].labels)


def test_six_targets_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match="6 targets came"):
        write_corpus(tmp_path / "new", SMALL, TARGETS[:6])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"n_people": 15}, {"image_size_px": 191}, {"n_persons": 30}, {"min_duration_s": 5.0}],
)
def test_settings_out_of_range_or_unknown_are_refused(wrong):
    with pytest.raises(ValidationError):
        DemoSettings(**wrong)
