import os
import time

import pytest

from features.cache import EmbeddingCache, cache_in_use, segments_in
from features.store import StoredClip, StoreError
from features.store_writer import write_store
from features.upkeep import list_cache, prune_cache, seed_cache, verify_cache
from tests.features.test_segments import embedding, same

DESCRIPTION = {"spec": {"model": "m"}, "weights_digest": "w", "sampling": {}, "identity": "one"}


def fill(root, identity="one", clips="ab", n_segments=1) -> None:
    for _ in range(n_segments):
        cache = EmbeddingCache(root, identity, DESCRIPTION | {"identity": identity})
        for clip in clips:
            cache.put(clip, embedding(seed=ord(clip)))
            cache.flush()


def damage_first_segment(root, identity="one"):
    segment = segments_in(root / identity)[0]
    content = bytearray(segment.read_bytes())
    content[content.index(embedding(seed=ord("a")).values.tobytes())] ^= 1
    segment.write_bytes(content)
    return segment


def cached(root, identity="one") -> set[str]:
    cache = EmbeddingCache(root, identity, DESCRIPTION)
    return {clip for clip in "abcdef" if clip in cache}


def age(root, identity: str, days: float) -> None:
    then = time.time() - days * 86400
    os.utime(root / identity / "encoder.json", (then, then))


def test_identities_are_listed_with_what_they_are(tmp_path):
    fill(tmp_path, "one", "ab")
    fill(tmp_path, "two", "c")
    age(tmp_path, "one", 3)
    two, one = list_cache(tmp_path)
    assert (one.identity, one.n_clips, two.n_clips) == ("one", 2, 1)
    assert one.description["spec"] == {"model": "m"}
    assert one.unused_days == pytest.approx(3, abs=0.1)
    assert one.n_bytes > 100
    assert list_cache(tmp_path / "nothing") == []


def test_damage_is_found(tmp_path):
    fill(tmp_path, clips="abc")
    assert [damage for _, damage in verify_cache(tmp_path)] == [[]]
    segment = damage_first_segment(tmp_path)
    os.truncate(segment, segment.stat().st_size - 1)
    ((path, (record, tail)),) = verify_cache(tmp_path)
    assert path == segment
    assert record.what == "the record of clip a"
    assert "no whole record" in tail.what


def test_unused_identities_are_removed(tmp_path):
    fill(tmp_path, "one")
    fill(tmp_path, "two")
    age(tmp_path, "one", 40)
    pruned = prune_cache(tmp_path, unused_for_days=30)
    assert pruned.removed == ["one"]
    assert pruned.n_bytes_freed > 0
    assert [entry.identity for entry in list_cache(tmp_path)] == ["two"]


def test_damage_and_copies_are_cleared_and_the_rest_is_kept(tmp_path):
    fill(tmp_path, clips="abc", n_segments=2)
    damage_first_segment(tmp_path)
    pruned = prune_cache(tmp_path, unused_for_days=30)
    assert pruned.rewritten == ["one"]
    assert cached(tmp_path) == {"a", "b", "c"}  # the copy of a was whole
    assert len(segments_in(tmp_path / "one")) == 1
    assert [damage for _, damage in verify_cache(tmp_path)] == [[]]
    assert prune_cache(tmp_path, unused_for_days=30).rewritten == []


def test_an_older_copy_that_is_whole_outlives_a_damaged_one(tmp_path):
    fill(tmp_path, clips="a", n_segments=2)
    last = segments_in(tmp_path / "one")[1]
    content = bytearray(last.read_bytes())
    content[content.index(embedding(seed=ord("a")).values.tobytes())] ^= 1
    last.write_bytes(content)
    assert prune_cache(tmp_path, 30).rewritten == ["one"]
    assert cached(tmp_path) == {"a"}


def test_a_description_cut_short_costs_nothing_else(tmp_path):
    fill(tmp_path, clips="ab")
    (tmp_path / "one" / "encoder.json").write_bytes(b"")
    (entry,) = list_cache(tmp_path)
    assert (entry.description, entry.n_clips) == ({}, 2)
    assert prune_cache(tmp_path, 30).removed == []
    assert cached(tmp_path) == {"a", "b"}


def test_what_is_pruned_meanwhile_is_no_error(tmp_path):
    fill(tmp_path, clips="ab", n_segments=2)
    segments = verify_cache(tmp_path)
    assert next(segments)[1] == []
    prune_cache(tmp_path, 0)
    assert list(segments) == []


def test_nothing_is_pruned_under_a_run(tmp_path):
    fill(tmp_path)
    with cache_in_use(tmp_path), pytest.raises(OSError, match="a run uses"):
        prune_cache(tmp_path, unused_for_days=0)
    assert cached(tmp_path) == {"a", "b"}


def test_a_cache_is_seeded_from_a_store(tmp_path):
    clips = [StoredClip(f"id-{clip}", clip, embedding(seed=ord(clip))) for clip in "abc"]
    write_store(tmp_path / "store", clips, DESCRIPTION | {"versions": {}})
    root = tmp_path / "cache"
    fill(root, clips="a")
    assert seed_cache(tmp_path / "store", root) == 2
    assert cached(root) == {"a", "b", "c"}
    cache = EmbeddingCache(root, "one", DESCRIPTION)
    assert same(cache.get("b"), embedding(seed=ord("b")))
    assert seed_cache(tmp_path / "store", root) == 0


def test_a_store_that_does_not_say_what_made_it_seeds_nothing(tmp_path):
    write_store(tmp_path / "store", [StoredClip("x", "a", embedding())], {})
    with pytest.raises(StoreError, match="does not say what made it"):
        seed_cache(tmp_path / "store", tmp_path / "cache")
