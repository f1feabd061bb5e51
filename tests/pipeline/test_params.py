from pathlib import Path

import pytest
import yaml

from pipeline.params import ParamsError, load_params


@pytest.fixture
def content(request) -> dict:
    return yaml.safe_load((request.config.rootpath / "params.yaml").read_text())


@pytest.fixture
def write(tmp_path):
    def write(content: dict) -> Path:
        path = tmp_path / "params.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        return path

    return write


def test_the_project_s_own_parameters_are_valid(content, write):
    params = load_params(write(content))
    assert set(params.encoders) == {"clip", "resnet50", "egemaps"}
    assert [params.make_head(name) for name in params.heads]
    assert len(params.targets) == 7


@pytest.mark.parametrize(
    ("section", "key", "message"),
    [
        ((), "sampleing", r"sampleing: unknown key; did you mean 'sampling'\?"),
        (("data",), "label", r"data.label: unknown key; did you mean 'labels'\?"),
        (("encoders", "clip"), "weight", r"encoders.clip.weight: unknown key; .*'weights'\?"),
        (("heads", "ridge"), "alpha", r"heads.ridge.alpha: unknown key; did you mean 'alphas'\?"),
        (("demo",), "n_persons", r"demo.n_persons: unknown key"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(content, write, section, key, message):
    place = content
    for name in section:
        place = place[name]
    place[key] = 1
    with pytest.raises(ParamsError, match=message):
        load_params(write(content))


def test_a_section_with_nothing_below_it_is_as_if_left_out(content, write):
    content |= {"encoders": None, "evaluation": None, "demo": None}
    content["stores"] = {"fau": {"store": "fau", "sha256": "ab"}}
    params = load_params(write(content))
    assert params.feature_names == ["fau"]
    assert params.evaluation.n_resamples == 2000


def test_every_fault_is_listed_at_once(content, write):
    content["sampling"]["frame_rate_hz"] = -1
    content["heads"]["ridge"]["kind"] = "rigde"
    del content["targets"]
    with pytest.raises(ParamsError) as caught:
        load_params(write(content))
    message = str(caught.value)
    assert "3 fault(s)" in message
    assert "sampling.frame_rate_hz" in message
    assert "got -1" in message
    assert "unknown kind 'rigde'; did you mean 'ridge'?" in message
    assert "targets: missing" in message


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        (
            "people",
            "encoder",
            "clp",
            "people.encoder: unknown encoder 'clp'; did you mean 'clip'? "
            "Known: clip, resnet50, egemaps",
        ),
        (
            "people",
            "source",
            "faces",
            "people: source 'faces' needs the encoder whose faces are clustered",
        ),
        (None, "targets", ["joy", "joy"], "targets must differ: joy; rename them"),
        (None, "targets", "joy", "targets: Input should be a valid list; got 'joy'"),
        (
            "pooling",
            "statistics",
            ["avg"],
            "pooling.statistics: unknown statistic 'avg': expected one of mean, std, min, max, "
            "q10, q25, median, q75, q90, slope; got ['avg']",
        ),
        (
            "pooling",
            "statistics",
            [],
            "pooling.statistics: List should have at least 1 item after validation, not 0; got []",
        ),
    ],
)
def test_a_fault_is_one_short_line_in_the_words_of_the_file(
    content, write, section, key, value, said
):
    (content if section is None else content[section])[key] = value
    path = write(content)
    with pytest.raises(ParamsError) as caught:
        load_params(path)
    assert str(caught.value) == f"{path}: 1 fault(s)\n  {said}"


@pytest.mark.parametrize("name", ["a+b", "a/b", "", "../x"])
def test_names_that_cannot_be_files_or_views_are_refused(content, write, name):
    content["encoders"][name] = content["encoders"].pop("clip")
    with pytest.raises(ParamsError, match="encoders"):
        load_params(write(content))


@pytest.mark.parametrize("name", ["fold", "name", "part", "row", "time_s", "ci95_low"])
def test_targets_named_like_our_own_columns_are_refused(content, write, name):
    content["targets"] = ["Fear", name]
    with pytest.raises(ParamsError, match=f"names of other columns: {name}; rename"):
        load_params(write(content))


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("heads", "baseline", {"kind": "ridge"}, r"heads: .*baseline/.*rename"),
        ("evaluation", "baselines", ["age", "mean"], r"evaluation\.baselines: .*: mean; rename"),
        ("evaluation", "baselines", ["duration"], r"evaluation\.baselines: .*: duration; rename"),
        ("stores", "clip", {"store": "x", "sha256": "ab"}, "encoders and stores: clip; rename"),
        ("people", "source", "voices", "people.source: .*'group' or 'faces'"),
        ("people", "threshold", "often", "people.threshold"),
        ("people", "threshold", 0, "people.threshold"),
        ("people", "near_identical", 1.5, "people.near_identical"),
        ("people", "encoders", "clip", "people.encoders: unknown key; did you mean 'encoder'"),
        ("final", "refit_on", "val", r"final.refit_on.*'train' or 'train\+val'"),
    ],
)
def test_other_faults_name_the_place(content, write, section, key, value, message):
    content[section][key] = value
    with pytest.raises(ParamsError, match=message):
        load_params(write(content))


@pytest.mark.parametrize("seed", [-1, 2**31, 2**64])
def test_a_seed_that_a_library_would_not_take_is_refused(content, write, seed):
    content["seed"] = seed
    with pytest.raises(ParamsError, match=rf"seed: .*got {seed}"):
        load_params(write(content))


def test_any_number_of_targets_will_do(content, write):
    content["targets"] = ["joy"]
    assert load_params(write(content)).targets == ("joy",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "run from the root"),
        (b"a: [", "not valid YAML"),
        (b"a: 1\na: 2", "the key 'a' stands there twice"),
        (b"seed: 0 # f\xfcr alle", r"params\.yaml is not UTF-8 .*save it as UTF-8"),
        (b"", "holds no keys"),
    ],
)
def test_a_missing_or_broken_file_is_said(tmp_path, content, message):
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParamsError, match=message):
        load_params(path)
