"""`params.yaml`, typed and checked when it is read."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from features.encoders import ENCODERS, Encoder, make_encoder
from features.identity import Sampling
from features.pool import Pooling
from pipeline.demo.settings import DemoSettings
from pipeline.paths import PARAMS
from pipeline.tables import TEXT_COLUMNS

if TYPE_CHECKING:
    from models.heads import Head

# Names become file names, and `+` joins them to views.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


# Columns of our own tables, beside which target columns stand.
RESERVED = TEXT_COLUMNS | {
    *("path", "group", "view", "fold", "file_id", "row", "time_s"),
    *("mean_pearson", "official_mean_pearson"),
}

_LARGEST_SEED = 2**31 - 1  # every library takes it


class ParamsError(Exception):
    """`params.yaml` is missing or not as it should be; the message lists every fault."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Section):
    """Which clips.

    Attributes
    ----------
    labels : Path
        The label table, CSV or Parquet (`pipeline.labels`).
    media : Path
        The folder that its ``path`` column is relative to.
    max_failed_share : float
        Share of clips that may fail, per encoder, before the run stops with an error.
    """

    labels: Path
    media: Path
    max_failed_share: float = Field(default=0.05, ge=0, le=1)


class People(_Section):
    """Who a clip shows; see `pipeline.people`.

    Attributes
    ----------
    source : {"group", "faces"}
        The label table's ``group``, or pseudo-subjects by clustering an encoder's faces.
    encoder : str, optional
        A name under `encoders`, best one that tells faces apart. Needed for faces; with it, clips
        on different sides of a split or fold are also searched for near-identical faces.
    threshold : float or "auto"
        Mean cosine distance from which clusters stay apart; `models.people` chooses by default.
    near_identical : float
        Cosine similarity from which two clips on different sides are warned of.
    """

    source: Literal["group", "faces"] = "group"
    encoder: str | None = None
    threshold: Annotated[float, Field(gt=0, le=2)] | Literal["auto"] = "auto"
    near_identical: float = Field(default=0.98, gt=0, le=1)

    @model_validator(mode="after")
    def _faces_need_an_encoder(self) -> "People":
        if self.source == "faces" and self.encoder is None:
            raise ValueError("source 'faces' needs the encoder whose faces are clustered")
        return self


class Folds(_Section):
    """How many folds by person, alike in their targets; see `models.folds`."""

    n_folds: int = Field(default=5, ge=2)


class Evaluation(_Section):
    """How predictions are scored.

    Attributes
    ----------
    n_resamples : int
        Person-wise bootstrap resamples that an interval rests on; see `models.bootstrap`.
    slices : tuple of str
        Columns of the label table, such as country or age, by whose values scores are also given;
        see `models.slices`.
    baselines : tuple of str
        Columns of the label table, such as age, that get a row of their own on the leaderboard: how
        far each predicts by itself. Text counts by its values.
    """

    n_resamples: PositiveInt = 2000
    slices: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()


class Final(_Section):
    """Which models the predictions of Test come from.

    Attributes
    ----------
    refit_on : {"train", "train+val"}
        The labelled clips that heads are fitted on before they predict Test. Val and out-of-fold
        predictions are those of heads fitted on Train only, whatever this says.
    """

    refit_on: Literal["train", "train+val"] = "train"


class Params(_Section):
    """All of `params.yaml`; `docs/` explain the keys by example."""

    seed: int = Field(ge=0, le=_LARGEST_SEED)
    targets: tuple[str, ...] = Field(min_length=1)
    data: Data
    demo: DemoSettings = DemoSettings()
    sampling: Sampling
    encoders: dict[Name, dict[str, Any]] = Field(min_length=1)
    pooling: Pooling
    people: People = People()
    folds: Folds = Folds()
    heads: dict[Name, dict[str, Any]] = Field(min_length=1)
    final: Final = Final()
    evaluation: Evaluation = Evaluation()

    @field_validator("heads")
    @classmethod
    def _no_head_is_called_like_baselines(cls, heads: dict[str, Any]) -> dict[str, Any]:
        if "baseline" in heads:
            raise ValueError("`baseline/...` are other rows of the leaderboard: rename this head")
        return heads

    @model_validator(mode="after")
    def _targets_are_names_of_their_own(self) -> "Params":
        if len(set(self.targets)) < len(self.targets):
            raise ValueError("targets must differ from each other")
        taken = sorted(RESERVED.intersection(self.targets))
        if taken:
            raise ValueError(f"targets must not have the names of other columns: {taken}")
        return self

    @model_validator(mode="after")
    def _people_are_told_apart_by_a_known_encoder(self) -> "Params":
        name = self.people.encoder
        if name is not None and name not in self.encoders:
            hint = _nearest(name, list(self.encoders))
            raise ValueError(f"people.encoder: unknown encoder {name!r}{hint}")
        return self

    def make_encoders(self) -> dict[str, Encoder]:
        """Build every encoder by name; no weights are loaded."""
        return {name: make_encoder(spec) for name, spec in self.encoders.items()}

    def make_head(self, name: str) -> "Head":
        """Build the head of that name, unfitted.

        Raises
        ------
        ParamsError
            When there is no such head.
        """
        if name not in self.heads:
            raise ParamsError(f"unknown head {name!r}: expected one of {list(self.heads)}")
        from models.heads import make_head

        settings = dict(self.heads[name])
        return make_head(settings.pop("kind"), settings, self.seed)


def load_params(path: Path = PARAMS, check_heads: bool = True) -> Params:
    """Read and check `params.yaml`.

    Parameters
    ----------
    path : Path
        The file.
    check_heads : bool
        False leaves the settings of heads unchecked: what is allowed there is known only once the
        libraries are loaded that heads are made of, and that takes seconds.

    Raises
    ------
    ParamsError
        With one line per fault: where, what came, what was expected; for an unknown key, the
        nearest known one.
    """
    content = read_keys(path, Params)
    faults = model_faults(Params, content) + encoder_faults(content)
    if check_heads:
        from models.heads import HEADS, head_settings

        settings = {kind: head_settings(kind) for kind in HEADS}
        faults += _entry_faults(content, "heads", settings, kind_is_setting=False)
    refuse(path, faults)
    return Params.model_validate(content)


def read_keys(path: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Read a YAML file of keys, those that `model` has.

    Raises
    ------
    ParamsError
        When the file is missing, is no YAML in UTF-8, holds no keys, or one of them twice.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except FileNotFoundError:
        raise ParamsError(f"there is no {path} here: run from the root of the repository") from None
    except UnicodeDecodeError as error:
        raise ParamsError(f"{path} is not UTF-8 ({error}): save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ParamsError(f"{path} holds no keys: expected {list(model.model_fields)}")
    return content


def refuse(path: Path, faults: Sequence[str]) -> None:
    """Raise `ParamsError` with the faults of a file, one per line, if there are any."""
    if faults:
        raise ParamsError("\n".join([f"{path}: {len(faults)} fault(s)", *faults]))


def encoder_faults(content: Mapping[str, Any]) -> list[str]:
    """Check every entry of the section ``encoders`` against the spec of its kind."""
    return _entry_faults(content, "encoders", {k: e.Spec for k, e in ENCODERS.items()})


def model_faults(model: type[BaseModel], values: Any, prefix: tuple[str, ...] = ()) -> list[str]:
    """Say in one line each what `model` has against the values, which stand below `prefix`."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        faults = map(dict, error.errors())
        return [_fault(model, each, prefix) for each in faults if not _follows_from_others(each)]
    return []


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: the first one would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                message = f"the key {key.value!r} stands there twice"
                raise yaml.constructor.ConstructorError(
                    problem=message, problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _entry_faults(
    content: Mapping[str, Any],
    section: str,
    models: Mapping[str, type[BaseModel]],
    kind_is_setting: bool = True,
) -> list[str]:
    """Check every named entry of `section` against the model that belongs to its kind."""
    entries = content.get(section)
    if not isinstance(entries, dict):
        return []  # said already
    faults = []
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            continue  # said already
        kind = str(entry.get("kind"))
        if kind not in models:
            hint = _nearest(kind, list(models))
            faults.append(f"  {section}.{name}.kind: unknown kind {kind!r}{hint}")
            continue
        settings = entry if kind_is_setting else {k: v for k, v in entry.items() if k != "kind"}
        faults += model_faults(models[kind], settings, (section, str(name)))
    return faults


def _fault(model: type[BaseModel], error: Mapping[str, Any], prefix: tuple[str, ...]) -> str:
    place = ".".join([*prefix, *map(str, error["loc"])])
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, error["loc"][:-1])
        return f"  {place}: unknown key{_nearest(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return f"  {place}: missing; it is required"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("tuple_type", "too_short"):  # YAML has lists
        message = message.replace("valid tuple", "valid list").replace("Tuple", "List")
    if error["type"] != "value_error" or not isinstance(error["input"], Mapping):
        message += f"; got {error['input']!r}"
    # Without a place it is a fault between sections, which the message names.
    return f"  {place}: {message}" if place else f"  {message}"


def _follows_from_others(error: Mapping[str, Any]) -> bool:
    """Whether a list counts as too short only because faults of its items are said already."""
    return error["type"] == "too_short" and len(error["input"]) > int(error["ctx"]["actual_length"])


def _known_keys(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    for part in loc:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"{hint} Known: {', '.join(known)}"
