import numpy as np
import pytest

from features.encoders import make_encoder
from features.pool import Pooling, pool_clips
from features.store import StoreError, read_store
from features.store_writer import write_clip_vectors
from models.arrays import DataError
from pipeline.fits.pooled import find_view, load_vectors
from pipeline.params import ParamsError, load_params

OTHER = Pooling(statistics=("min",), parts=("whole", "halves"))


@pytest.fixture
def find(project):
    def find(name, pooling=None):
        params = load_params(project.folder / "params.yaml", check_heads=False)
        return find_view(name, params, project.folder / "cache", pooling)

    return find


def said_of(project, **said):
    """Let the table of the face encoder say what made it."""
    path = project.folder / "data" / "pooled" / "face.parquet"
    table = read_store(path)
    write_clip_vectors(path, table.clip_id, table.embedding, said)


def test_a_view_has_the_widths_and_digests_of_its_tables(project, find):
    view = find("face+voice")
    assert view.bands == (6, 4)
    assert [table.path.name for table in view.tables] == ["face.parquet", "voice.parquet"]
    ids = list(project.clips["clip_id"])
    assert load_vectors(view, ids).shape == (len(ids), 10)
    before = [table.digest for table in view.tables]
    project.write_vectors("voice", seed=1)
    after = [table.digest for table in find("face+voice").tables]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_another_pooling_is_that_of_the_store(project, find):
    project.write_store("face")
    view = find("face", OTHER)
    assert view.bands == (6 * 3,)
    store = read_store(project.folder / "data" / "features" / "face")
    ids, expected = pool_clips(store, OTHER)
    np.testing.assert_array_equal(load_vectors(view, list(ids)), expected)
    (kept,) = (project.folder / "cache").glob("*.parquet")
    before = kept.read_bytes()
    load_vectors(view, list(ids))
    assert kept.read_bytes() == before
    assert [path.name for path in kept.parent.iterdir() if path.name[0] == "."] == []


def test_a_table_of_the_wanted_pooling_is_used_and_of_another_one_is_not(project, find):
    project.write_store("face")
    default = project.content["pooling"]
    for pooled_so, wanted, taken in [
        (default, None, True),
        (OTHER.model_dump(), None, False),
        (OTHER.model_dump(), OTHER, True),
        (default, OTHER, False),
        ({"statistics": ["of old"], "parts": ["whole"]}, None, False),
    ]:
        said_of(project, pooling=pooled_so)
        assert (find("face", wanted).tables[0].store is None) == taken


def test_numbers_of_another_encoder_are_refused(project, find):
    spec = make_encoder(project.content["encoders"]["face"]).spec.model_dump()
    said_of(project, spec=spec, sampling=project.content["sampling"])
    find("face")
    said_of(project, spec=spec | {"model": "emobase"})
    with pytest.raises(ParamsError, match=r"another spec of the encoder 'face'.*dvc repro"):
        find("face")
    said_of(project, sampling={"frame_rate_hz": 9.0, "sample_rate_hz": 16000})
    with pytest.raises(ParamsError, match="another sampling"):
        find("face")
    project.write_store("voice", {"spec": spec | {"model": "emobase"}})
    with pytest.raises(ParamsError, match="another spec of the encoder 'voice'"):
        find("voice", OTHER)


def test_files_that_change_after_their_digest_are_not_used(project, find):
    project.write_store("voice")
    tables, pooled = find("face"), find("voice", OTHER)
    project.write_vectors("face", seed=1)
    project.write_store("voice")
    for view in (tables, pooled):
        with pytest.raises(DataError, match="was changed while it was used"):
            load_vectors(view, list(project.clips["clip_id"]))
    assert not list((project.folder / "cache").glob("[!.]*.parquet"))


def test_without_table_and_store_there_is_an_error(project, find):
    (project.folder / "data/pooled/face.parquet").unlink()
    with pytest.raises(StoreError, match=r"neither .*face\.parquet nor .*: run `dvc repro`"):
        find("face")


def test_vectors_of_whole_clips_are_the_same_under_every_pooling(project, find):
    said_of(project, level="clip", pooling=project.content["pooling"])
    assert find("face", OTHER).bands == (6,)
    (project.folder / "data" / "pooled" / "face.parquet").unlink()
    project.write_store("face", {"level": "clip"}, n_rows=1)
    view = find("face", OTHER)
    assert view.bands == (6,)
    ids = list(project.clips["clip_id"])
    store = read_store(project.folder / "data" / "features" / "face")
    np.testing.assert_array_equal(load_vectors(view, ids), store.embedding)
