import os
import time
from pathlib import Path

import pytest

from features.cache import EmbeddingCache
from features.store import StoredClip, StoreError
from features.store_writer import write_store
from features.upkeep import list_cache, prune_cache, seed_cache, verify_cache
from tests.features.stored import clips, embedding, same

DESCRIPTION = {"spec": {"model": "m"}, "weights_digest": "w", "sampling": {}}


def fill(root: Path, identity: str = "one", names: str = "abc") -> None:
    cache = EmbeddingCache(root, identity, DESCRIPTION)
    for name in names:
        cache.put(name * 64, embedding(seed=ord(name)))


def age(path: Path, days: float) -> None:
    then_s = time.time() - days * 86400
    os.utime(path, (then_s, then_s))


def test_identities_are_listed_with_what_they_are(tmp_path):
    fill(tmp_path, "one", "ab")
    fill(tmp_path, "two", "c")
    age(tmp_path / "one" / "encoder.json", 3)
    two, one = list_cache(tmp_path)
    assert (one["identity"], one["n_clips"], two["n_clips"]) == ("one", 2, 1)
    assert one["description"] == DESCRIPTION
    assert one["unused_days"] == pytest.approx(3, abs=0.1)
    assert one["n_bytes"] > 100
    assert list_cache(tmp_path / "nothing") == []
    (tmp_path / "one" / "encoder.json").write_bytes(b'{"spec')  # cut short
    assert [each["description"] for each in list_cache(tmp_path)] == [{}, DESCRIPTION]


def test_damage_is_found_and_removed(tmp_path):
    fill(tmp_path)
    (path,) = tmp_path.rglob(f"{'a' * 64}.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    found = dict(verify_cache(tmp_path))
    assert len(found) == 3
    assert [Path(each) for each, what in found.items() if what is not None] == [path]
    size = path.stat().st_size
    assert prune_cache(tmp_path, unused_for_days=30) == ([str(path)], size)
    assert [what for _, what in verify_cache(tmp_path)] == [None] * 2


def test_what_no_run_used_lately_is_removed(tmp_path):
    fill(tmp_path, "one")
    fill(tmp_path, "two")
    for name, days in (("dead.part", 2), ("alive.part", 0)):
        (tmp_path / "two" / name).touch()
        age(tmp_path / "two" / name, days)
    age(tmp_path / "one" / "encoder.json", 40)
    n_bytes = next(each["n_bytes"] for each in list_cache(tmp_path) if each["identity"] == "one")
    assert prune_cache(tmp_path, unused_for_days=30) == (["one"], n_bytes)
    assert [entry["identity"] for entry in list_cache(tmp_path)] == ["two"]
    assert [path.name for path in tmp_path.rglob("*.part")] == ["alive.part"]
    objects = verify_cache(tmp_path)
    assert next(objects)[1] is None
    assert prune_cache(tmp_path, unused_for_days=0)[0] == ["two"]
    assert list(objects) == []  # pruned meanwhile
    assert list(tmp_path.iterdir()) == []


def test_opening_the_cache_counts_as_use_and_looking_does_not(tmp_path):
    fill(tmp_path)
    age(tmp_path / "one" / "encoder.json", 40)
    EmbeddingCache(tmp_path, "one")
    assert list_cache(tmp_path)[0]["unused_days"] > 39
    EmbeddingCache(tmp_path, "one", DESCRIPTION)
    assert list_cache(tmp_path)[0]["unused_days"] < 1


@pytest.mark.parametrize("root", ["memory://upkeep", "[x] *?", "a::b", "s3:", "-é😀", "x{1,2}"])
def test_a_cache_elsewhere_and_of_any_name_is_looked_after_too(root, tmp_path):
    root = root if "//" in root else tmp_path / root
    fill(root)
    (entry,) = list_cache(root)
    assert (entry["identity"], entry["n_clips"]) == ("one", 3)
    assert [what for _, what in verify_cache(root)] == [None] * 3
    assert prune_cache(root, 0)[0] == ["one"]
    assert list_cache(root) == []


def test_a_cache_is_seeded_from_a_store(tmp_path):
    written = [
        StoredClip(f"id-{name}", name * 64, embedding(seed=ord(name), face_share=0.5))
        for name in "abc"
    ]
    write_store(tmp_path / "store", written, DESCRIPTION | {"identity": "one", "versions": {}})
    root = tmp_path / "cache"
    fill(root, names="a")
    assert seed_cache(tmp_path / "store", root) == 2
    cache = EmbeddingCache(root, "one")
    assert same(cache.get("b" * 64), written[1].embedding)
    assert list_cache(root)[0]["description"] == DESCRIPTION | {"identity": "one"}
    assert seed_cache(tmp_path / "store", root) == 0


def test_a_store_that_does_not_say_what_made_it_seeds_nothing(tmp_path):
    write_store(tmp_path / "store", clips(1), {"level": "clip"})
    with pytest.raises(StoreError, match="does not say what made it"):
        seed_cache(tmp_path / "store", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()
