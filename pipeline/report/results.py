"""What a run has written and what it is made of, for its report and its model card."""

import json
import platform
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.encoders import Recogniser
from features.files import file_sha256
from features.store import shards_of, store_metadata
from pipeline import paths
from pipeline.clip_table import Rows, read_rows
from pipeline.leaderboard import SPLITS, board_of_split, shown_splits
from pipeline.params import Params
from pipeline.report.data import data_warnings
from pipeline.report.plots import read_plots
from pipeline.tables import read_run_table
from pipeline.views import read_prediction_table

ENCODER_KEYS = ("kind", "model", "weights", "weights_digest", "identity", "outputs")
_N_OUTPUTS_SHOWN = 4

_KNOWN_BY = (paths.CLIPS, paths.FOLDS, paths.STACK, paths.LEADERBOARD)
_LIBRARIES = ("eri", "lightgbm", "numpy", "pandas", "scikit-learn", "scipy", "torch")
_UNKNOWN = "n/a"


@dataclass(frozen=True)
class Results:
    """What a report is made of: what a run wrote, read.

    Attributes
    ----------
    stack : ndarray of float64, shape (n_clips, n_targets)
        Predictions of the stack, in the order of `rows`.
    plots, failures : mapping of str to (mapping, DataFrame), mapping of str to DataFrame
        The plots of `dvc.yaml` with their tables; the failure table of each encoder.
    warnings : sequence of str
        What a reader has to know of the data.
    people, record : mapping
        What ``people.json`` holds, and what the run is made of, from `run_record`.
    """

    params: Params
    rows: Rows
    stack: NDArray[np.float64]
    board: pd.DataFrame
    contributions: pd.DataFrame
    slices: pd.DataFrame
    curve: pd.DataFrame
    imputed: pd.DataFrame
    plots: Mapping[str, tuple[Mapping[str, str], pd.DataFrame]]
    failures: Mapping[str, pd.DataFrame]
    warnings: Sequence[str]
    people: Mapping[str, Any]
    record: Mapping[str, Any]

    @property
    def split(self) -> str:
        """The split that the leaderboard is sorted by, on which errors are looked at too."""
        return shown_splits(self.board)[0]

    @property
    def scores(self) -> pd.DataFrame:
        """The leaderboard of that split, by name."""
        return board_of_split(self.board, self.split).set_index("name")

    @property
    def scored(self) -> NDArray[np.bool_]:
        """The clips of that split (n_clips,)."""
        return (self.rows.clips["split"] == SPLITS[self.split]).to_numpy(bool)


def read_results(params: Params) -> Results:
    """Read what a run has written; files of other clips than its own are a ParamsError."""
    rows, people = read_rows(params), json.loads(paths.PEOPLE.read_text(encoding="utf-8"))
    metadata = {
        name: store_metadata(pq.read_schema(shards_of(params.store_folder(name))[0]))
        for name in params.feature_names
    }
    if isinstance(params.transcripts, Recogniser):
        heard = shards_of(paths.FEATURES / paths.HEARD)[0]
        metadata[paths.HEARD] = store_metadata(pq.read_schema(heard))
    return Results(
        params=params,
        rows=rows,
        stack=read_prediction_table(paths.STACK, rows, params.targets)["stack"],
        board=read_run_table(paths.LEADERBOARD),
        contributions=read_run_table(paths.CONTRIBUTIONS),
        slices=read_run_table(paths.SLICES),
        curve=read_run_table(paths.LEARNING_CURVE),
        imputed=read_run_table(paths.IMPUTED),
        plots={
            name: (plot, pd.read_csv(table, dtype=str, keep_default_na=False))
            for name, (table, plot) in read_plots().items()
        },
        failures={n: pd.read_parquet(params.failures_file(n)) for n in params.feature_names},
        warnings=[*people["warnings"], *data_warnings(rows, params.targets)],
        people=people,
        record=run_record(params, metadata, {str(path): file_sha256(path) for path in _KNOWN_BY}),
    )


def run_record(
    params: Params, stores: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a run is made of for `json.dumps`, so that two runs can be held side by side.

    Parameters
    ----------
    params : Params
        Of the run.
    stores, files : mapping of str to mapping, mapping of str to str
        What feature stores say of themselves; digests of the files that the run can be known by.

    Returns
    -------
    dict
        ``encoders``: `ENCODER_KEYS` by name, of imported stores too; of named ``outputs`` how many,
        and the first. ``versions`` of libraries; all of them where they differ. ``files``.
    """
    settings = params.model_dump(mode="json")
    made = {name: {**stores.get(name, {}), **spec} for name, spec in settings["encoders"].items()}
    made |= {
        name: {"kind": "imported", "model": entry["store"], "weights_digest": entry["sha256"]}
        for name, entry in settings["stores"].items()
    }
    if heard := settings["transcripts"]:
        made[paths.HEARD] = {**stores.get(paths.HEARD, {}), **heard}
        if heard["kind"] == "imported":
            made[paths.HEARD] |= {"model": heard["table"], "weights_digest": heard["sha256"]}
    for name, each in made.items():
        named = [str(output) for output, _ in stores.get(name, {}).get("outputs", ())]
        first = ", ".join(named[:_N_OUTPUTS_SHOWN]) + " …" * (len(named) > _N_OUTPUTS_SHOWN)
        each["outputs"] = f"{len(named)}: {first}" if named else _UNKNOWN
    versions = defaultdict(set, python={platform.python_version()})
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):  # run from a checkout
            versions[name].add(version(name))
    for name, number in [each for s in stores.values() for each in s.get("versions", {}).items()]:
        versions[str(name)].add(str(number))
    return {
        "encoders": {
            name: {key: str(each.get(key, _UNKNOWN)) for key in ENCODER_KEYS}
            for name, each in made.items()
        },
        "versions": {name: ", ".join(sorted(each)) for name, each in sorted(versions.items())},
        "files": dict(files),
    }
