import os
import uuid
from pathlib import Path

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
    pack,
    unpack,
)
from features.places import Files
from tests.features.stored import embedding, of_all_faces, same

CLIPS = {name * 64: embedding(k + 1, k) for k, name in enumerate("abcde")}
A, B, *_ = CLIPS


@pytest.fixture(params=["folder", "memory://"])
def root(request, tmp_path) -> str:
    """A cache in a folder, and one that is no folder."""
    return str(tmp_path) if request.param == "folder" else f"memory://{uuid.uuid4().hex}"


def filled(root: str | Path) -> EmbeddingCache:
    cache = EmbeddingCache(root, "identity", {"spec": {"model": "m"}})
    for clip, each in CLIPS.items():
        cache.put(clip, each)
    return cache


def test_what_is_put_is_there_at_once_for_everyone(root):
    for cache in (filled(root), EmbeddingCache(root, "identity")):
        assert set(cache) == set(CLIPS)
        assert all(clip in cache and same(cache.get(clip), CLIPS[clip]) for clip in CLIPS)
        assert "0" * 64 not in cache
        with pytest.raises(LostError, match="in the embedding cache"):
            cache.get("0" * 64)
    assert A not in EmbeddingCache(root, "another identity")


def test_two_runs_at_once_keep_both_shares_and_what_came_first(root):
    first, second = EmbeddingCache(root, "identity"), EmbeddingCache(root, "identity")
    assert list(first) == []
    first.put(A, CLIPS[A])
    second.put(B, CLIPS[B])
    second.put(A, embedding(seed=9))
    for cache in (first, second, EmbeddingCache(root, "identity")):
        assert same(cache.get(A), CLIPS[A])
    assert B in EmbeddingCache(root, "identity")
    assert B not in first  # it has looked before


def test_looking_clips_up_costs_one_listing(tmp_path, monkeypatch):
    calls, names = [], Files.names
    monkeypatch.setattr(Files, "names", lambda *args: calls.append(args[1]) or names(*args))
    filled(tmp_path)
    cache = EmbeddingCache(tmp_path, "identity")
    assert "0" * 64 not in cache
    n_calls = 2 + len(CLIPS)  # encoder.json is asked too
    assert sum(f"{k:064x}" in cache for k in range(1000)) == 0
    assert len(calls) == n_calls


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
    back = unpack(A, pack(A, Embedding(time_s, values, face_share)))
    assert back.values.tobytes() == values.tobytes()
    assert (back.values.shape, back.values.dtype) == (values.shape, values.dtype)
    assert back.time_s.tobytes() == time_s.tobytes()
    assert back.face_share == face_share
    everyone = of_all_faces(back)
    back = unpack(A, pack(A, everyone))
    assert np.array_equal(back.track, everyone.track)
    assert np.array_equal(back.face_score, everyone.face_score)


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


def test_a_damaged_object_is_named_and_computed_again(root):
    cache = filled(root)
    path = cache._path(A)
    whole = cache._files.cat_file(path)
    cache._files.pipe_file(path, whole[:-1] + bytes([whole[-1] ^ 1]))
    later = EmbeddingCache(root, "identity")
    assert A in later  # only listed
    with (
        pytest.warns(UserWarning, match=rf"{A}.safetensors is damaged.*computed again"),
        pytest.raises(LostError, match="damaged"),
    ):
        list(later.get_all([B, A]))
    assert A not in later
    assert B in later
    later.put(A, CLIPS[A])
    assert cache._files.cat_file(path) == whole
    assert same(later.get(A), CLIPS[A])
    cache._files.rm(path)
    with pytest.raises(LostError, match=f"there is no .*{A}"):
        cache.get(A)


def refuse(number: int):
    def refuse(path: object, *_: object) -> None:
        if isinstance(path, Path):
            path.touch()  # a part of it
        raise OSError(number, os.strerror(number))

    return refuse


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path, "identity")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", refuse(28))
        with pytest.raises(OSError, match=r"No space left.*make room.*ERI_CACHE"):
            cache.put(A, CLIPS[A])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert A not in cache
    cache.put(A, CLIPS[A])
    assert same(EmbeddingCache(tmp_path, "identity").get(A), CLIPS[A])


def test_an_unwritable_cache_is_said_before_anything_is_computed(read_only):
    with pytest.raises(OSError, match=r"cannot be written \(Permission denied\).*ERI_CACHE"):
        EmbeddingCache(read_only, "identity", {})


def test_what_cannot_be_made_or_read_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"embedding cache .*file/identity cannot be written"):
        EmbeddingCache(tmp_path / "file", "identity", {})
    filled(tmp_path)
    monkeypatch.setattr(Files, "read", refuse(13))
    with pytest.raises(OSError, match=r"cannot be read \(Permission denied\): give.*ERI_CACHE"):
        EmbeddingCache(tmp_path, "identity").get(A)


def test_the_cache_is_relocated_by_an_environment_variable(monkeypatch):
    for said, expected in (("", ".eri-cache"), ("s3://bucket/a", "s3://bucket/a")):
        monkeypatch.setenv("ERI_CACHE", said)
        assert default_cache_root() == expected
    monkeypatch.setenv("ERI_CACHE", "~/cache")
    assert default_cache_root() == str(Path.home() / "cache")


def test_an_embedding_has_one_time_for_each_row_and_prints_its_shape():
    assert repr(embedding()) == "Embedding(3 rows x 3 float16)"
    for time_s, values in ((np.zeros(2), np.zeros((3, 4))), (np.zeros(3), np.zeros(3))):
        with pytest.raises(ValueError, match=r"expected \(n_rows,\) and \(n_rows, dimension\)"):
            Embedding(time_s, values)
