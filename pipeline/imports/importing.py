"""One import: what is read is checked and shown, and written unless something forbids it."""

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from features.files import replacing_file
from features.store import StoredClip, shards_of
from features.store_writer import write_store
from pipeline.clip_ids import match_ids
from pipeline.imports.checks import Scale, check_labels
from pipeline.imports.collection import Collection
from pipeline.imports.features import Features
from pipeline.imports.findings import Findings, RefusedError, Severity
from pipeline.imports.probing import probe_files
from pipeline.labels import LabelError, read_labels
from pipeline.params import ParamsError, load_params
from pipeline.paths import IMPORTED_FEATURES, IMPORTS
from pipeline.settings_files import update_settings
from pipeline.views import store_sha256


class Import(ExitStack):
    """Labels and features on their way into a project; a context, which holds temporary files.

    Parameters
    ----------
    params_file : Path
        The parameters that are to point at what is imported.
    dry_run : bool
        Write nothing.

    Attributes
    ----------
    params : Params
        As they are.
    findings : Findings
        What was noticed. An error keeps everything from being written.
    summary : dict
        What was found, for `json.dumps`.
    """

    def __init__(self, params_file: Path, dry_run: bool) -> None:
        super().__init__()
        self.params = load_params(params_file, check_heads=False, need_features=False)
        self.findings = Findings()
        self.summary: dict[str, Any] = {"features": {}}
        self._params_file, self._dry_run = params_file, dry_run
        self._labels: tuple[Path, pd.DataFrame, Collection] | None = None
        self._features: list[Features] = []

    def take_labels(
        self,
        name: str,
        read: Callable[[Findings], Collection],
        scale: Scale | None = None,
        probe: bool = True,
    ) -> None:
        """Read and check labels, and the sets of features beside them.

        Parameters
        ----------
        name : str
            Of a folder for the label table; a set of features is called ``<name>_<set>``.
        read : callable
            Gives the collection.
        scale : "seen" or (low, high), optional
            Of the targets, where that is not [0, 1].
        probe : bool
            Read every media file.
        """
        path = IMPORTS / name / "labels.csv"
        self.summary |= {"name": name, "labels": path.as_posix()}
        try:
            collection = read(self.findings)
        except RefusedError as error:
            self.findings.refuse(error)
            return
        labels = check_labels(collection, self.findings, scale)
        if probe:
            probe_files(labels, collection.media, self.findings)
        self._labels = (path, labels, collection)
        splits = {str(split): int(n) for split, n in labels["split"].value_counts().items()}
        self.summary |= {
            "media": collection.media.as_posix(),
            "targets": list(collection.targets),
            "n_clips": len(labels),
            "n_clips_of_split": splits,
        }
        for key, folder in collection.feature_sets.items():
            self.findings.prefix = f"{name}_{key}: "
            self.take_features(f"{name}_{key}", [folder])

    def take_features(self, name: str, paths: Sequence[Path], ids: Path | None = None) -> None:
        """Read and check files of features; see `Features.take`.

        Parameters
        ----------
        name : str
            What to call them.
        paths : sequence of Path
            Folders, tables and arrays, all with the same columns.
        ids : Path, optional
            The ids of the rows of an array.

        Raises
        ------
        ParamsError
            When the name is no name, or an encoder has it.
        """
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):  # it is that of a folder
            raise ParamsError(f"--name {name!r}: expected letters, digits, _ and -")
        if name in self.params.encoders:
            raise ParamsError(f"params.yaml has an encoder {name!r}: choose another name")
        if self._labels is not None:
            wanted = list(self._labels[1]["clip_id"].dropna().unique())
        else:
            labels = self.params.data.labels
            try:
                wanted = list(read_labels(labels, self.params.targets)["clip_id"])
            except LabelError as error:
                kind = "label tables that cannot be used"
                self.findings.refuse(RefusedError(kind, [labels], str(error)))
                return
        # Beside the project: /tmp may be memory.
        spool = tempfile.TemporaryFile(dir=".")  # noqa: SIM115
        features = Features(name, self.findings, self.enter_context(spool))
        for path in paths:
            features.take(path, ids)
        features.finish()
        if features.id_of:
            self._match_clips(features, wanted)
            self._compare(features)
        self._features.append(features)
        self.summary["features"][name] = features.summary()

    def write(self) -> list[Path]:
        """Write feature stores and the label table, and point the parameters at them.

        Returns
        -------
        list of Path
            The stores and files that changed; the same content gives the same bytes.

        Raises
        ------
        ParamsError
            When the parameters would not be valid, such as for a target with the name of a column.
        """
        if self._dry_run or self.findings.have_errors:
            return []
        changed = []
        changes: dict[str, Any] = {}
        for each in self._features:
            store = IMPORTED_FEATURES / each.name
            write_store(store, _clips(each), each.metadata)
            entry = {"store": store.as_posix(), "sha256": store_sha256(store)}
            before = self.params.stores.get(each.name)
            changed += [store] if before is None or before.sha256 != entry["sha256"] else []
            changes.setdefault("stores", {})[each.name] = entry
        if self._labels is not None:
            path, table, collection = self._labels
            content = table.to_csv(index=False, lineterminator="\n").encode()
            if not path.is_file() or path.read_bytes() != content:
                with replacing_file(path) as beside:
                    beside.write_bytes(content)
                changed.append(path)
            changes["data"] = {"labels": path.as_posix(), "media": collection.media.as_posix()}
            changes["targets"] = list(collection.targets)
        check = partial(load_params, need_features=False)
        return changed + [self._params_file] * update_settings(self._params_file, changes, check)

    def _match_clips(self, features: Features, wanted: Sequence[str]) -> None:
        """Find which clips of the label table the features are of."""
        matches = match_ids(wanted, features.id_of)
        if not matches.found and not matches.ambiguous:
            done = f"no id of the files is in the label table, which has {list(wanted[:3])}"
            self.findings.add("ids of other clips", "error", features.id_of, done)
            return
        advice = "they cannot be told apart: rename them as in the label table"
        missing = "clips of the label table without features"
        unknown = "features of no clip in the label table"
        self.findings.add_matches(matches, advice, missing, unknown)
        features.id_of |= {theirs: ours for ours, theirs in matches.found.items()}

    def _compare(self, features: Features) -> None:
        """Say in which clips imported stores differ: joined in one view, they have gaps."""
        clips = set(features.id_of.values())
        for other, entry in self.params.stores.items():
            if other == features.name or not entry.store.is_dir():
                continue
            tables = (pq.read_table(each, columns=["clip_id"]) for each in shards_of(entry.store))
            others = {clip for table in tables for clip in table["clip_id"].unique().to_pylist()}
            done = "in a view of both they have gaps there, which heads fill with the training mean"
            if not others & clips:
                done = f"no clip in common: take `{other}` out of `stores` in params.yaml"
            severity: Severity = "warning" if others & clips else "error"
            lacking, more = sorted(others - clips), sorted(clips - others)
            self.findings.add(f"clips that `{other}` has and these lack", severity, lacking, done)
            self.findings.add(f"clips that `{other}` lacks and these have", severity, more, done)


def _clips(features: Features) -> Iterator[StoredClip]:
    for clip in sorted(features.id_of, key=lambda each: features.id_of[each]):
        embedding = features.embedding(clip)
        digest = hashlib.sha256(embedding.time_s.tobytes())
        digest.update(embedding.values.tobytes())
        yield StoredClip(features.id_of[clip], digest.hexdigest(), embedding)
