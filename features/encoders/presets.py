"""Encoders by name: their entries, licences and sources, from `files/presets.yaml`."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from features.encoders.weights import PACKAGE
from features.errors import nearest


class Preset(NamedTuple):
    """An entry that is known by a name, and what to know before it is used.

    Attributes
    ----------
    about, licence, parameters, trained_on, cite : str
        What it is, may be used for, how large it is, what it learned from, whom to cite.
    entry : mapping
        As under ``encoders`` in ``params.yaml``.
    """

    about: str
    entry: Mapping[str, Any]
    licence: str
    parameters: str
    trained_on: str
    cite: str

    def revision(self) -> str:
        """Say which commit or branch of a hub's repository it is, if it does not come with us."""
        is_here = str(self.entry.get("weights", PACKAGE)).startswith(PACKAGE)
        return "installed" if is_here else str(self.entry.get("revision", "main"))


@cache
def presets() -> dict[str, Preset]:
    """Read all presets, by name."""
    from ruamel.yaml import YAML  # not for decode workers

    text = Path(__file__).with_name("files").joinpath("presets.yaml").read_text(encoding="utf-8")
    return {name: Preset(**preset) for name, preset in YAML(typ="safe").load(text).items()}


def with_preset(entry: Any) -> Any:
    """Put a preset's keys in the place of its name; the entry's own keys overrule them.

    Raises
    ------
    ValueError
        For an unknown name, with the nearest known one.
    """
    if not isinstance(entry, Mapping) or "preset" not in entry:
        return entry
    name = str(entry["preset"])
    if name not in presets():
        raise ValueError(f"unknown preset {name!r}{nearest(name, list(presets()))}")
    own = {key: value for key, value in entry.items() if key != "preset"}
    return {**presets()[name].entry, **own}
