import hashlib
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from features.clip_reader import ClipReader
from features.segments import Embedding
from features.store import StoredClip, read_store
from features.store_writer import write_clip_vectors, write_store
from pipeline.imports.features import blocks
from pipeline.imports.features.columns import guess_columns, time_unit
from pipeline.imports.features.importing import import_features
from pipeline.params import ParamsError, load_params
from pipeline.views import check_store

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


def by_kind(found) -> dict:
    return {finding.kind: finding for finding in found.findings.all}


def refused(*arguments, **options) -> str:
    """Import what must not be; returns what was said."""
    found = import_features(*arguments, **options)
    assert found.sha256 is None
    errors = [finding for finding in found.findings.all if finding.severity == "error"]
    assert errors
    return "\n".join(map(str, errors))


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
    kinds = by_kind(found)
    assert kinds["clips of the label table without features"].count == 38
    assert kinds["features of no clip in the label table"].examples == ("77777",)
    assert kinds["ids spelt otherwise than in the label table"].examples[0] == "00001 -> [00001]"
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
    assert check_store("fau", load_params(check_heads=False)) == found.store


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
    assert (found.level, found.n_missing, found.n_infinite) == ("clip", 1, 1)
    kinds = by_kind(found)
    assert kinds["columns that never vary"].examples == ("a", "b")
    assert kinds["clips with missing values"].examples == ("00001.mp4",)
    assert kinds["clips with infinite values"].examples == ("00002",)
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
    moved = by_kind(found).get("clips whose rows were not in the order of time")
    assert (moved is not None and moved.examples == ("00001",)) == (form == "npz")


def test_clips_without_a_value_are_left_out(folder):
    write_folder(folder / "fau", ["00003", "00001"])
    clip(0).to_csv(folder / "fau" / "00002.csv", index=False)
    found = import_features([folder / "fau"], "fau")
    assert by_kind(found)["clips without any value"].examples == ("00002",)
    assert found.n_clips == 2


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a pickle ran')",)


def test_pickles_are_refused_and_never_loaded(folder):
    for name in ("x.pkl", "x.npy", "x.csv"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
        assert re.search("is a pickle.*read_pickle.*to_parquet", refused([folder / name], "fau"))
    np.savez(folder / "o.npz", x=np.ones((1, 2)), ids=np.array(["a"], object))
    assert "dtype=str" in refused([folder / "o.npz"], "fau")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name,a\n00001,1\n00001,2\n00002,1\n00003,1\n", r"ids more than once: 1 \(00001\)"),
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
    assert re.search(message, refused([folder / "t.csv"], "fau"))
    assert files_in(folder) == before


def test_all_that_is_wrong_in_a_folder_is_said_at_once(folder):
    write_folder(folder / "fau", ["00003", "00007"])
    other = clip(2).drop(columns="AU04")
    for clip_id in ("00004", "00005"):
        other.assign(File_ID=clip_id).to_csv(folder / "fau" / f"{clip_id}.csv", index=False)
    clip(2, "x").to_csv(folder / "fau" / "00006.csv", index=False)
    (folder / "fau" / "00008.csv").write_text("")
    write_folder(folder / "fau" / "later", ["00003"])
    found = import_features([folder / "fau"], "fau", dry_run=True)
    errors = {f.kind: f for f in found.findings.all if f.severity == "error"}
    assert errors["files with other columns"].count == 2
    assert "has 2 feature columns" in errors["files with other columns"].what_was_done
    assert errors["files with rows of another clip"].examples == ("00006.csv",)
    assert errors["files that cannot be read"].examples == ("00008.csv",)
    assert errors["clips whose features come twice"].examples == ("00003",)
    assert len(errors) == 4
    (folder / "none").mkdir()
    assert "holds no CSV file" in refused([folder / "none"], "fau")


def test_rows_of_many_clips_in_any_order_come_back_clip_by_clip(folder, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK_VALUES", 8)  # two rows in each
    table = pd.concat([clip(n, f"0000{n}").assign(AU01=n) for n in (2, 5, 3)])
    table = table.sample(frac=1, random_state=0)
    table.insert(0, "name", table.pop("File_ID"))
    table.to_csv(folder / "t.csv", index=False)
    table.to_parquet(folder / "t.parquet", row_group_size=7)
    names = ["AU01", "AU02", "AU04"]
    ids, times = table["name"].to_numpy(str), table["timestamp"].to_numpy()
    values = table[names].to_numpy()
    np.savez(folder / "t.npz", x=values, ids=ids, time_ms=times)
    np.savez_compressed(folder / "f.npz", x=np.asfortranarray(values), ids=ids, time_ms=times)
    stores = [
        read_store(import_features([folder / name], "t").store)
        for name in ("t.csv", "t.parquet", "t.npz", "f.npz")
    ]
    in_order = table.sort_values(["name", "timestamp"])
    for store in stores:
        assert np.array_equal(store.clip_id, "[" + in_order["name"] + "]")
        assert np.array_equal(store.time_s, in_order["timestamp"] / 1000)
        assert np.allclose(store.embedding, in_order[names])


@pytest.mark.parametrize(("encoding", "sep"), [("utf-16", "\t"), ("utf-8-sig", ";")])
def test_any_encoding_separator_and_decimal_commas(folder, encoding, sep):
    table = pd.DataFrame({"name": ["00002", "00001"], "größe": [1.5, 2.25], "b": [0.5, -3]})
    table.to_csv(folder / "t.csv", index=False, encoding=encoding, sep=sep, decimal=",")
    found = import_features([folder / "t.csv"], "t")
    assert found.columns == ("größe", "b")
    assert np.array_equal(read_store(found.store).embedding, [[2.25, -3], [1.5, 0.5]])
    form = by_kind(found)["features written otherwise than UTF-8 with commas"]
    assert form.examples[0].startswith(f"t.csv: {encoding}, ")
    assert "decimal commas" in form.examples[0]


def test_ids_in_the_index_of_a_data_frame(folder):
    vectors = pd.DataFrame({"a": [1.0, 2], "b": [3.0, 4]}, index=["00002", "00001"])
    vectors.to_parquet(folder / "t.parquet")
    assert import_features([folder / "t.parquet"], "t").columns == ("a", "b")
    vectors.rename_axis("clip_id").to_parquet(folder / "t.parquet")
    found = import_features([folder / "t.parquet"], "t")
    assert read_store(found.store).embedding.tolist() == [[2, 4], [1, 3]]


def test_features_in_a_column_of_lists(folder):
    lists = pd.DataFrame({"clip_id": ["00002", "00001"], "embedding": [[1.0, 2], [3.0, 4]]})
    lists.to_parquet(folder / "t.parquet")
    found = import_features([folder / "t.parquet"], "t")
    assert (found.dimension, found.columns) == (2, ())
    assert read_store(found.store).embedding.tolist() == [[3, 4], [1, 2]]
    lists.assign(embedding=[[1.0], [3.0, 4]]).to_parquet(folder / "t.parquet")
    assert "lists of the lengths" in refused([folder / "t.parquet"], "t")


def test_an_array_that_was_cut_short_is_refused(folder):
    np.save(folder / "a.npy", np.ones((3, 4)))
    (folder / "ids.txt").write_text("00001\n00002\n00003\n")
    content = (folder / "a.npy").read_bytes()
    (folder / "a.npy").write_bytes(content[:-8])
    assert "cut short" in refused([folder / "a.npy"], "a", ids=folder / "ids.txt")


def test_stores_of_different_clips_are_compared_before_they_are_joined(folder):
    for name, ids in (("a", "12"), ("b", "13"), ("c", "45")):
        rows = "\n".join(f"0000{k},{k}" for k in ids)
        (folder / f"{name}.csv").write_text(f"clip_id,{name}\n{rows}\n")
    import_features([folder / "a.csv"], "a")
    kinds = by_kind(import_features([folder / "b.csv"], "b"))
    assert kinds["clips that `a` has and these lack"].examples == ("[00002]",)
    assert kinds["clips that `a` lacks and these have"].examples == ("[00003]",)
    said = refused([folder / "c.csv"], "c")
    assert "no clip in common" in said
    assert "`stores` in params.yaml" in said


def test_names_are_checked_before_anything_is_read(folder):
    with pytest.raises(ParamsError, match="an encoder 'clip'"):
        import_features([folder / "gone"], "clip")
    with pytest.raises(ParamsError, match="expected letters"):
        import_features([folder / "gone"], "a/b")
    (folder / "labels.csv").unlink()
    assert "no label table" in refused([folder / "gone"], "fau")


def test_the_encoder_s_entry_is_replaced(folder):
    for n in (1, 2):
        write_folder(folder / "fau", [f"0000{k}" for k in range(n)])
        found = import_features([folder / "fau"], "fau")
        entry = yaml.safe_load((folder / "params.yaml").read_text())["stores"]["fau"]
        assert entry == {"store": "data/imports/features/fau", "sha256": found.sha256}


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


NO_WORDS_FOR_MISSING = ["NA", "null", "None", "nan", "#NA"]


@pytest.mark.parametrize("form", ["t.csv", "t.parquet", "t.npz", "t.npy", "folder"])
def test_clips_called_like_missing_values_are_clips(folder, form):
    labels = pd.read_csv(folder / "labels.csv")
    labels.loc[:4, "clip_id"] = NO_WORDS_FOR_MISSING
    labels.to_csv(folder / "labels.csv", index=False)
    table = pd.DataFrame({"clip_id": NO_WORDS_FOR_MISSING, "a": np.arange(5.0)})
    ids = None
    if form == "t.csv":
        table.to_csv(form, index=False)
    elif form == "t.parquet":
        table.to_parquet(form, index=False)
    elif form == "t.npz":
        np.savez(form, x=table[["a"]], ids=table["clip_id"].to_numpy(str))
    elif form == "t.npy":
        np.save(form, table[["a"]])
        ids = folder / "ids.csv"
        table[["clip_id"]].to_csv(ids, index=False)
    else:
        (folder / form).mkdir()
        for clip_id, rows in table.groupby("clip_id"):
            rows.to_csv(folder / form / f"{clip_id}.csv", index=False)
    found = import_features([folder / form], "t", ids=ids)
    assert not found.findings.have_errors, list(map(str, found.findings.all))
    store = read_store(found.store)
    values = dict(zip(store.clip_id, store.embedding[:, 0], strict=True))
    assert values == dict(zip(NO_WORDS_FOR_MISSING, range(5), strict=True))


def our_store(folder: Path, n_rows: int) -> Path:
    """Write a store of face crops, as `eri extract` does."""
    clips = [
        StoredClip(
            f"[{k:05d}]",
            f"{k:064x}",
            Embedding(np.arange(n_rows) / 4, RNG.normal(size=(n_rows, 3)).astype("f2"), k / 8),
        )
        for k in range(3)
    ]
    write_store(folder / "faces", clips, {"spec": {"kind": "timm"}})
    return folder / "faces"


@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("what", ["folder", "shard", "pooled"])
def test_a_store_of_ours_is_imported_whole(folder, what, n_rows):
    path = our_store(folder, n_rows)
    before = read_store(path)
    if what == "shard":
        path = next(path.glob("*.parquet"))
    elif what == "pooled":
        starts = before.clip_starts()
        before = replace(
            before,
            clip_id=before.clip_id[starts],
            time_s=None,
            embedding=before.embedding[starts],
            face_share=before.face_share[starts],
        )
        path = folder / "pooled.parquet"
        write_clip_vectors(path, before.clip_id, before.embedding, {}, before.face_share)
    found = import_features([path], "faces")
    assert not found.findings.have_errors, list(map(str, found.findings.all))
    assert found.level == ("clip" if what == "pooled" else "frame")
    store = read_store(found.store)
    assert np.array_equal(store.clip_id, before.clip_id)
    assert np.array_equal(store.embedding, before.embedding)
    assert np.array_equal(store.face_share, before.face_share)
    if before.time_s is not None:
        assert np.array_equal(store.time_s, before.time_s)
    # ... and what the stages read of it: nothing is lost on the way.
    reader = ClipReader(found.store)
    assert [reader.read(each).embedding.face_share for each in reader.clip_ids] == [0, 1 / 8, 2 / 8]
