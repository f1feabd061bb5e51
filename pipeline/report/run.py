"""What a run is made of: parameters, versions, and what names its encoders and files for good."""

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml

from pipeline.params import Params

_LIBRARIES = ("eri", "lightgbm", "numpy", "pandas", "scikit-learn", "scipy", "torch")
_UNKNOWN = "n/a"


@dataclass(frozen=True)
class EncoderInfo:
    """One encoder of the run: its name, what it is, and its embeddings' identity."""

    name: str
    kind: str
    model: str
    weights: str
    weights_digest: str
    identity: str


def encoder_infos(params: Params, stores: Mapping[str, Mapping[str, Any]]) -> list[EncoderInfo]:
    """Describe the encoders.

    Parameters
    ----------
    params : Params
        Names and specs.
    stores : mapping of str to mapping
        What the feature stores say of themselves; may lack encoders.
    """
    infos = []
    for name, spec in params.encoders.items():
        store = stores.get(name, {})
        infos.append(
            EncoderInfo(
                name=name,
                kind=str(spec.get("kind", _UNKNOWN)),
                model=str(spec.get("model", _UNKNOWN)),
                weights=str(spec.get("weights", _UNKNOWN)),
                weights_digest=str(store.get("weights_digest", _UNKNOWN)),
                identity=str(store.get("identity", _UNKNOWN)),
            )
        )
    for name, entry in params.stores.items():
        what = ("imported", str(entry.store), _UNKNOWN, entry.sha256, _UNKNOWN)
        infos.append(EncoderInfo(name, *what))
    return infos


def versions(stores: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the versions behind the embeddings, as the stores say, and those that fit heads.

    Two versions of a library that stores differ in are both there.
    """
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


def run_record(
    params: Params, stores: Mapping[str, Mapping[str, Any]], files: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a run is made of for `json.dumps`, so that two runs can be held side by side.

    Parameters
    ----------
    params, stores
        As in `encoder_infos`.
    files : mapping of str to str
        Digests of the files that the run can be known by.
    """
    encoders = {each.name: asdict(each) for each in encoder_infos(params, stores)}
    return {"encoders": encoders, "versions": versions(stores), "files": dict(files)}


def parameters_text(params: Params) -> str:
    """Return all parameters as YAML, defaults written out."""
    return yaml.safe_dump(params.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
