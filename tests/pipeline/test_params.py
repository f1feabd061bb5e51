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
    assert set(params.make_encoders()) == {"clip", "resnet50", "egemaps"}
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
        (None, "targets", ["joy", "joy"], "targets must differ from each other"),
        (None, "targets", "joy", "targets: Input should be a valid list; got 'joy'"),
        (
            "pooling",
            "statistics",
            ["avg"],
            "pooling.statistics.0: unknown statistic 'avg': expected one of mean, std, min, max, "
            "q10, q25, median, q75, q90, slope; got 'avg'",
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


def test_repeated_targets_are_refused(content, write):
    content["targets"] = ["Fear", "Fear"]
    with pytest.raises(ParamsError, match="differ"):
        load_params(write(content))


@pytest.mark.parametrize("name", ["fold", "name", "part", "row", "time_s", "ci95_low"])
def test_targets_named_like_our_own_columns_are_refused(content, write, name):
    content["targets"] = ["Fear", name]
    with pytest.raises(ParamsError, match="names of other columns"):
        load_params(write(content))


def test_a_head_named_like_the_baselines_is_refused(content, write):
    content["heads"]["baseline"] = {"kind": "ridge"}
    with pytest.raises(ParamsError, match=r"heads: .*baseline/.*rename"):
        load_params(write(content))


@pytest.mark.parametrize("name", ["mean", "duration"])
def test_a_column_named_like_a_baseline_is_refused(content, write, name):
    content["evaluation"]["baselines"] = ["age", name]
    with pytest.raises(
        ParamsError, match=rf"evaluation\.baselines: \['{name}'\] are there already"
    ):
        load_params(write(content))


@pytest.mark.parametrize("seed", [-1, 2**31, 2**64])
def test_a_seed_that_a_library_would_not_take_is_refused(content, write, seed):
    content["seed"] = seed
    with pytest.raises(ParamsError, match=rf"seed: .*got {seed}"):
        load_params(write(content))


def test_any_number_of_targets_will_do(content, write):
    content["targets"] = ["joy"]
    assert load_params(write(content)).targets == ("joy",)


def test_a_missing_or_broken_file_is_said(tmp_path):
    with pytest.raises(ParamsError, match="run from the root"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [")
    with pytest.raises(ParamsError, match="not valid YAML"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_bytes("seed: 0 # für alle".encode("latin-1"))
    with pytest.raises(ParamsError, match=r"params\.yaml is not UTF-8 .*save it as UTF-8"):
        load_params(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("")
    with pytest.raises(ParamsError, match="holds no keys"):
        load_params(tmp_path / "params.yaml")


def test_an_unknown_head_is_said(content, write):
    with pytest.raises(ParamsError, match="unknown head 'svm': expected one of"):
        load_params(write(content)).make_head("svm")
