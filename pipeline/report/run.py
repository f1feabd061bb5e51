"""What a run is made of: encoders, versions of libraries, and digests of files."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

from pipeline.params import Params

ENCODER_KEYS = ("kind", "model", "weights", "weights_digest", "identity")

_LIBRARIES = ("eri", "lightgbm", "numpy", "pandas", "scikit-learn", "scipy", "torch")
_UNKNOWN = "n/a"


def run_record(
    params: Params, stores: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a run is made of for `json.dumps`, so that two runs can be held side by side.

    Parameters
    ----------
    params : Params
        Of the run.
    stores : mapping of str to mapping
        What the feature stores say of themselves; may lack some.
    files : mapping of str to str
        Digests of the files that the run can be known by.

    Returns
    -------
    dict
        ``encoders``, imported stores among them: by name `ENCODER_KEYS`. ``versions``: of the
        libraries behind the embeddings, as the stores say, and of those that fit heads; all of them
        where they differ. ``files``.
    """
    settings = params.model_dump(mode="json")
    made = {name: {**stores.get(name, {}), **spec} for name, spec in settings["encoders"].items()}
    imported = {
        name: {"kind": "imported", "model": entry["store"], "weights_digest": entry["sha256"]}
        for name, entry in settings["stores"].items()
    }
    return {
        "encoders": {
            name: {key: str(each.get(key, _UNKNOWN)) for key in ENCODER_KEYS}
            for name, each in (made | imported).items()
        },
        "versions": _versions(stores),
        "files": dict(files),
    }


def parameters_text(params: Params) -> str:
    """Return all parameters as YAML, defaults written out."""
    return yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _versions(stores: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    found = {"python": {platform.python_version()}}
    for store in stores.values():
        for name, number in store.get("versions", {}).items():
            found.setdefault(str(name), set()).add(str(number))
    for name in _LIBRARIES:
        try:
            found.setdefault(name, set()).add(version(name))
        except PackageNotFoundError:  # run from a checkout
            continue
    return {name: ", ".join(sorted(numbers)) for name, numbers in sorted(found.items())}
