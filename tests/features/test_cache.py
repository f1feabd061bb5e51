import os
import time
import uuid
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from features.cache import (
    DamagedError,
    Embedding,
    EmbeddingCache,
    LostError,
    default_cache_root,
    list_cache,
    pack,
    prune_cache,
    seed_cache,
    unpack,
    verify_cache,
)
from features.places import Files
from features.store import StoredClip, StoreError, write_store
from tests.features.stored import clips, embedding, of_all_faces, same

CLIPS = {name * 64: embedding(k + 1, k) for k, name in enumerate("abcde")}
A, B, *_ = CLIPS
ONE, TWO = "1" * 32, "2" * 32
DESCRIPTION = {"spec": {"model": "m"}, "weights_digest": "w", "sampling": {}}


@pytest.fixture(params=["folder", "memory", "bucket"])
def root(request, tmp_path) -> str:
    """A cache in a folder, and in two places that are none."""
    if request.param == "bucket":
        return request.getfixturevalue("bucket") + "/cache"
    return str(tmp_path) if request.param == "folder" else f"memory://{uuid.uuid4().hex}"


def filled(root: str | Path, identity: str = ONE, n: int = 5) -> EmbeddingCache:
    cache = EmbeddingCache(root, identity, DESCRIPTION)
    for clip in list(CLIPS)[:n]:
        cache.put(clip, CLIPS[clip])
    return cache


def age(path: Path, days: float) -> None:
    then_s = time.time() - days * 86400
    os.utime(path, (then_s, then_s))


def test_what_is_put_is_there_at_once_for_everyone_and_what_came_first_stays(root):
    first, second = EmbeddingCache(root, ONE), EmbeddingCache(root, ONE)
    assert first.known == set()
    first.put(A, CLIPS[A])
    second.put(B, CLIPS[B])
    second.put(A, embedding(seed=9))
    assert first.known == {A}  # it has looked before
    assert second.known == {A, B}
    for cache in (first, second, EmbeddingCache(root, ONE)):
        assert all(map(same, cache.get_all([A, B]), CLIPS.values()))
        with pytest.raises(LostError, match="in the embedding cache"):
            cache.get("0" * 64)
    assert EmbeddingCache(root, TWO).known == set()


@settings(max_examples=50, deadline=None)
@given(
    values=st.sampled_from([np.float16, np.float32]).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=2, max_dims=2))
    ),
    face_share=st.none() | st.floats(0, 1),
    data=st.data(),
)
def test_an_embedding_comes_back_bit_for_bit(values, face_share, data):
    time_s = data.draw(hnp.arrays(np.float64, len(values)))
    for one in (Embedding(time_s, values, face_share), of_all_faces(Embedding(time_s, values))):
        back = unpack(A, pack(A, one))
        assert (back.values.shape, back.values.dtype) == (values.shape, values.dtype)
        assert back.values.tobytes() == values.tobytes()
        assert back.time_s.tobytes() == time_s.tobytes()
        assert back.face_share == one.face_share
        assert np.array_equal(back.track, one.track)
        assert np.array_equal(back.face_score, one.face_score)


def test_every_flipped_bit_and_every_missing_byte_is_found():
    content = pack(A, embedding(face_share=0.5))
    for k in range(len(content)):
        flipped = [
            content[:k] + bytes([content[k] ^ 1 << bit]) + content[k + 1 :] for bit in range(8)
        ]
        for damaged in (*flipped, content[:k]):
            with pytest.raises(DamagedError):
                unpack(A, damaged)
    with pytest.raises(DamagedError, match="another clip"):
        unpack(B, content)


def test_damage_is_named_and_computed_again(root):
    cache = filled(root)
    path = f"{cache._folder}/aa/{A}.safetensors"
    whole = cache._files.cat_file(path)
    cache._files.pipe_file(path, whole[:-1] + bytes([whole[-1] ^ 1]))
    found = dict(verify_cache(root))
    assert len(found) == len(CLIPS)
    assert [each for each, what in found.items() if what is not None] == [path]
    later = EmbeddingCache(root, ONE)
    assert A in later.known  # only listed
    with (
        pytest.warns(UserWarning, match=rf"{A}.safetensors is damaged.*computed again"),
        pytest.raises(LostError, match="damaged"),
    ):
        list(later.get_all([B, A]))
    assert later.known == set(CLIPS) - {A}
    later.put(A, CLIPS[A])
    assert cache._files.cat_file(path) == whole
    cache._files.pipe_file(path, whole[:-1])
    assert prune_cache(root, unused_for_days=30) == ([path], len(whole) - 1)
    with pytest.raises(LostError, match=f"there is no .*{A}"):
        cache.get(A)


def test_an_unwritable_cache_is_said_before_anything_is_computed(read_only):
    with pytest.raises(OSError, match=r"cannot be used \(Permission denied\).*ERI_CACHE"):
        EmbeddingCache(read_only, "identity", {})


def test_a_cache_that_cannot_be_made_or_read_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file/identity cannot be used \(Not a directory\)"):
        EmbeddingCache(tmp_path / "file", "identity", {})
    monkeypatch.setattr(Files, "read", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(OSError, match=r"cannot be used \(Permission denied\).*ERI_CACHE"):
        EmbeddingCache(tmp_path, "identity").get(A)


@pytest.mark.parametrize(
    ("said", "expected"),
    [("", ".eri-cache"), ("s3://bucket/a", "s3://bucket/a"), ("~/a", str(Path.home() / "a"))],
)
def test_the_cache_is_relocated_by_an_environment_variable(monkeypatch, said, expected):
    monkeypatch.setenv("ERI_CACHE", said)
    assert default_cache_root() == expected


def test_an_embedding_has_one_time_for_each_row_and_prints_its_shape():
    assert repr(embedding()) == "Embedding(3 rows x 3 float16)"
    for time_s, values in ((np.zeros(2), np.zeros((3, 4))), (np.zeros(3), np.zeros(3))):
        with pytest.raises(ValueError, match=r"expected \(n_rows,\) and \(n_rows, dimension\)"):
            Embedding(time_s, values)


def test_what_is_cached_is_listed_by_last_use_and_pruned_when_unused(tmp_path):
    filled(tmp_path, ONE, 2)
    filled(tmp_path, TWO, 1)
    age(tmp_path / ONE / "encoder.json", 40)
    for name, days in (("dead.part", 2), ("alive.part", 0)):
        (tmp_path / TWO / name).touch()
        age(tmp_path / TWO / name, days)
    others = [tmp_path / name for name in ("work/encoder.json", "hub/model.safetensors", "a.part")]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.touch()
        age(path, 99)
    EmbeddingCache(tmp_path, ONE)  # looking is no use
    two, one = list_cache(tmp_path)
    assert (one["identity"], one["n_clips"], two["n_clips"]) == (ONE, 2, 1)
    assert one["description"] == DESCRIPTION
    assert one["unused_days"] == pytest.approx(40, abs=0.1)
    assert prune_cache(tmp_path, unused_for_days=30) == ([ONE], one["n_bytes"])
    assert [path.name for path in (tmp_path / TWO).glob("*.part")] == ["alive.part"]
    filled(tmp_path, ONE)  # opening it is
    assert list_cache(tmp_path)[0]["unused_days"] < 1
    (tmp_path / ONE / "encoder.json").write_bytes(b'{"spec')  # cut short
    assert [each["description"] for each in list_cache(tmp_path)] == [{}, DESCRIPTION]
    objects = verify_cache(tmp_path)
    assert next(objects)[1] is None
    assert sorted(prune_cache(tmp_path, unused_for_days=0)[0]) == [ONE, TWO]
    assert list(objects) == []  # pruned meanwhile
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted(others)


def test_a_cache_is_looked_after_wherever_it_is_and_whatever_its_name(root, tmp_path):
    for place in (root, *(tmp_path / name for name in ("[x] *?", "a::b", "s3:", "-é😀", "x{1,2}"))):
        assert list_cache(place) == []
        filled(place, ONE, 3)
        (entry,) = list_cache(place)
        assert (entry["identity"], entry["n_clips"]) == (ONE, 3)
        assert [what for _, what in verify_cache(place)] == [None] * 3
        assert prune_cache(place, 0)[0] == [ONE]
        assert EmbeddingCache(place, ONE).known == set()


def test_a_cache_is_seeded_from_a_store_that_says_what_made_it(tmp_path):
    written = [StoredClip(f"id-{clip[0]}", clip, each) for clip, each in CLIPS.items()]
    write_store(tmp_path / "store", written, DESCRIPTION | {"identity": ONE, "versions": {}})
    root = tmp_path / "cache"
    filled(root, ONE, 1)
    assert seed_cache(tmp_path / "store", root) == len(CLIPS) - 1
    assert same(EmbeddingCache(root, ONE).get(B), CLIPS[B])
    assert list_cache(root)[0]["description"] == DESCRIPTION | {"identity": ONE}
    assert seed_cache(tmp_path / "store", root) == 0
    write_store(tmp_path / "other", clips(1), {"level": "clip"})
    write_store(tmp_path / "evil", written, DESCRIPTION | {"identity": "../../evil"})
    for name in ("other", "evil"):
        with pytest.raises(StoreError, match="does not say what made it"):
            seed_cache(tmp_path / name, tmp_path / "untouched")
        assert not (tmp_path / "untouched").exists()
