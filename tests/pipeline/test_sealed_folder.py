import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.sealed_folder import MANIFEST, BundleError, SealedFolder, new_sealed_folder

PROTOCOLS = {1: "0.1.0", 2: "0.2.0"}
FILES = {"a.json": b"{}", "b.safetensors": bytes(range(256))}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "bundle"
    write(folder)
    return folder


def write(folder, files=FILES):
    with new_sealed_folder(folder, 2, "9.9.9", {"numpy": "1.0"}) as beside:
        for name, content in files.items():
            (beside / name).write_bytes(content)


def read_all(folder):
    sealed = SealedFolder(folder, PROTOCOLS)
    return {name: sealed.read(name) for name in sealed.names}


def seal(folder, **changes):
    """Write another manifest, with a right digest of itself, as an attacker would."""
    content = json.loads((folder / MANIFEST).read_text()) | changes
    del content["sha256"]
    own = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    text = json.dumps({**content, "sha256": own}, sort_keys=True, indent=1) + "\n"
    (folder / MANIFEST).write_text(text)


def entry(content=b""):
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_files_come_back(folder):
    assert read_all(folder) == FILES
    seal(folder)  # the helper writes as the module does
    assert read_all(folder) == FILES


def test_the_same_content_gives_the_same_bytes(folder, tmp_path):
    write(tmp_path / "other")
    assert (folder / MANIFEST).read_bytes() == (tmp_path / "other" / MANIFEST).read_bytes()


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_every_changed_byte_is_found_and_its_file_named(folder, name):
    content = (folder / name).read_bytes()
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1 << (place % 8)
        (folder / name).write_bytes(flipped)
        with pytest.raises(BundleError, match=name):
            read_all(folder)
    for wrong in (b"", content[:-1], content + b"\n", content.replace(b"\n", b"\r\n")):
        if wrong != content:
            (folder / name).write_bytes(wrong)
            with pytest.raises(BundleError, match=name):
                read_all(folder)


@given(content=st.one_of(st.binary(), st.text().map(str.encode)))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_other_manifest_is_refused(folder, content):
    (folder / MANIFEST).write_bytes(content)
    with pytest.raises(BundleError, match=MANIFEST):
        read_all(folder)


def test_deep_nesting_is_refused(folder):
    (folder / MANIFEST).write_text('{"protocol": 2, "files": ' + "[" * 10**5)
    with pytest.raises(BundleError, match="no manifest"):
        read_all(folder)


def test_a_missing_file_is_named(folder):
    (folder / "a.json").unlink()
    with pytest.raises(BundleError, match=r"a\.json is missing"):
        read_all(folder)


def test_a_further_file_is_named(folder):
    (folder / "c.pkl").write_bytes(b"")
    with pytest.raises(BundleError, match=r"c\.pkl does not belong"):
        read_all(folder)


def test_without_a_manifest_there_is_no_bundle(tmp_path):
    with pytest.raises(BundleError, match="there is no bundle.*dvc repro"):
        read_all(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("../secret.json", "/etc/passwd", "..", ".", "", "a/b.json", "a\\b.json", "C:x.json"),
        *(".a.json", "a.json\n", "a\0.json", "nodot", "manifest.json", "a.json/", "ä.json"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(folder, name):
    (folder.parent / "secret.json").write_bytes(b"secret")
    seal(folder, files={name: entry(b"secret")})
    with pytest.raises(BundleError, match=r"manifest\.json is not what eri writes: .*files"):
        read_all(folder)


@pytest.mark.parametrize("name", ["a.json", MANIFEST])
def test_links_are_refused(folder, name):
    outside = folder.parent / "outside"
    outside.write_bytes((folder / name).read_bytes())
    (folder / name).unlink()
    (folder / name).symlink_to(outside)
    with pytest.raises(BundleError, match=f"{name} is a link"):
        read_all(folder)


def test_what_is_no_plain_file_is_refused_without_waiting(folder):
    (folder / "a.json").unlink()
    os.mkfifo(folder / "a.json")
    with pytest.raises(BundleError, match=r"a\.json is no plain file"):
        read_all(folder)
    (folder / "a.json").unlink()
    (folder / "a.json").mkdir()
    with pytest.raises(BundleError, match=r"a\.json"):
        read_all(folder)


@pytest.mark.parametrize("size", [10**18, 10**30, -1, 1.5, "1", None, True])
def test_wrong_sizes_are_refused(folder, size):
    files = {name: entry(content) for name, content in FILES.items()}
    seal(folder, files={**files, "a.json": {**files["a.json"], "bytes": size}})
    with pytest.raises(BundleError, match=r"a\.json"):
        read_all(folder)


@pytest.mark.parametrize("files", [None, [], {"a.json": None}, {"a.json": {"bytes": 2}}])
def test_a_manifest_without_files_is_refused(folder, files):
    seal(folder, files=files)
    with pytest.raises(BundleError, match=MANIFEST):
        read_all(folder)


@pytest.mark.parametrize("protocol", [0, 3, -1, 10**30, "1", 1.0, True, None, [1]])
def test_another_protocol_names_the_version_that_can(folder, protocol):
    seal(folder, protocol=protocol)
    expected = r"written by eri 9\.9\.9: this version reads protocol 1 \(since 0\.1\.0\), 2"
    with pytest.raises(BundleError, match=expected):
        read_all(folder)


def test_an_older_protocol_is_read(folder):
    seal(folder, protocol=1)
    assert read_all(folder) == FILES


def test_only_a_bundle_is_overwritten(folder, tmp_path):
    write(folder, {"new.json": b"1"})
    assert read_all(folder) == {"new.json": b"1"}
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("1")
    with pytest.raises(BundleError, match="no bundle, so it is not overwritten"):
        write(other)
    assert (other / "chapter.txt").read_text() == "1"


def test_what_was_there_stays_when_writing_fails(folder):
    with pytest.raises(FileNotFoundError), new_sealed_folder(folder, 2, "9", {}) as beside:
        (beside / "half.json").replace(beside / "other.json")
    assert read_all(folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_what_was_there_comes_back_when_its_place_cannot_be_taken(folder, monkeypatch):
    replace = Path.replace

    def refuse(path, target):
        if path.name.startswith(".part"):
            raise PermissionError("no")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    for place in (folder, folder.with_name("new")):
        with pytest.raises(PermissionError):
            write(place, {"new.json": b"1"})
    assert read_all(folder) == FILES
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]


def test_a_file_that_is_not_listed_is_not_read(folder):
    with pytest.raises(BundleError, match="lists no"):
        SealedFolder(folder, PROTOCOLS).read("../bundle/a.json")
