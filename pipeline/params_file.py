"""Write values back into `params.yaml`, leaving its comments and its order as they are."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.params import load_params


def set_head_settings(path: Path, head: str, settings: Mapping[str, Any]) -> None:
    """Set settings of a head in `params.yaml`.

    The file is written beside its place, read as parameters, and only then renamed: it is never
    left half-written or unusable.

    Parameters
    ----------
    path : Path
        The file.
    head : str
        A name under ``heads:``.
    settings : mapping
        Values by name; others stay as they are.

    Raises
    ------
    ParamsError
        When the result would not be valid; the file stays as it is.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # long lines stay whole
    content = yaml.load(path.read_text(encoding="utf-8"))
    content["heads"][head].update(settings)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            yaml.dump(content, file)
        load_params(beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
