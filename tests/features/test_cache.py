import errno
import os
from pathlib import Path

import numpy as np
import pytest

from features.cache import Embedding, EmbeddingCache, default_cache_root


def embedding(n_rows: int = 3, seed: int = 0, dtype: str = "float16") -> Embedding:
    values = np.random.default_rng(seed).normal(size=(n_rows, 4)).astype(dtype)
    return Embedding(np.arange(n_rows) / 2, values)


def same(a: Embedding, b: Embedding) -> bool:
    return np.array_equal(a.time_s, b.time_s) and np.array_equal(a.values, b.values)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_put_is_found_by_a_later_run(tmp_path, dtype):
    cache = EmbeddingCache(tmp_path, "identity")
    kept = {f"clip{k}": embedding(k + 1, k, dtype) for k in range(5)}
    for clip, each in kept.items():
        cache.put(clip, each)
    assert all(same(cache.get(clip), each) for clip, each in kept.items())
    cache.flush()
    later = EmbeddingCache(tmp_path, "identity")
    assert len(later) == 5
    assert all(same(later.get(clip), each) for clip, each in kept.items())
    assert later.get("clip0").values.dtype == dtype


def test_identities_do_not_mix(tmp_path):
    cache = EmbeddingCache(tmp_path, "one")
    cache.put("clip", embedding())
    cache.flush()
    assert "clip" not in EmbeddingCache(tmp_path, "two")


def test_two_runs_at_once_keep_both_shares(tmp_path):
    first, second = (EmbeddingCache(tmp_path, "identity") for _ in range(2))
    first.put("a", embedding(seed=1))
    second.put("b", embedding(seed=2))
    second.put("a", embedding(seed=1))
    first.flush()
    second.flush()
    later = EmbeddingCache(tmp_path, "identity")
    assert same(later.get("a"), embedding(seed=1))
    assert same(later.get("b"), embedding(seed=2))


def test_a_damaged_shard_is_named_and_its_clips_are_missing(tmp_path):
    for clip in ("a", "b"):
        cache = EmbeddingCache(tmp_path, "identity")
        cache.put(clip, embedding())
        cache.flush()
    shard, other = sorted(tmp_path.glob("identity/*.arrow"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.warns(UserWarning, match=shard.name):
        later = EmbeddingCache(tmp_path, "identity")
    assert len(later) == 1
    assert other.exists()


def test_a_half_written_shard_is_not_seen(tmp_path):
    cache = EmbeddingCache(tmp_path, "identity")
    cache.put("a", embedding())
    cache.flush()
    (shard,) = tmp_path.glob("identity/*.arrow")
    shard.with_name(f".{shard.stem}.1.part").write_bytes(shard.read_bytes()[:100])
    assert len(EmbeddingCache(tmp_path, "identity")) == 1


def test_a_full_disk_is_said_and_loses_nothing(tmp_path, monkeypatch):
    cache = EmbeddingCache(tmp_path, "identity")
    cache.put("a", embedding())

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"No space left.*ERI_CACHE"):
            cache.flush()
    assert not list(tmp_path.glob("identity/*"))
    cache.flush()
    assert same(EmbeddingCache(tmp_path, "identity").get("a"), embedding())


def test_a_cache_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"embedding cache .*file/identity cannot be written"):
        EmbeddingCache(tmp_path / "file", "identity")


def test_the_cache_is_relocated_by_an_environment_variable(monkeypatch):
    monkeypatch.delenv("ERI_CACHE", raising=False)
    assert default_cache_root() == Path(".eri-cache")
    monkeypatch.setenv("ERI_CACHE", "/elsewhere")
    assert default_cache_root() == Path("/elsewhere")
