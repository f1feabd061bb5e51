import numpy as np
import pandas as pd
import pytest

from features.encoders import make_encoder
from features.pool import Pooling, pool_clips
from features.store import StoreError, read_store
from features.store_writer import write_clip_vectors
from pipeline.clip_table import read_rows
from pipeline.params import ParamsError, load_params
from pipeline.paths import OOF
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
    def find(name, pooling=None, folder=None):
        project.write()
        return vectors_file(name, load_params(check_heads=False), pooling, folder)

    return find


def said_of(project, **said):
    """Let the table of the face encoder say what made it."""
    path = project.folder / "data" / "pooled" / "face.parquet"
    table = read_store(path)
    write_clip_vectors(path, table.clip_id, table.embedding, said)


def test_each_encoder_alone_then_all_joined_in_one_order():
    assert view_names(["b", "a"]) == ["b", "a", "a+b"]
    assert view_names(["a"]) == ["a"]


def test_tables_are_joined_by_clip_and_gaps_are_missing(tmp_path):
    for name, ids, value in (("a", ["x", "y"], 1), ("b", ["y", "z"], 2)):
        vectors = np.full((2, 2), value, np.float32)
        write_clip_vectors(tmp_path / f"{name}.parquet", np.array(ids, object), vectors, {})
    joined = join_tables([tmp_path / "a.parquet", tmp_path / "b.parquet"], ["z", "y"])
    np.testing.assert_array_equal(joined, [[np.nan, np.nan, 2, 2], [1, 1, 2, 2]])


def test_another_pooling_is_made_once_from_the_store(project, find):
    project.write_store("face")
    path = find("face", OTHER)
    ids, expected = pool_clips(read_store(project.folder / "data/features/face"), OTHER)
    np.testing.assert_array_equal(join_tables([path], list(ids)), expected)
    made = path.stat().st_mtime_ns, path.read_bytes()
    assert find("face", OTHER) == path
    assert path.read_bytes() == made[1]
    project.write_store("face", n_rows=5)
    assert find("face", OTHER) != path
    assert not [each for each in path.parent.iterdir() if each.name[0] == "."]


@pytest.mark.parametrize(
    ("pooled_so", "wanted", "taken"),
    [
        ("default", None, True),
        (OTHER.model_dump(), None, False),
        (OTHER.model_dump(), OTHER, True),
        ("default", OTHER, False),
        ({"statistics": ["of old"], "parts": ["whole"]}, None, False),
        (None, None, True),
        (None, OTHER, False),
    ],
)
def test_a_table_of_the_wanted_pooling_is_used(project, find, pooled_so, wanted, taken):
    project.write_store("face")
    said_of(project, pooling=project.content["pooling"] if pooled_so == "default" else pooled_so)
    assert (find("face", wanted).parent.name == "pooled") == taken


def test_vectors_of_whole_clips_are_the_same_under_every_pooling(project, find):
    said_of(project, level="clip", pooling=project.content["pooling"])
    assert find("face", OTHER).parent.name == "pooled"
    (project.folder / "data/pooled/face.parquet").unlink()
    project.write_store("face", {"level": "clip"}, n_rows=1)
    store = read_store(project.folder / "data/features/face")
    joined = join_tables([find("face", OTHER)], list(project.clips["clip_id"]))
    np.testing.assert_array_equal(joined, store.embedding)


def test_numbers_of_another_encoder_are_refused(project, find):
    spec = make_encoder(project.content["encoders"]["face"]).model_dump()
    said_of(project, spec=spec, sampling=project.content["sampling"])
    find("face")
    said_of(project, spec=spec | {"model": "emobase"})
    with pytest.raises(ParamsError, match=r"another spec of 'face'.*dvc repro"):
        find("face")
    said_of(project, sampling={"frame_rate_hz": 9.0, "sample_rate_hz": 16000})
    with pytest.raises(ParamsError, match="another sampling"):
        find("face")
    project.write_store("voice", {"spec": spec | {"model": "emobase"}})
    with pytest.raises(ParamsError, match="another spec of 'voice'"):
        find("voice", OTHER)


def test_stores_may_lie_elsewhere_and_must_lie_somewhere(project, find):
    (project.folder / "data/pooled/face.parquet").unlink()
    with pytest.raises(StoreError, match=r"neither .*face\.parquet nor .*: run `dvc repro`"):
        find("face")
    project.write_store("face")
    (project.folder / "data/features").rename(project.folder / "elsewhere")
    assert find("face", folder=project.folder / "elsewhere").is_file()


def test_an_imported_store_has_to_be_the_one_of_the_parameters(project, find):
    project.write_store("face")
    folder = project.folder / "data/features/face"
    entry = {"store": str(folder), "sha256": store_sha256(folder)}
    project.content["stores"] = {"fau": entry}
    assert find("fau").is_file()
    project.write_store("face", n_rows=5)
    with pytest.raises(StoreError, match="another one than params.yaml says"):
        find("fau")
    project.content["stores"]["fau"]["store"] = "nowhere"
    with pytest.raises(StoreError, match="no imported feature store nowhere"):
        find("fau")


def random_predictions(rows, seed=0):
    return np.random.default_rng(seed).normal(size=rows.y.shape)


def test_a_table_reads_back_in_the_order_of_the_rows(rows, params, tmp_path):
    path = tmp_path / "oof.parquet"
    written = {view: random_predictions(rows, seed) for seed, view in enumerate(("a", "b"))}
    write_prediction_table(path, written, rows, params.targets)
    table = pd.read_parquet(path)
    assert table.columns.tolist() == ["clip_id", "view", "fold", *params.targets]
    assert (table.loc[table["fold"] == -1, "clip_id"].nunique()) == len(rows.clips) - rows.n_train
    table.sample(frac=1, random_state=0).to_parquet(path)
    found = read_prediction_table(path, rows, params.targets)
    assert all(np.array_equal(found[view], written[view]) for view in written)


def test_a_table_of_other_clips_is_refused(rows, params, tmp_path):
    path = tmp_path / "oof.parquet"
    write_prediction_table(path, {"a": random_predictions(rows)}, rows, params.targets)
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    with pytest.raises(ParamsError, match="other clips.*dvc repro"):
        read_prediction_table(path, rows, params.targets)


def test_members_come_in_the_order_of_the_parameters(project):
    params = load_params()
    rows = read_rows(params)
    views = {view: random_predictions(rows) for view in ("voice", "face+voice", "face")}
    for head in project.heads:
        write_prediction_table(OOF / f"{head}.parquet", views, rows, params.targets)
    names = [f"{head}/{v}" for head in project.heads for v in ("face", "voice", "face+voice")]
    members = read_members(params, rows)
    assert list(members) == member_names(params) == names
    assert np.array_equal(members["average/voice"], views["voice"])
