import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.arrays import DataError
from models.heads.base import MeanHead
from pipeline import stages
from pipeline.bundle import (
    DESCRIPTION,
    PINNED,
    BundleError,
    description_bytes,
    read_bundle,
)
from pipeline.params import ParamsError
from pipeline.paths import fitted_head
from pipeline.predict import load_bundle
from tests.pipeline.finished_run import HEADS, TARGETS, predictions


@pytest.fixture
def bundle(finished_run, tmp_path, monkeypatch):
    """A copy of the run's bundle, elsewhere, to be spoiled."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_run.bundle, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def results(finished_run, tmp_path):
    """The results; all of them are put back after the test."""
    results = finished_run.folder / "results"
    shutil.copytree(results, tmp_path / "results")
    yield results
    shutil.rmtree(results)
    shutil.copytree(tmp_path / "results", results)
    finished_run.params(final={"refit_on": "train"}, heads=HEADS)


def change(bundle, change):
    """Write another description, with a right digest of itself, as an attacker would."""
    content = json.loads((bundle / DESCRIPTION).read_text())
    del content["sha256"]
    change(content)
    (bundle / DESCRIPTION).write_bytes(description_bytes(content))


def test_it_says_what_it_is_and_needs_nothing_else_to_predict(finished_run, bundle):
    read = read_bundle(bundle)
    description = read.description
    assert description.targets == tuple(TARGETS)
    assert {name.split("/")[0] for name in description.members} == set(HEADS)
    assert {name.split("/")[1] for name in description.members} == {"tiny", "sound", "sound+tiny"}
    assert set(description.versions) == {"lightgbm"}  # of other libraries nothing is in the files
    assert set(description.encoders) == {"tiny", "sound"}
    fitted_on = (description.refit_on, description.n_clips, description.n_people)
    assert fitted_on == ("train", 24, 8)
    assert description.largest_difference < 1e-5
    entries = zip(description.encoders.items(), (1, np.nan), strict=True)
    vectors = {name: np.full((3, e.width), value, np.float32) for (name, e), value in entries}
    assert np.isfinite(read.predict(vectors)).all()
    for number, name in enumerate(description.members):  # packed as they were fitted
        fitted = finished_run.folder / fitted_head(*name.split("/"))
        assert (bundle / f"member-{number:03d}.skops").read_bytes() == fitted.read_bytes()


def test_a_head_that_never_fits_twice_alike_predicts_as_it_did(
    finished_run, results, monkeypatch, tmp_path
):
    def fit(head, inputs, targets, groups):
        head.slope_ = np.random.default_rng().normal(size=(inputs.shape[1], targets.shape[1]))

    monkeypatch.setattr(MeanHead, "_fit", fit)
    monkeypatch.setattr(MeanHead, "_predict", lambda head, inputs: inputs @ head.slope_)
    monkeypatch.setenv("ERI_CACHE", str(tmp_path / "cache"))
    finished_run.params(heads={"chance": {"kind": "mean"}})
    finished_run.fit(["chance"])
    assert read_bundle(finished_run.bundle).description.largest_difference < 1e-6


def test_the_same_run_gives_the_same_bytes_and_results_of_another_are_refused(
    finished_run, results
):
    before = {path.name: path.read_bytes() for path in finished_run.bundle.iterdir()}
    stages.bundle()
    assert {path.name: path.read_bytes() for path in finished_run.bundle.iterdir()} == before
    sent = results / "predictions.csv"
    table = predictions(finished_run)
    (table + 0.1).to_csv(sent)
    with pytest.raises(DataError, match=r"predict otherwise than .*predictions\.csv.*0\.1"):
        stages.bundle()
    table[1:].to_csv(sent)
    with pytest.raises(ParamsError, match="of other clips"):
        stages.bundle()
    sent.unlink()
    with pytest.raises(FileNotFoundError, match="predictions"):
        stages.bundle()
    read_bundle(finished_run.bundle)  # the one from before
    assert not [path.name for path in results.iterdir() if path.name.startswith(".")]


def test_heads_refitted_on_val_predict_test_as_the_run_does(finished_run, results):
    heads = {name: HEADS[name] for name in ("ridge", "kernel")}
    finished_run.params(heads=heads)
    finished_run.fit(heads)
    on_train = predictions(finished_run)
    finished_run.params(final={"refit_on": "train+val"})
    finished_run.fit(heads)
    expected = predictions(finished_run)
    assert not np.allclose(expected[-2:], on_train[-2:])
    predictor = load_bundle(finished_run.bundle)
    description = read_bundle(finished_run.bundle).description
    assert (description.n_clips, description.n_compared) == (28, 2)
    assert description.largest_difference < 1e-9
    table = predictor.predict(finished_run.folder / "media").set_index("clip_id")
    found = table.loc[expected.index, TARGETS]
    np.testing.assert_allclose(found[-2:], expected[-2:], atol=1e-9)
    assert not np.allclose(found[:4], expected[:4])  # Val was learned from


def test_a_flipped_byte_in_any_file_is_refused_by_name(bundle):
    rng = np.random.default_rng(0)
    for path in sorted(bundle.iterdir()):
        n = len(content := path.read_bytes())
        some = range(n) if path.name == DESCRIPTION else rng.integers(n, size=2)
        flipped = (content[:n] + bytes([content[n] ^ 4]) + content[n + 1 :] for n in some)
        for wrong in (b"", content[:-1], content + b"\n", *flipped):
            path.write_bytes(wrong)
            with pytest.raises(BundleError, match=path.name):
                read_bundle(bundle)
        path.write_bytes(content)
    read_bundle(bundle)


@given(content=st.one_of(st.binary(), st.text().map(str.encode), st.just(b"[" * 10**5)))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_other_description_is_refused(bundle, content):
    (bundle / DESCRIPTION).write_bytes(content)
    with pytest.raises(BundleError, match=DESCRIPTION):
        read_bundle(bundle)


def test_missing_and_further_files_and_links_are_named(bundle):
    stack, elsewhere = bundle / "stack.skops", bundle.with_name("elsewhere")
    stack.rename(elsewhere)
    for said, make in {  # reading a pipe would wait for ever
        "stack.skops is missing": lambda: None,
        "stack.skops is a link or no plain file": lambda: stack.symlink_to(elsewhere),
        "stack.skops is a link or no plain file: ": lambda: os.mkfifo(stack),
        "payload.pkl is missing, or does not belong": lambda: (
            elsewhere.rename(stack),
            (bundle / "payload.pkl").write_bytes(b"cos\nsystem\n"),
        ),
    }.items():
        stack.unlink(missing_ok=True)
        make()
        with pytest.raises(BundleError, match=re.escape(said)):
            read_bundle(bundle)
    with pytest.raises(BundleError, match=r"there is no bundle .*dvc repro"):
        read_bundle(bundle / "elsewhere")


def test_another_library_or_protocol_names_the_version_that_can(bundle):
    for library in (*PINNED, "left-pad"):
        change(bundle, lambda content, name=library: content.update(versions={name: "0.1"}))
        said = f"fitted with {library} 0.1; .*install {library}==0.1"
        with pytest.raises(BundleError, match=said):
            read_bundle(bundle)
    for protocol in (0, 5, -1, 10**30, "6", 6.0, True, None, [6]):
        other = {"protocol": protocol, "eri": "9.9.9"}
        change(bundle, lambda content, other=other: content.update(other))
        said = r"written by eri 9\.9\.9: this version reads protocol 6\. Install"
        with pytest.raises(BundleError, match=said):
            read_bundle(bundle)


def swap_a_head_for_the_stack(content):
    stack = Path("copy/stack.skops").read_bytes()
    Path("copy/member-000.skops").write_bytes(stack)
    content["files"]["member-000.skops"] = hashlib.sha256(stack).hexdigest()


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda content: content["targets"].append("awe"),
            "heads, 3 targets",
        ),
        (lambda content: content["encoders"]["tiny"].update(width=7), "expected a head on"),
        (swap_a_head_for_the_stack, r"member-000\.skops: expected a head on .*found Stack"),
        (lambda content: content["encoders"].pop("sound"), r"bundle\.json .*KeyError: 'sound'"),
        (lambda content: content.update(extra=1), r"bundle\.json .*extra"),
        (lambda content: content.update(members=[]), r"bundle\.json .*members"),
        (lambda content: content.pop("files"), r"bundle\.json .*files"),
        (lambda content: content["members"].pop(), r"stack\.skops: expected one for"),
    ],
)
def test_parts_have_to_fit_together(bundle, edit, said):
    change(bundle, edit)
    with pytest.raises(BundleError, match="is not what eri writes: .*") as error:
        read_bundle(bundle)
    assert re.search(said, str(error.value))


def test_an_encoder_of_another_version_is_named(bundle):
    change(bundle, lambda content: content["encoders"]["tiny"].update(spec={"kind": "telepathy"}))
    with pytest.raises(BundleError, match=r"encoder 'tiny' cannot be made.*telepathy"):
        load_bundle(bundle)
