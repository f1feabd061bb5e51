import numpy as np
import pandas as pd
import pytest

from features.encoders import make_encoder
from features.pool import Pooling, pool_clips
from features.store import StoreError, read_store, write_clip_vectors
from pipeline.clip_table import read_rows
from pipeline.params import ParamsError, load_params
from pipeline.paths import FEATURES, OOF, POOLED, SYSTEM_FEATURES
from pipeline.views import (
    join_tables,
    member_names,
    read_members,
    read_prediction_table,
    store_sha256,
    vectors_file,
    view_names,
    write_prediction_table,
)

OTHER = Pooling(statistics=("min",), parts=("whole", "halves"))


@pytest.fixture
def find(project):
    def find(name, pooling=None):
        if pooling is not None:
            project.content["pooling"] = pooling.model_dump(mode="json")
        project.write()
        return vectors_file(name, load_params(check_heads=False))

    return find


def said_of(**said):
    """Let the table of the face encoder say what made it."""
    path = POOLED / "face.parquet"
    table = read_store(path)
    write_clip_vectors(path, table.clip_id, table.embedding, said)


def test_tables_are_joined_by_clip_and_gaps_are_missing(tmp_path):
    assert view_names(["b", "a"]) == ["b", "a", "a+b"]
    assert view_names(["a"]) == ["a"]
    for name, ids, value in (("a", ["x", "y"], 1), ("b", ["y", "z"], 2)):
        vectors = np.full((2, 2), value, np.float32)
        write_clip_vectors(tmp_path / f"{name}.parquet", np.array(ids, object), vectors, {})
    joined = join_tables([tmp_path / "a.parquet", tmp_path / "b.parquet"], ["z", "y"])
    np.testing.assert_array_equal(joined, [[np.nan, np.nan, 2, 2], [1, 1, 2, 2]])


def test_another_pooling_is_made_once_from_the_store(project, find):
    said_of(pooling=project.content["pooling"])
    project.write_store("face")
    path = find("face", OTHER)
    ids, expected = pool_clips(read_store(FEATURES / "face"), OTHER)
    np.testing.assert_array_equal(join_tables([path], list(ids)), expected)
    path.write_bytes(b"kept")
    assert find("face", OTHER) == path
    assert path.read_bytes() == b"kept"
    project.write_store("face", n_rows=5)
    assert find("face", OTHER) != path


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ({"pooling": OTHER.model_dump()}, True),
        ({"pooling": {"statistics": ["of old"], "parts": ["whole"]}}, False),
        ({"pooling": {}, "level": "clip"}, True),  # the same under every pooling
        ({}, True),
    ],
)
def test_a_table_of_the_wanted_pooling_is_used(project, find, said, taken):
    project.write_store("face")
    said_of(**said)
    assert (find("face", OTHER).parent.name == "pooled") == taken


def test_numbers_of_another_encoder_are_refused(project, find):
    spec = make_encoder(project.content["encoders"]["face"]).model_dump()
    said_of(spec=spec, sampling=project.content["sampling"])
    find("face")
    said_of(spec=spec | {"model": "emobase"})
    with pytest.raises(ParamsError, match=r"another spec of 'face'.*dvc repro"):
        find("face")
    said_of(sampling={"frame_rate_hz": 9.0, "sample_rate_hz": 16000})
    with pytest.raises(ParamsError, match="another sampling"):
        find("face")
    project.write_store("voice", {"spec": spec | {"model": "emobase"}})
    (POOLED / "voice.parquet").unlink()
    with pytest.raises(ParamsError, match="another spec of 'voice'"):
        find("voice", OTHER)


def test_stores_may_lie_elsewhere_and_have_to_be_those_of_the_parameters(project, find):
    (POOLED / "face.parquet").unlink()
    with pytest.raises(StoreError, match=r"neither .*face\.parquet nor .*: run `dvc repro`"):
        find("face")
    project.write_store("face")
    FEATURES.rename(SYSTEM_FEATURES)  # of systems.yaml
    assert find("face").is_file()
    folder = SYSTEM_FEATURES / "face"
    entry = {"store": str(folder), "sha256": store_sha256(folder)}
    project.content["stores"] = {"fau": entry}
    assert find("fau").is_file()
    entry["sha256"] = "0" * 64
    with pytest.raises(StoreError, match="another one than params.yaml says"):
        find("fau")
    entry["store"] = "nowhere"
    with pytest.raises(StoreError, match="no imported feature store nowhere"):
        find("fau")


def test_predictions_are_read_back_by_member_in_the_order_of_the_rows(project):
    params = load_params()
    rows = read_rows(params)
    rng = np.random.default_rng(0)
    views = {view: rng.normal(size=rows.y.shape) for view in ("voice", "face+voice", "face")}
    for head in project.heads:
        path = OOF / f"{head}.parquet"
        write_prediction_table(path, views, rows, params.targets)
        table = pd.read_parquet(path)
        assert table.columns.tolist() == ["clip_id", "view", "fold", *params.targets]
        held = table.loc[table["fold"] == -1, "clip_id"]
        assert held.nunique() == len(rows.clips) - rows.n_train
        table.sample(frac=1, random_state=0).to_parquet(path)
    members = read_members(params, rows)
    names = [f"{head}/{v}" for head in project.heads for v in ("face", "voice", "face+voice")]
    assert list(members) == member_names(params) == names
    assert all(np.array_equal(members[f"average/{view}"], views[view]) for view in views)
    table.iloc[1:].to_parquet(path)
    with pytest.raises(ParamsError, match="other clips.*dvc repro"):
        read_prediction_table(path, rows, params.targets)
