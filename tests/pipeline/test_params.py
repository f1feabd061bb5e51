from pathlib import Path

import pytest
import yaml

from pipeline.params import ParamsError, load_params


@pytest.fixture
def faults_of(request, tmp_path):
    """Set a value in the project's own parameters, or take it out; returns the faults found."""
    path = tmp_path / "params.yaml"
    path.write_bytes((request.config.rootpath / "params.yaml").read_bytes())

    def faults_of(*changes) -> list[str]:
        content = yaml.safe_load(path.read_text())
        for place, value in changes:
            *above, last = place.split(".")
            section = content
            for name in above:
                section = section[name]
            section[last] = value
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        with pytest.raises(ParamsError) as caught:
            load_params(path)
        first, *lines = str(caught.value).split("\n")
        assert first == f"{path}: {len(lines)} fault(s)"
        return [line.strip() for line in lines]

    return faults_of


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        ("sampleing", 1, "sampleing: unknown key; did you mean 'sampling'?"),
        ("data.label", 1, "data.label: unknown key; did you mean 'labels'?"),
        ("encoders.clip.weight", 1, "encoders.clip.weight: unknown key; did you mean 'weights'?"),
        ("heads.ridge.alpha", 1, "heads.ridge.alpha: unknown key; did you mean 'alphas'?"),
        ("heads.ridge.kind", "rigde", "heads.ridge.kind: unknown kind 'rigde'; did you mean"),
        ("encoders.a+b", {"kind": "opensmile", "model": "x"}, "encoders.a+b: String should match"),
        ("people.encoder", "clp", "people.encoder: unknown encoder 'clp'; did you mean 'clip'?"),
        ("people.source", "faces", "people: source 'faces' needs the encoder whose faces are"),
        ("targets", "joy", "targets: Input should be a valid list; got 'joy'"),
        ("targets", ["joy", "joy"], "targets: they must differ: joy; rename them"),
        ("targets", ["joy", "fold"], "targets: they must not be names of other columns: fold"),
        ("heads.baseline", {"kind": "ridge"}, "heads: rows `baseline/...` are there already: "),
        ("evaluation.baselines", ["age", "mean"], "evaluation.baselines: they are there already"),
        ("stores.clip", {"store": "x", "sha256": "ab"}, "stores: encoders have the same names: c"),
        ("pooling.statistics", ["avg"], "pooling.statistics: unknown statistic 'avg': expected"),
        ("pooling.statistics", [], "pooling.statistics: List should have at least 1 item"),
        ("seed", 2**31, "seed: Input should be less than or equal to 2147483647; got"),
    ],
)
def test_a_fault_is_one_line_with_its_place_and_what_was_expected(faults_of, place, value, said):
    *_, fault = faults_of((place, value))  # a key that a union does not know is said as such, last
    line, _, text = fault.partition(": ")
    assert line.startswith("line ")
    assert text.startswith(said)


def test_every_fault_is_listed_at_once(faults_of):
    changes = ("sampling.frame_rate_hz", -1), ("heads.ridge.kind", "rigde"), ("data", {})
    said = "\n".join(faults_of(*changes))
    for each in ("data.labels: missing", "sampling.frame_rate_hz: Input", "heads.ridge.kind: unkn"):
        assert each in said


def test_a_section_with_nothing_below_it_is_as_if_left_out(request, tmp_path):
    own = load_params(request.config.rootpath / "params.yaml")
    assert all(getattr(each, "weights", "") != "random" for each in own.encoders.values())
    content = yaml.safe_load((request.config.rootpath / "params.yaml").read_text())
    content |= {"encoders": None, "evaluation": None, "demo": None}
    content["stores"] = {"fau": {"store": "fau", "sha256": "ab"}}
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    params = load_params(path)
    assert params.feature_names == ["fau"]
    assert params.evaluation.n_resamples == 2000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "run from the root"),
        (b"a: [", "not valid YAML(.|\n)*line 1"),
        (b"a: 1\na: 2", 'found duplicate key "a"(.|\n)*line 2'),
        (b"seed: 0 # f\xfcr alle", r"params\.yaml is not valid YAML in UTF-8.*0xfc"),
        (b"", "holds no keys"),
    ],
)
def test_a_missing_or_broken_file_is_said(tmp_path: Path, content, message):
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParamsError, match=message):
        load_params(path)
