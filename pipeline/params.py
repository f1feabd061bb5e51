"""`params.yaml`, typed and checked when it is read."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PositiveInt,
    PrivateAttr,
    StringConstraints,
    model_validator,
)

from features.encoders import AnyEncoder, Encoder, Recogniser
from features.identity import Sampling
from features.places import address_of
from features.pool import Pooling
from pipeline.demo import DemoSettings
from pipeline.paths import FEATURES, HEARD, PARAMS, POOLED
from pipeline.settings_files import ParamsError as ParamsError
from pipeline.settings_files import Section, model_faults, nearest, read_yaml, refuse
from pipeline.tables import TEXT_COLUMNS

# Names become file names, and `+` joins them to views.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]

MADE_BY_INDEX = frozenset(
    {"sha256", "duration_s", "frame_rate_hz", "has_video", "has_audio"}
    | {"error_step", "error_reason"}
)
"""Columns of the clip table that say what the index found in a file."""

# Columns of our own tables that targets stand beside, and those that are read as text.
# tests/pipeline/test_stages.py holds the list against a run's tables.
RESERVED = {"path", "group", "view", "fold", "file_id", "time_s", "target", "value"}
RESERVED |= TEXT_COLUMNS | MADE_BY_INDEX


class Data(Section):
    """The label table, the folder that its paths are relative to, and how many clips may fail.

    The folder may be an address, such as ``s3://bucket/videos``; see `features.media.remote`.
    A run stops where an encoder fails on more than `max_failed_share` of the clips.
    """

    labels: Path
    media: Annotated[Path, PlainSerializer(lambda path: address_of(path) or str(path))]
    max_failed_share: float = Field(default=0.05, ge=0, le=1)


class ImportedStore(Section):
    """A feature store of features that others computed, as `eri import features` enters it.

    `sha256` is its `pipeline.views.store_sha256`, so that DVC sees when it changes.
    """

    store: Path
    sha256: str


class ImportedTranscripts(Section):
    """Transcripts that came from elsewhere, as `eri import transcripts` enters them.

    `sha256` is that of the table, so that DVC sees when it changes.
    """

    kind: Literal["imported"]
    table: Path
    sha256: str


Transcripts = Annotated[Recogniser | ImportedTranscripts, Field(discriminator="kind")]
"""Who hears what is said, or the words themselves."""


class HeadEntry(BaseModel):
    """A kind of `models.heads.HEADS`, and those of its settings that are not the default.

    What settings there are is known only once scikit-learn is loaded, which takes a second that
    many commands do without: `load_params` checks them.
    """

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, object] = Field(init=False)  # said here for autodoc too

    kind: str


class People(Section):
    """Who a clip shows; see `pipeline.people`.

    Attributes
    ----------
    source : {"group", "faces"}
        The label table's ``group``, or pseudo-subjects by clustering an encoder's faces.
    encoder : str, optional
        An encoder or store, best one that tells faces apart. Needed for faces; with it, clips on
        different sides of a split or fold are also searched for near-identical faces.
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


class Folds(Section):
    """How many folds by person, alike in their targets; see `models.folds`."""

    n_folds: int = Field(default=5, ge=2)


class Evaluation(Section):
    """How predictions are scored.

    Attributes
    ----------
    n_resamples : int
        Bootstrap resamples of people that an interval rests on.
    slices : tuple of str
        Columns of the label table, such as country or age, by whose values scores are also given.
    baselines : tuple of str
        Such columns with a row on the leaderboard: how far each predicts by itself.
    """

    n_resamples: PositiveInt = 2000
    slices: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()


class Final(Section):
    """The labelled clips that heads are fitted on before they predict Test.

    Val and out-of-fold predictions are those of heads fitted on Train, whatever this says.
    """

    refit_on: Literal["train", "train+val"] = "train"


class Execution(Section):
    """Where heavy work is done; no part of what comes of it.

    Attributes
    ----------
    cluster : str, optional
        ``ray`` or ``ray://host:port``; see `features.extraction.cluster.Cluster`. By default here.
    """

    cluster: Annotated[str, StringConstraints(pattern=r"^ray(://.+)?$")] | None = None


class Params(Section):
    """All of `params.yaml`; `docs/` explain the keys by example."""

    seed: int = Field(ge=0, le=2**31 - 1)  # every library takes it
    targets: tuple[str, ...] = Field(min_length=1)
    data: Data
    demo: DemoSettings = DemoSettings()
    sampling: Sampling
    encoders: dict[Name, AnyEncoder] = Field({})
    stores: dict[Name, ImportedStore] = Field({})
    transcripts: Transcripts | None = None
    pooling: Pooling
    people: People = People()
    folds: Folds = Folds()
    heads: dict[Name, HeadEntry] = Field(min_length=1)
    final: Final = Final()
    evaluation: Evaluation = Evaluation()
    execution: Execution = Field(default=Execution(), exclude=True)
    _left_out: tuple[str, ...] = PrivateAttr(default=())

    @property
    def feature_names(self) -> list[str]:
        """Names of all features: encoders, then imported stores."""
        return [*self.encoders, *self.stores]

    @property
    def readers(self) -> list[str]:
        """Names of the encoders that read transcripts."""
        return [name for name, each in self.encoders.items() if each.modality == "words"]

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the optional encoders that the run does without; see `load_run`."""
        return self._left_out

    def store_folder(self, name: str) -> Path:
        """Where the feature store of an encoder, or an imported one, lies."""
        return self.stores[name].store if name in self.stores else FEATURES / name

    def failures_file(self, name: str) -> Path:
        """Where the table of clips lies that an encoder or an imported store has nothing of."""
        folder = POOLED if name in self.stores else FEATURES
        return folder / f"{name}.failures.parquet"


def load_params(
    path: Path = PARAMS, check_heads: bool = True, need_features: bool = True
) -> Params:
    """Read and check `params.yaml`.

    Parameters
    ----------
    path : Path
        The file.
    check_heads : bool
        False leaves the settings of heads unchecked, and loads no libraries for them.
    need_features : bool
        False allows that there is neither an encoder nor a store: both may be yet to come.

    Raises
    ------
    ParamsError
        With one line per fault: where, what came, what was expected; for an unknown key, the
        nearest known one.
    """
    # `encoders:` with nothing below it is as if left out.
    content = {key: value for key, value in read_yaml(path).items() if value is not None}
    faults = model_faults(Params, content)
    if check_heads:
        faults += [each for each in head_faults(content.get("heads")) if each not in faults]
    refuse(path, faults)
    params = Params.model_validate(content)
    refuse(path, _clashes(params, need_features))
    return params


def load_run(check_heads: bool = True) -> Params:
    """Read `params.yaml` as the run in this folder has it: without the encoders that it left out.

    Those are the optional ones of which the stage `extract` has written a table of failures and no
    store. Whatever comes after that stage goes by this.

    Raises
    ------
    ParamsError
        As `load_params`; also when all features are left out, or the encoder of `people` is.
    """
    params = load_params(check_heads=check_heads)
    heard = {HEARD: params.transcripts} if isinstance(params.transcripts, Recogniser) else {}

    def is_left_out(name: str, encoder: Encoder) -> bool:
        source = heard.get(HEARD, encoder) if encoder.modality == "words" else encoder
        is_optional = encoder.optional or source.optional
        has_store = params.store_folder(name).is_dir()
        return is_optional and not has_store and params.failures_file(name).is_file()

    entries = {**params.encoders, **heard}
    left_out = tuple(name for name, each in entries.items() if is_left_out(name, each))
    encoders = {name: each for name, each in params.encoders.items() if name not in left_out}
    transcripts = None if HEARD in left_out else params.transcripts
    run = params.model_copy(update={"encoders": encoders, "transcripts": transcripts})
    run._left_out = left_out
    if left_out and (not run.feature_names or params.people.encoder in left_out):
        what = f"`people.encoder` is {params.people.encoder}" if encoders else "none is left"
        raise ParamsError(f"{what}. {left_out_note(left_out)}")
    return run


def left_out_note(names: Sequence[str]) -> str:
    """Say which encoders a run does without, and how it gets them."""
    return (
        f"LEFT OUT of this run: {', '.join(names)}, whose weights cannot be had here "
        "(data/features/<encoder>.failures.parquet says why). Once there is a network, "
        "`dvc repro -fs extract && dvc repro` fetches them and fits them in."
    )


def head_faults(entries: object) -> list[str]:
    """Say in one line each what is wrong with the settings of heads, by name."""
    from models.heads import HEADS, check_spec

    specs = tuple(type(check_spec({"kind": kind})) for kind in HEADS)  # a notebook may add some
    kinds: Any = Union.__getitem__(specs)
    entry = Annotated[kinds, Field(discriminator="kind")]
    return model_faults(dict[str, entry], entries or {}, ("heads",))


def _clashes(params: Params, need_features: bool) -> Iterator[str]:
    """Say which names mean two things, or nothing."""
    targets, baselines = params.targets, params.evaluation.baselines
    twice = {each for each in targets if targets.count(each) > 1}
    same = params.encoders.keys() & params.stores.keys()
    rules: dict[str, Iterable[str]] = {
        "targets: they must differ": twice,
        "targets: they must not be names of other columns": RESERVED.intersection(targets),
        "stores: encoders have the same names": same,
        "heads: rows `baseline/...` are there already": {"baseline"} & params.heads.keys(),
        "evaluation.baselines: they are there already": {"mean", "duration"} & {*baselines},
    }
    for rule, names in rules.items():
        if names:
            yield f"{rule}: {', '.join(sorted(names))}; rename them"
    if params.transcripts is not None and "transcripts" in params.encoders:
        yield "encoders.transcripts: that is what the recogniser hears; rename it"
    if need_features and params.transcripts is None and params.readers:
        yield (
            f"transcripts: encoders.{params.readers[0]} reads them, and there are none: name a "
            "recogniser, as docs/encoders.md has one, or run `eri import transcripts`"
        )
    known, wanted = params.feature_names, params.people.encoder
    if wanted is not None and wanted not in known:
        yield f"people.encoder: unknown encoder {wanted!r}{nearest(wanted, known)}"
    if need_features and not known:
        yield "no features: expected an entry under `encoders` or `stores`"
