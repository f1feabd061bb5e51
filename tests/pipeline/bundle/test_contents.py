import json
import shutil

import numpy as np
import pytest
import yaml

from models.heads import make_head
from pipeline.bundle.contents import BundleWriter, read_bundle
from pipeline.bundle.manifest import MANIFEST, BundleError
from pipeline.predict.predictor import load_bundle
from tests.pipeline.bundle.test_manifest import entry, seal
from tests.pipeline.finished_run import HEADS, TARGETS

N_FLIPS_PER_FILE = 2


@pytest.fixture
def bundle(finished_run, tmp_path, monkeypatch):
    """A copy of the run's bundle, elsewhere, to be spoiled."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_run.bundle, tmp_path / "copy")
    return tmp_path / "copy"


def put(bundle, name, content):
    """Put another file in, with a manifest that vouches for it."""
    (bundle / name).write_bytes(content)
    seal(
        bundle,
        files={p.name: entry(p.read_bytes()) for p in bundle.iterdir() if p.name != MANIFEST},
    )


def changed(bundle, name, change):
    content = json.loads((bundle / name).read_text())
    change(content)
    put(bundle, name, json.dumps(content).encode())


def test_it_says_what_it_is(bundle):
    description = read_bundle(bundle).description
    assert description.targets == tuple(TARGETS)
    assert {member.head for member in description.members} == set(HEADS)
    assert {member.view for member in description.members} == {"tiny", "sound", "sound+tiny"}
    assert sum(member.weight for member in description.members) == pytest.approx(1)
    assert set(description.encoders) == {"tiny", "sound"}
    training = description.training
    assert (training.refit_on, training.n_clips, training.n_people) == ("train", 24, 8)
    assert training.largest_difference < 1e-5


def test_it_needs_nothing_else_to_predict_vectors(bundle):
    fitted = load_bundle("copy").fitted
    vectors = {
        name: np.full((3, each.width), value, np.float32)
        for (name, each), value in zip(
            fitted.description.encoders.items(), (1, np.nan), strict=True
        )
    }
    assert np.isfinite(fitted.predict(vectors)).all()


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


def test_a_vouched_for_stranger_is_named(bundle):
    put(bundle, "payload.pkl", b"cos\nsystem\n")
    with pytest.raises(BundleError, match=r"payload\.pkl does not belong"):
        read_bundle(bundle)


def test_parts_have_to_fit_together(bundle):
    changed(bundle, "bundle.json", lambda content: content["targets"].append("awe"))
    with pytest.raises(BundleError, match=r"bundle\.json is not what eri writes: the stack is of"):
        read_bundle(bundle)


def test_widths_have_to_fit_the_heads(bundle):
    changed(bundle, "bundle.json", lambda content: content["encoders"]["tiny"].update(width=7))
    with pytest.raises(BundleError, match=r"bundle\.json is not what eri writes"):
        read_bundle(bundle)


def test_an_encoder_of_another_version_is_named(bundle):
    spec = {"kind": "telepathy"}
    changed(bundle, "bundle.json", lambda content: content["encoders"]["tiny"].update(spec=spec))
    with pytest.raises(BundleError, match=r"encoder 'tiny' cannot be made.*telepathy"):
        load_bundle(bundle)


def test_a_head_that_cannot_be_written_says_so(tmp_path):
    head = make_head({"kind": "mean"}, 0).fit(np.zeros((4, 1)), np.arange(4.0))
    head.odd_ = open
    with pytest.raises(
        BundleError, match=r"fitted MeanHead cannot be put into a bundle: .*io\.open"
    ):
        BundleWriter(tmp_path).head(0, head)


def test_the_stage_depends_on_files_that_are_there(request):
    root = request.config.rootpath
    stage = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]["bundle"]
    assert stage["outs"] == ["results/bundle"]
    code = [place for place in stage["deps"] if not place.startswith(("data/", "results/"))]
    assert len(code) > 5
    assert all((root / place).exists() for place in code)
