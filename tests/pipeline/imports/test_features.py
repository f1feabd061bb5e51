import hashlib
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from features.store import read_store
from pipeline.imports.features import FeatureImportError, import_features
from pipeline.imports.features_columns import guess_columns, time_unit
from pipeline.labels import LabelError
from pipeline.params import ParamsError, load_params

RNG = np.random.default_rng(1)


def clip(n_rows: int, clip_id: str = "x", step: float = 250) -> pd.DataFrame:
    table = pd.DataFrame(RNG.normal(size=(n_rows, 3)), columns=["AU01", "AU02", "AU04"])
    table.insert(0, "timestamp", np.arange(n_rows) * step)
    table.insert(1, "File_ID", clip_id)
    return table


def write_folder(folder: Path, ids) -> dict[str, pd.DataFrame]:
    folder.mkdir(parents=True, exist_ok=True)
    tables = {clip_id: clip(2 + k, f"[{clip_id}]") for k, clip_id in enumerate(ids)}
    for clip_id, table in tables.items():
        table.to_csv(folder / f"{clip_id}.csv", index=False)
    return tables


def files_in(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder_of_clips_becomes_a_store_of_frames_and_an_encoder(folder):
    tables = write_folder(folder / "fau" / "train", ["00003", "00001", "77777"])
    found = import_features([folder / "fau"], "fau")
    assert (found.n_clips, found.n_files, found.level) == (3, 3, "frame")
    assert "'timestamp' in ms" in found.taken_as
    assert found.columns == ("AU01", "AU02", "AU04")
    assert (len(found.missing), found.unknown) == (38, ["77777"])
    store = read_store(found.store)
    assert list(dict.fromkeys(store.clip_id)) == ["77777", "[00001]", "[00003]"]
    mine = store.clip_id == "[00001]"
    assert np.array_equal(store.time_s[mine], [0, 0.25, 0.5])
    expected = tables["00001"][["AU01", "AU02", "AU04"]].to_numpy(np.float32)
    assert np.allclose(store.embedding[mine], expected)
    assert store.embedding.dtype == np.float32
    assert store.metadata["columns"] == ["AU01", "AU02", "AU04"]
    assert store.metadata["sources"] == ["fau"]
    assert str(folder) not in str(store.metadata)
    encoder = load_params(check_heads=False).make_encoders()["fau"]
    assert encoder.weights_digest() == found.sha256


def test_importing_again_gives_the_same_bytes(folder):
    write_folder(folder / "fau", ["00003", "00001"])
    import_features([folder / "fau"], "fau")
    before = files_in(folder)
    import_features([folder / "fau"], "fau")
    assert files_in(folder) == before


def test_a_dry_run_finds_the_same_and_writes_nothing(folder):
    write_folder(folder / "fau", ["00003", "00001"])
    before = files_in(folder)
    dry = import_features([folder / "fau"], "fau", dry_run=True)
    assert files_in(folder) == before
    assert dry.sha256 is None
    wet = import_features([folder / "fau"], "fau")
    assert vars(dry) | {"sha256": wet.sha256} == vars(wet)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_table_of_one_row_per_clip_is_of_whole_clips(folder, suffix):
    table = pd.DataFrame({"name": ["00002", "00001.mp4"], "a": [1.0, np.nan], "b": [np.inf, 2]})
    path = folder / f"clap{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    found = import_features([path], "clap")
    assert (found.level, found.n_nan, found.n_infinite) == ("clip", 1, 1)
    assert found.constant == ["a", "b"]
    store = read_store(found.store)
    assert store.clip_id.tolist() == ["[00001]", "[00002]"]
    assert np.array_equal(store.embedding, [[np.nan, 2], [1, np.nan]], equal_nan=True)
    assert store.time_s.tolist() == [0, 0]
    assert store.metadata["level"] == "clip"


@pytest.mark.parametrize("form", ["npz", "txt", "csv"])
def test_an_array_takes_its_ids_from_beside_it(folder, form):
    values, ids = RNG.normal(size=(3, 4)), np.array(["00001", "00001", "00000"])
    beside = None
    if form == "npz":
        np.savez(folder / "a.npz", x=values, ids=ids, time_ms=[500, 0, 0])
    else:
        np.save(folder / "a.npy", values)
        beside = folder / f"ids.{form}"
        beside.write_text("\n".join((["File_ID"] if form == "csv" else []) + list(ids)))
    found = import_features([folder / ("a.npz" if form == "npz" else "a.npy")], "a", ids=beside)
    store = read_store(found.store)
    order = [2, 1, 0] if form == "npz" else [2, 0, 1]
    assert np.array_equal(store.embedding, values[order].astype(np.float32))
    assert store.time_s.tolist() == ([0, 0, 0.5] if form == "npz" else [0, 0, 1])
    assert found.unsorted == (["00001"] if form == "npz" else [])


def test_clips_without_a_value_are_left_out(folder):
    write_folder(folder / "fau", ["00003", "00001"])
    clip(0).to_csv(folder / "fau" / "00002.csv", index=False)
    found = import_features([folder / "fau"], "fau")
    assert found.empty == ["00002"]
    assert "[00002]" in found.missing


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a pickle ran')",)


def test_pickles_are_refused_and_never_loaded(folder):
    for name in ("x.pkl", "x.npy", "x.csv"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
        with pytest.raises(FeatureImportError, match="is a pickle.*read_pickle.*to_parquet"):
            import_features([folder / name], "fau")
    np.savez(folder / "o.npz", x=np.ones((1, 2)), ids=np.array(["a"], object))
    with pytest.raises(FeatureImportError, match="dtype=str"):
        import_features([folder / "o.npz"], "fau")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,a\n00001,1\n00001,2\n00002,1\n00003,1\n", "ids more than once: .*00001"),
        ("name,a\n00001,1\n00002,high\n", "text in the column 'a', such as 'high'"),
        ("a,b\n1,2\n", "has no id column"),
        ("00001,2\n00002,3\n", "has no header"),
        ("name,a\nx,1\ny,2\n", "no id of the files is in the label table"),
        ("name,a\n1,1\n01,2\n", "cannot be told apart"),
        ("name\n00001\n", "has no feature column"),
        ("name,a\n00001,\n", "no clip has a value"),
        ("name,time_s,a\n00001,,1\n", "without a time"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_table_that_cannot_be_used_is_said(folder, content, message):
    (folder / "t.csv").write_text(content)
    before = files_in(folder)
    with pytest.raises(FeatureImportError, match=message):
        import_features([folder / "t.csv"], "fau")
    assert files_in(folder) == before


def test_folders_that_cannot_be_used_are_said(folder):
    write_folder(folder / "fau", ["00003"])
    clip(2).drop(columns="AU04").to_csv(folder / "fau" / "00004.csv", index=False)
    with pytest.raises(FeatureImportError, match=r"00004\.csv has rows of \['x'\]"):
        import_features([folder / "fau"], "fau")
    clip(2, "4").drop(columns="AU04").to_csv(folder / "fau" / "00004.csv", index=False)
    with pytest.raises(FeatureImportError, match=r"00004.csv has 2 feature columns.*'AU04'"):
        import_features([folder / "fau"], "fau")
    (folder / "fau" / "00004.csv").unlink()
    write_folder(folder / "fau" / "again", ["00003"])
    with pytest.raises(FeatureImportError, match="'00003' come twice"):
        import_features([folder / "fau"], "fau")
    (folder / "none").mkdir()
    with pytest.raises(FeatureImportError, match="holds no CSV file"):
        import_features([folder / "none"], "fau")


def test_names_are_checked_before_anything_is_read(folder):
    with pytest.raises(ParamsError, match="'clip' of kind open_clip"):
        import_features([folder / "gone"], "clip")
    with pytest.raises(ParamsError, match="expected letters"):
        import_features([folder / "gone"], "a/b")
    (folder / "labels.csv").unlink()
    with pytest.raises(LabelError, match="no label table"):
        import_features([folder / "gone"], "fau")


def test_the_encoder_s_entry_is_replaced(folder):
    for n in (1, 2):
        write_folder(folder / "fau", [f"0000{k}" for k in range(n)])
        found = import_features([folder / "fau"], "fau")
        entry = yaml.safe_load((folder / "params.yaml").read_text())["encoders"]["fau"]
        assert entry == {
            "kind": "imported",
            "store": "data/imports/features/fau",
            "sha256": found.sha256,
        }


def test_columns_are_told_apart_by_their_names():
    columns = guess_columns(["frame", " timestamp", "face_id", "AU01_r", "time"], "x")
    assert (columns.id, columns.time) == (None, " timestamp")
    assert columns.left_out == ("frame", "face_id")
    assert columns.features == ("AU01_r", "time")


@settings(max_examples=30)
@given(step_s=st.floats(0.01, 5), unit=st.sampled_from(["ms", "s"]))
def test_the_unit_of_times_is_told_by_their_steps(step_s, unit):
    steps = np.full(5, step_s * (1000 if unit == "ms" else 1))
    assert time_unit("timestamp", steps) == unit
    assert time_unit("time_ms", steps) == "ms"
    assert time_unit("time_s", steps) == "s"
