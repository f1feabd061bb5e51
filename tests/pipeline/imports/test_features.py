import hashlib
import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from features.cache import Embedding
from features.store import StoredClip, read_store, write_clip_vectors, write_store
from pipeline.params import load_params
from pipeline.views import check_store
from tests.pipeline.commands import eri
from tests.pipeline.imports.conftest import import_features, refused

RNG = np.random.default_rng(1)
NAMES = ["AU01", "AU02", "AU04"]
NO_WORDS_FOR_MISSING = ["NA", "null", "None", "nan", "#NA"]


def clip(n_rows: int, clip_id: str = "x") -> pd.DataFrame:
    table = pd.DataFrame(RNG.normal(size=(n_rows, 3)), columns=NAMES)
    table.insert(0, "timestamp", np.arange(n_rows) * 250)
    table.insert(1, "File_ID", clip_id)
    return table


def write_folder(folder: Path, ids) -> dict[str, pd.DataFrame]:
    folder.mkdir(parents=True, exist_ok=True)
    tables = {clip_id: clip(2 + k, f"[{clip_id}]") for k, clip_id in enumerate(ids)}
    for clip_id, table in tables.items():
        table.to_csv(folder / f"{clip_id}.csv", index=False)
    return tables


def files_in(folder: Path) -> dict[Path, str]:
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_folder_of_clips_becomes_a_store_of_frames_and_an_entry(folder):
    tables = write_folder(folder / "fau" / "train", ["00003", "00001", "77777"])
    before = files_in(folder)
    dry = import_features(folder / "fau", "fau", "--dry-run")
    assert files_in(folder) == before
    found = import_features(folder / "fau", "fau")
    assert found["written"] == ["data/imports/features/fau", "params.yaml"]
    assert found["findings"] == dry["findings"]
    assert (found["n_clips"], found["n_files"], found["level"]) == (3, 3, "frame")
    kinds = found["by_kind"]
    assert kinds["labels without features"]["count"] == 38
    assert kinds["features without labels"]["items"] == ["77777"]
    spelt = kinds["ids that differ by brackets"]["items"]
    assert spelt == ["00001 -> [00001]", "00003 -> [00003]"]
    store = read_store(found["store"])
    assert list(dict.fromkeys(store.clip_id)) == ["77777", "[00001]", "[00003]"]
    mine = store.clip_id == "[00001]"
    assert np.array_equal(store.time_s[mine], [0, 0.25, 0.5])
    assert np.array_equal(store.embedding[mine], tables["00001"][NAMES].to_numpy(np.float32))
    assert store.metadata["columns"] == found["columns"] == NAMES
    assert str(folder) not in str(store.metadata)
    assert check_store("fau", load_params(check_heads=False)) == Path(found["store"])
    before = files_in(folder)
    assert import_features(folder / "fau", "fau")["written"] == []
    assert files_in(folder) == before


def test_what_was_found_is_said_as_text(folder):
    (folder / "t.csv").write_text("clip_id,a,b\n00001,1,\n00002,2,5\n99999,1,5\n")
    arguments = ["import", "features", "t.csv", "--name", "t"]
    said = eri(*arguments, "--dry-run").output
    for text in (
        "t: 3 clips in 1 files, 3 rows of 2 features; id: clip_id; time: none",
        "clips with empty or infinite values: 1 (00001): 1 values",
        "nothing is written",
    ):
        assert text in said
    assert "written: data/imports/features/t, params.yaml" in eri(*arguments).output


def write_table(path: str, table: pd.DataFrame) -> None:
    """Write a table of features in the form that the ending of its name says."""
    if path.endswith((".npy", ".npz")):
        values, ids = table[["a", "b"]].to_numpy(), table.get("clip_id")
        beside = {} if ids is None else {"ids": ids.to_numpy(str)}
        np.save(path, values) if path.endswith(".npy") else np.savez(path, x=values, **beside)
    elif path.endswith(".parquet"):
        table.to_parquet(path, index=False)
    elif path.endswith(".arff"):  # as openSMILE writes it
        kinds = {"clip_id": "string"}
        names = [f"@attribute {name} {kinds.get(name, 'numeric')}" for name in [*table, "class"]]
        rows = [",".join([*map(str, row), "?"]) for row in table.itertuples(index=False)]
        Path(path).write_text("\n".join(["@relation x", "", *names, "", "@data", "", *rows]))
    else:
        commas = {"decimal": ",", "encoding": "utf-8-sig", "sep": ";"}
        forms = {".tsv": {"sep": "\t", "encoding": "utf-16"}, ".txt": commas}
        table.to_csv(path, index=False, **forms.get(Path(path).suffix, {}))


ENDINGS = [".csv", ".csv.gz", ".tsv", ".txt", ".arff", ".parquet", ".npz", ".npy"]


@pytest.mark.parametrize("of_one_clip", [False, True], ids=["table", "folder"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_every_form_gives_the_same_store_and_no_id_is_taken_for_a_gap(folder, ending, of_one_clip):
    labels = pd.read_csv(folder / "labels.csv")
    labels.loc[:4, "clip_id"] = NO_WORDS_FOR_MISSING
    labels.to_csv(folder / "labels.csv", index=False)
    table = pd.DataFrame({"clip_id": NO_WORDS_FOR_MISSING, "a": np.arange(5.0), "b": 0.5})
    path, more = f"t{ending}", []
    if of_one_clip:
        path = "t"
        Path(path).mkdir()
        Path("t/notes.docx").touch()
        for clip_id, row in table.groupby("clip_id"):
            write_table(f"t/{clip_id}{ending}", row[["a", "b"]].reset_index(drop=True))
    else:
        write_table(path, table)
        if ending == ".npy":
            Path("ids.txt").write_text("\n".join(NO_WORDS_FOR_MISSING))
            more = ["--ids", "ids.txt"]
    found = import_features(path, "t", *more)
    assert ("other files" in found["by_kind"]) == of_one_clip
    assert found["columns"] == ([] if ending in (".npy", ".npz") else ["a", "b"])
    store = read_store(found["store"])
    assert store.metadata["level"] == "clip"
    values = dict(zip(store.clip_id, store.embedding.tolist(), strict=True))
    assert values == {clip_id: [k, 0.5] for k, clip_id in enumerate(NO_WORDS_FOR_MISSING)}


TWO = ["00002", "00001"]
FRAMES = {
    "lists": pd.DataFrame({"clip_id": TWO, "embedding": [[1.0, 2], [3.0, 4]]}),
    "index": pd.DataFrame([[1.0, 2], [3.0, 4]], index=TWO, columns=["a", "b"]),
    "named index": pd.DataFrame([[1, 2], [3, 4]], pd.Index(TWO, name="clip_id"), ["a", "b"]),
}
TEXTS = {
    "matrix of pandas": ",0,1\n[00001],3,4\n[00002],1,2\n",
    "matrix with ids": "clip_id,0,1\n[00001],3,4\n[00002],1,2\n",
}


@pytest.mark.parametrize("form", [*FRAMES, *TEXTS])
def test_forms_of_one_program_or_another(folder, form):
    path = "t.parquet" if form in FRAMES else "t.csv"
    FRAMES[form].to_parquet(path) if form in FRAMES else Path(path).write_text(TEXTS[form])
    store = read_store(import_features(path, "t")["store"])
    assert store.clip_id.tolist() == ["[00001]", "[00002]"]
    assert store.embedding.tolist() == [[3, 4], [1, 2]]


def test_commas_points_thousands_gaps_and_infinities_stand_side_by_side(folder):
    rows = "00002;0,75;0.1;2,250;inf\n00001.mp4;0,25;;1,500;30\n"
    (folder / "t.csv").write_text("image_path;a;b;c;d\n" + rows)
    found = import_features("t.csv", "t")
    gaps = found["by_kind"]["clips with empty or infinite values"]
    assert gaps["items"] == ["00002", "00001.mp4"]
    expected = np.array([[0.25, np.nan, 1.5, 30], [0.75, 0.1, 2.25, np.nan]], np.float32)
    assert np.array_equal(read_store(found["store"]).embedding, expected, equal_nan=True)


class Trap:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a pickle ran')",)


def test_pickles_are_refused_and_never_loaded(folder):
    for name in ("x.pkl", "x.npy", "x.csv"):
        (folder / name).write_bytes(pickle.dumps(Trap()))
        assert re.search("is a pickle.*read_pickle.*to_parquet", refused(folder / name, "fau"))
    np.savez(folder / "o.npz", x=np.ones((1, 2)), ids=np.array([Trap()], object))
    assert "dtype=str" in refused(folder / "o.npz", "fau")


REFUSED = {
    "name,a\n00001,1\n00001,2\n00002,1\n00003,1\n": r"ids more than once \['00001'\]",
    "name,a\n00001,1\n00002,high\n": "text in the column 'a', such as 'high'",
    "name,a\n00001,1\n00002\n": "line 3 has 1",
    "a,b\n1,2\n": "has no id column",
    "00001,2\n00002,3\n": "has no header",
    "name,a\nx,1\ny,2\n": "no id of the files is in the label table",
    "name,a\n1,1\n01,2\n": "cannot be told apart",
    "name\n00001\n": "has no feature column",
    "name,a,a\n00001,1,2\n": "has several columns",
    "name,a\n00001,\n": "no clip has a value",
    "name,a\n": "no clip has a value",
    "name,a\n,1\n": "rows without an id in 'name'",
    "name,time_s,a\n00001,,1\n": "without a time",
    "": "cannot be read as a table",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_table_that_cannot_be_used_is_said(folder, text):
    (folder / "t.csv").write_text(text)
    before = files_in(folder)
    assert re.search(REFUSED[text], refused(folder / "t.csv", "fau"))
    assert files_in(folder) == before


def test_all_that_is_wrong_in_a_folder_is_said_at_once(folder):
    write_folder(folder / "fau", ["00003", "00007"])
    other = clip(2).drop(columns="AU04")
    for clip_id in ("00004", "00005"):
        other.assign(File_ID=clip_id).to_csv(folder / "fau" / f"{clip_id}.csv", index=False)
    (folder / "fau" / "00008.csv").write_text("")
    clip(0).to_csv(folder / "fau" / "00002.csv", index=False)
    write_folder(folder / "fau" / "later", ["00003"])
    found = import_features(folder / "fau", "fau", "--dry-run", status=1)
    errors = {f["kind"]: f for f in found["findings"] if f["severity"] == "error"}
    assert errors.pop("files with other columns")["count"] == 2
    assert errors.pop("files that cannot be read")["items"] == [str(folder / "fau" / "00008.csv")]
    assert errors.pop("clips whose features come twice")["count"] == 2
    assert not errors
    assert "00002" in found["by_kind"]["clips without any value"]["items"]
    (folder / "none").mkdir()
    assert "is empty" in refused(folder / "none", "fau")


def test_rows_of_many_clips_in_any_order_come_back_clip_by_clip(folder):
    table = pd.concat([clip(n, f"0000{n}") for n in (2, 5, 3)]).sample(frac=1, random_state=0)
    table.insert(0, "name", table.pop("File_ID"))
    table.to_csv(folder / "t.csv", index=False)
    table.to_parquet(folder / "t.parquet", index=False)
    ids, times = table["name"].to_numpy(str), table["timestamp"].to_numpy()
    values = np.asfortranarray(table[NAMES])
    np.savez_compressed(folder / "t.npz", x=values, ids=ids, time_ms=times)
    in_order = table.sort_values(["name", "timestamp"])
    for name in ("t.csv", "t.parquet", "t.npz"):
        store = read_store(import_features(folder / name, "t")["store"])
        assert np.array_equal(store.clip_id, "[" + in_order["name"] + "]")
        assert np.array_equal(store.time_s, in_order["timestamp"] / 1000)
        assert np.allclose(store.embedding, in_order[NAMES])


def test_arrays_of_another_shape_or_without_ids_are_refused(folder):
    x, ids = np.ones((1, 4)), ["00001"]
    for arrays in ({"x": np.ones((2, 4)), "ids": ids}, {"x": x, "y": x, "ids": ids}, {"x": x}):
        np.savez(folder / "a.npz", **arrays)
        assert re.search("expected one array of.*give --ids", refused(folder / "a.npz", "a"))
    pd.DataFrame({"clip_id": TWO, "x": [[1.0], [3.0, 4]]}).to_parquet("t.parquet")
    assert "lists of the lengths [1, 2]" in refused("t.parquet", "t")
    (folder / "a.npz").write_bytes((folder / "a.npz").read_bytes()[:-8])
    assert "cannot be read" in refused(folder / "a.npz", "a")


def test_names_are_checked_before_anything_is_read(folder):
    content = yaml.safe_load((folder / "params.yaml").read_text())
    content["encoders"] = {"voice": {"kind": "opensmile", "model": "eGeMAPSv02"}}
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    for name, message in (("voice", "an encoder 'voice'"), ("a/b", "expected letters")):
        done = eri("import", "features", "gone", "--name", name, status=1)
        assert message in str(done.exception)
    (folder / "labels.csv").unlink()
    assert "labels.csv is not there" in refused(folder / "gone", "fau")


@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("what", ["folder", "shard", "pooled"])
def test_a_store_of_ours_is_imported_whole(folder, what, n_rows):
    shape = n_rows, 3
    clips = [
        (f"[{k:05d}]", Embedding(np.arange(n_rows) / 4, RNG.normal(size=shape).astype("f2"), k / 8))
        for k in range(3)
    ]
    stored = [StoredClip(name, f"{k:064x}", each) for k, (name, each) in enumerate(clips)]
    write_store(folder / "faces", stored, {"spec": {"kind": "timm"}})
    given = read_store(folder / "faces")
    rows = given.clip_starts() if what == "pooled" else slice(None)
    clip_id, values, share = given.clip_id[rows], given.embedding[rows], given.face_share[rows]
    path = folder / "faces"
    if what == "shard":
        path = next(path.glob("*.parquet"))
    elif what == "pooled":
        path = folder / "pooled.parquet"
        write_clip_vectors(path, clip_id, values, {}, share)
    found = import_features(path, "faces")
    assert found["level"] == ("clip" if what == "pooled" else "frame")
    store = read_store(found["store"])
    assert np.array_equal(store.clip_id, clip_id)
    assert np.array_equal(store.time_s, np.zeros(3) if what == "pooled" else given.time_s)
    assert np.array_equal(store.embedding, values)
    assert np.array_equal(store.face_share, share)


def test_of_a_store_of_several_people_the_one_seen_longest_is_kept(folder):
    track = np.array([0, 1, 0, 0, 1], np.int32)
    score, values = np.full(5, 0.3, np.float32), RNG.normal(size=(5, 3)).astype("f4")
    embedding = Embedding(np.array([0, 0, 1, 2, 2.0]), values, 1.0, track, score)
    write_store(folder / "faces", [StoredClip("[00000]", "0" * 64, embedding)], {"spec": {}})
    store = read_store(import_features(folder / "faces", "faces")["store"])
    assert np.array_equal(store.embedding, values[track == 0])


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
    (folder / "t.csv").write_text(
        "clip_id,timestamp,face_id,a\n1,0,0,0.2\n1,0,1,0.9\n1,0.04,0,0.4\n"
    )
    found = import_features(folder / "t.csv", "t")
    assert found["by_kind"]["clips with several faces"]["items"] == ["1: 2"]
    assert np.allclose(read_store(found["store"]).embedding[:, 0], [0.2, 0.4])
    rows = "1,0.0,.9,1,.1\n1,0.0,.9,1,.7\n2,0.04,.9,1,.1"  # nothing tells them apart
    (folder / "f").mkdir()
    (folder / "f/00001.csv").write_text(f"frame,timestamp,confidence,success,a\n{rows}")
    assert "several rows at one time" in refused("f", "f")
