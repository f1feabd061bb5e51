import os
import time
from dataclasses import replace

import numpy as np
import pytest

from pipeline.fits import digests
from pipeline.fits.digests import FileDigests, code_digest, digest_of, rows_digest


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "table"
    path.write_bytes(b"one")
    then_s = time.time() - 100
    os.utime(path, (then_s, then_s))
    return path


@pytest.fixture
def reads(monkeypatch):
    """Count the files that are read for their digest."""
    n = []
    real = digests.hashlib.file_digest
    monkeypatch.setattr(digests.hashlib, "file_digest", lambda *a: n.append(1) or real(*a))
    return n


def test_an_unchanged_file_is_read_once(path, tmp_path, reads):
    first, again = (FileDigests(tmp_path / "cache").of(path) for _ in range(2))
    assert first == again
    assert len(reads) == 1


def test_a_changed_file_is_read_again(path, tmp_path, reads):
    first = FileDigests(tmp_path / "cache").of(path)
    path.write_bytes(b"two")
    assert FileDigests(tmp_path / "cache").of(path)[0] != first[0]


def test_another_file_put_in_its_place_is_read_even_with_the_same_time(path, tmp_path):
    memo = FileDigests(tmp_path / "cache")
    first, stamp = memo.of(path)
    other = tmp_path / "other"
    other.write_bytes(b"two")
    os.utime(other, ns=(stamp[1], stamp[1]))
    other.replace(path)
    assert memo.of(path)[0] != first


def test_a_file_of_this_moment_is_not_remembered(tmp_path, reads):
    path = tmp_path / "table"
    path.write_bytes(b"one")
    memo = FileDigests(tmp_path / "cache")
    assert memo.of(path) == memo.of(path)
    assert len(reads) == 2


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '{"x": 3}', "null"])
def test_a_damaged_memo_is_no_matter(path, tmp_path, content):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "files.json").write_text(content)
    found = FileDigests(tmp_path / "cache").of(path)
    assert found == FileDigests(tmp_path / "elsewhere").of(path)


def test_digests_do_not_depend_on_the_order_of_keys():
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1}) != digest_of({"a": 1})


def test_code_counts(tmp_path, monkeypatch):
    before = code_digest()
    assert code_digest() == before
    monkeypatch.setattr(digests, "_ROOT", tmp_path)
    monkeypatch.setattr(digests, "_CODE", ("models",))
    (tmp_path / "models").mkdir()
    module = tmp_path / "models" / "head.py"
    seen = []
    for content in ("x = 1", "x = 2"):
        module.write_text(content)
        seen.append(code_digest())
    (tmp_path / "models" / "other.py").touch()
    assert len({before, *seen, code_digest()}) == 4


def test_every_part_of_the_rows_counts(rows):
    def changed(name, place=0):
        array = np.copy(getattr(rows, name))
        array[place] = array[-1] if array.dtype == object else array[place] + 1
        return replace(rows, **{name: array})

    renamed = replace(rows, clips=rows.clips.assign(clip_id=[*rows.clip_ids[1:], "new"]))
    longer = replace(rows, clips=rows.clips.assign(duration_s=rows.clips["duration_s"] * 2))
    moved = replace(rows, clips=rows.clips.assign(split=rows.clips["split"].replace("Val", "Test")))
    others = [changed("y"), changed("people"), changed("fold_of_row"), renamed, longer, moved]
    assert len({rows_digest(each) for each in [rows, *others]}) == 7
    assert rows_digest(rows) == rows_digest(replace(rows))
