import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from features.cache import EmbeddingCache, cache_in_use, cache_to_itself, default_cache_root
from tests.features.test_segments import embedding, same


def cache_at(root: Path, identity: str = "identity") -> EmbeddingCache:
    return EmbeddingCache(root, identity, {"spec": {"model": "m"}})


def test_what_is_put_is_found_by_a_later_run(tmp_path):
    cache = cache_at(tmp_path)
    kept = {f"clip{k}": embedding(k + 1, k) for k in range(5)}
    for clip, each in kept.items():
        cache.put(clip, each)
    assert all(same(cache.get(clip), each) for clip, each in kept.items())
    cache.flush()
    assert all(same(cache.get(clip), each) for clip, each in kept.items())
    later = cache_at(tmp_path)
    assert len(later) == 5
    assert all(clip in later and same(later.get(clip), each) for clip, each in kept.items())
    assert "other" not in later
    with pytest.raises(KeyError):
        later.get("other")


def test_identities_do_not_mix(tmp_path):
    cache = cache_at(tmp_path, "one")
    cache.put("clip", embedding())
    cache.flush()
    assert "clip" not in cache_at(tmp_path, "two")


def test_two_runs_at_once_keep_both_shares(tmp_path):
    first, second = cache_at(tmp_path), cache_at(tmp_path)
    for k in range(3):
        first.put(f"a{k}", embedding(seed=k))
        second.put(f"b{k}", embedding(seed=10 + k))
        second.put("a0", embedding(seed=0))
        first.flush()
        second.flush()
    later = cache_at(tmp_path)
    assert len(later) == 6
    assert same(later.get("a0"), embedding(seed=0))
    assert same(later.get("b2"), embedding(seed=12))


def test_a_damaged_record_is_named_and_missing(tmp_path):
    cache = cache_at(tmp_path)
    values = {clip: embedding(seed=k) for k, clip in enumerate("ab")}
    for clip, each in values.items():
        cache.put(clip, each)
        cache.flush()
    (segment,) = tmp_path.glob("identity/*.arrows")
    content = bytearray(segment.read_bytes())
    content[content.index(values["a"].values.tobytes())] ^= 1
    segment.write_bytes(content)
    later = cache_at(tmp_path)
    with pytest.warns(UserWarning, match=f"clip a.*{segment.name}.*computed again"):
        assert "a" not in later
    assert "b" in later
    later.put("a", values["a"])
    later.flush()
    assert same(cache_at(tmp_path).get("a"), values["a"])


def test_a_record_that_was_being_written_is_named_and_missing(tmp_path):
    cache = cache_at(tmp_path)
    for clip in "ab":
        cache.put(clip, embedding())
        cache.flush()
    (segment,) = tmp_path.glob("identity/*.arrows")
    os.truncate(segment, segment.stat().st_size - 10)
    with pytest.warns(UserWarning, match=f"{segment.name} are no whole record"):
        later = cache_at(tmp_path)
    assert "a" in later
    assert "b" not in later


def test_what_cannot_be_written_is_said_and_stays_pending(tmp_path, monkeypatch):
    cache = cache_at(tmp_path)
    cache.put("a", embedding())

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patch:
        patch.setattr("features.segments.SegmentWriter.append", full)
        with pytest.raises(OSError, match=r"No space left.*ERI_CACHE"):
            cache.flush()
    cache.flush()
    assert same(cache_at(tmp_path).get("a"), embedding())


def test_a_cache_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"embedding cache .*file/identity cannot be written"):
        cache_at(tmp_path / "file")
    with (
        pytest.raises(OSError, match=r"embedding cache .*file/x cannot be written"),
        cache_in_use(tmp_path / "file" / "x"),
    ):
        pass


@pytest.fixture
def read_only() -> Iterator[Path]:
    """A folder that this process may not write, even where the tests run as root."""
    folder = Path(tempfile.mkdtemp())  # not below tmp_path, which others may not enter
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:  # root may write everywhere: be nobody for a while
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.rmdir()


def test_an_unwritable_cache_is_said(read_only):
    with pytest.raises(OSError, match=r"cannot be written \(Permission denied\).*ERI_CACHE"):
        cache_at(read_only)


def test_pruning_waits_for_no_run_and_runs_go_together(tmp_path):
    prune = cache_to_itself(tmp_path)
    with (
        cache_in_use(tmp_path),
        cache_in_use(tmp_path),
        pytest.raises(OSError, match="a run uses the embedding cache"),
    ):
        prune.__enter__()
    with cache_to_itself(tmp_path):
        pass


def test_the_cache_is_relocated_by_an_environment_variable(monkeypatch):
    monkeypatch.delenv("ERI_CACHE", raising=False)
    assert default_cache_root() == Path(".eri-cache")
    monkeypatch.setenv("ERI_CACHE", "/elsewhere")
    assert default_cache_root() == Path("/elsewhere")


def test_reading_many_records_is_exact(tmp_path):
    cache = cache_at(tmp_path)
    rng = np.random.default_rng(0)
    kept = {f"c{k}": embedding(int(rng.integers(1, 9)), k, "float32") for k in range(200)}
    for index, (clip, each) in enumerate(kept.items()):
        cache.put(clip, each)
        if index % 7 == 0:
            cache.flush()
    cache.flush()
    later = cache_at(tmp_path)
    assert all(same(later.get(clip), each) for clip, each in kept.items())
