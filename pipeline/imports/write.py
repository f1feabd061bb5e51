"""Write what was imported: the label table, and where `params.yaml` finds it."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from pipeline.imports.collection import Collection
from pipeline.params_file import update_params
from pipeline.replacing import replace_file


def write_import(
    labels: pd.DataFrame,
    collection: Collection,
    stores: Mapping[str, object],
    path: Path,
    params_file: Path,
) -> list[Path]:
    """Write the label table, then point the parameters at it, with the stores of imported features.

    Returns
    -------
    list of Path
        The files that changed; what would be written again as it is stays untouched.

    Raises
    ------
    ParamsError
        When the parameters would not be valid, such as for a target with the name of a column.
    """
    content = labels.to_csv(index=False, lineterminator="\n").encode()
    changed = []
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda beside: beside.write_bytes(content))
        changed.append(path)
    data = {"labels": path.as_posix(), "media": collection.media.as_posix()}
    changes = {"data": data, "targets": list(collection.targets), "stores": stores}
    if update_params(params_file, changes):
        changed.append(params_file)
    return changed
