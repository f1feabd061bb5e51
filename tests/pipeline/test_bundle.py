import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from models.arrays import DataError
from models.heads.mean import MeanHead
from models.persistence import loads
from pipeline.bundle import PINNED, read_bundle
from pipeline.bundling import make_bundle
from pipeline.clip_table import read_rows
from pipeline.params import ParamsError, load_params
from pipeline.paths import fitted_head
from pipeline.predict import load_bundle
from pipeline.sealed_folder import MANIFEST, BundleError
from pipeline.stages import bundle as stage
from tests.pipeline.finished_run import HEADS, TARGETS, predictions
from tests.pipeline.test_sealed_folder import entry, seal

N_FLIPS_PER_FILE = 2


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


def put(bundle, name, content):
    """Put another file in, with a manifest that vouches for it."""
    (bundle / name).write_bytes(content)
    files = {p.name: entry(p.read_bytes()) for p in bundle.iterdir() if p.name != MANIFEST}
    seal(bundle, files=files)


def changed(bundle, change):
    content = json.loads((bundle / "bundle.json").read_text())
    change(content)
    put(bundle, "bundle.json", json.dumps(content).encode())


def test_it_says_what_it_is_and_needs_nothing_else_to_predict(bundle):
    description, fitted = read_bundle(bundle)
    assert description.targets == tuple(TARGETS)
    assert {member.head for member in description.members} == set(HEADS)
    assert {member.view for member in description.members} == {"tiny", "sound", "sound+tiny"}
    assert sum(member.weight for member in description.members) == pytest.approx(1)
    assert set(description.encoders) == {"tiny", "sound"}
    training = description.training
    assert (training.refit_on, training.n_clips, training.n_people) == ("train", 24, 8)
    assert training.largest_difference < 1e-5
    entries = zip(description.encoders.items(), (1, np.nan), strict=True)
    vectors = {name: np.full((3, e.width), value, np.float32) for (name, e), value in entries}
    assert np.isfinite(fitted.predict(vectors)).all()


def test_the_heads_are_those_that_were_fitted(finished_run):
    description, _ = read_bundle(finished_run.bundle)
    for number, member in enumerate(description.members):
        packed = finished_run.bundle / f"member-{number:03d}.skops"
        assert packed.read_bytes() == fitted_head(member.head, member.view).read_bytes()


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
    assert read_bundle(finished_run.bundle)[0].training.largest_difference < 1e-6


def test_the_same_run_gives_the_same_bytes(finished_run):
    before = {path.name: path.read_bytes() for path in finished_run.bundle.iterdir()}
    finished_run.stage(stage)
    assert {path.name: path.read_bytes() for path in finished_run.bundle.iterdir()} == before


def test_results_of_another_run_are_refused(finished_run, results):
    sent = results / "predictions.csv"
    table = predictions(finished_run)
    (table + 0.1).to_csv(sent)
    with pytest.raises(DataError, match=r"predict otherwise than .*predictions\.csv.*0\.1"):
        finished_run.stage(stage)
    table[1:].to_csv(sent)
    with pytest.raises(ParamsError, match="of other clips"):
        finished_run.stage(stage)
    sent.unlink()
    with pytest.raises(ParamsError, match="there is no"):
        finished_run.stage(stage)
    read_bundle(finished_run.bundle)  # the one from before


def test_a_clip_may_be_called_na(finished_run, results):
    table = predictions(finished_run).reset_index()
    table.loc[0, "File_ID"] = "NA"
    table.to_csv(results / "predictions.csv", index=False)
    rows = read_rows(load_params())
    file_id = np.where(rows.clips["clip_id"] == rows.clip_ids[rows.n_train], "NA", "")
    rows = replace(rows, clips=rows.clips.assign(file_id=file_id))
    make_bundle(load_params(), rows, finished_run.bundle)
    read_bundle(finished_run.bundle)


def test_a_table_that_does_not_say_what_made_it_is_refused(finished_run, monkeypatch):
    monkeypatch.setattr("pipeline.bundling.store_metadata", lambda schema: {})
    with pytest.raises(BundleError, match="does not say which encoder made it"):
        finished_run.stage(stage)


def test_heads_refitted_on_val_predict_test_as_the_run_does(finished_run, results):
    on_train = predictions(finished_run)
    finished_run.params(final={"refit_on": "train+val"})
    finished_run.fit()
    expected = predictions(finished_run)
    assert not np.allclose(expected[-2:], on_train[-2:])
    predictor = load_bundle(finished_run.bundle)
    training = predictor.description.training
    assert (training.n_clips, training.n_compared) == (28, 2)
    assert training.largest_difference < 1e-9
    table = predictor.predict(finished_run.folder / "media", progress=False).set_index("clip_id")
    found = table.loc[expected.index, TARGETS]
    np.testing.assert_allclose(found[-2:], expected[-2:], atol=1e-9)
    assert not np.allclose(found[:4], expected[:4])  # Val was learned from


def test_a_flipped_byte_in_any_file_is_refused_by_name(bundle):
    rng = np.random.default_rng(0)
    for path in sorted(bundle.iterdir()):
        content = path.read_bytes()
        for place in rng.integers(len(content), size=N_FLIPS_PER_FILE):
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(flipped)
            with pytest.raises(BundleError, match=path.name):
                read_bundle(bundle)
        path.write_bytes(content)
    read_bundle(bundle)


@pytest.mark.parametrize("library", [*PINNED, "left-pad"])
def test_a_library_of_another_version_is_named(bundle, library):
    seal(bundle, versions={library: "0.1"})
    with pytest.raises(BundleError, match=f"fitted with {library} 0.1; .*install {library}==0.1"):
        read_bundle(bundle)


def test_a_vouched_for_stranger_is_named(bundle):
    put(bundle, "payload.pkl", b"cos\nsystem\n")
    with pytest.raises(BundleError, match=r"payload\.pkl does not belong"):
        read_bundle(bundle)


def test_a_stack_in_the_place_of_a_head_is_refused(bundle):
    assert loads((bundle / "stack.skops").read_bytes())
    put(bundle, "member-000.skops", (bundle / "stack.skops").read_bytes())
    with pytest.raises(BundleError, match=r"member-000\.skops .*expected a head, found a Stack"):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content["targets"].append("awe"), "the stack is of"),
        (lambda content: content["encoders"]["tiny"].update(width=7), "is no head on"),
        (lambda content: content["encoders"].pop("sound"), "KeyError: 'sound'"),
        (lambda content: content.update(extra=1), "extra"),
    ],
)
def test_parts_have_to_fit_together(bundle, change, said):
    changed(bundle, change)
    with pytest.raises(BundleError, match=rf"bundle\.json is not what eri writes: .*{said}"):
        read_bundle(bundle)


def test_an_encoder_of_another_version_is_named(bundle):
    spec = {"kind": "telepathy"}
    changed(bundle, lambda content: content["encoders"]["tiny"].update(spec=spec))
    with pytest.raises(BundleError, match=r"encoder 'tiny' cannot be made.*telepathy"):
        load_bundle(bundle)
