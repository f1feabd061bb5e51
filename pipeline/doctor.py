"""What `eri doctor` looks at: everything that a run needs, without running it."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import joblib
import torch

from features.cache import default_cache_root
from features.encoders import EncoderError
from features.engine import default_device
from features.identity import encoder_identity
from features.job import library_versions
from pipeline.labels import LabelError, read_labels
from pipeline.params import Params, ParamsError, load_params
from pipeline.paths import DEMO


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes
    ----------
    subject : str
        What was looked at.
    ok : bool
        Whether a run can go on with it.
    detail : str
        What was found, or how to mend it.
    """

    subject: str
    ok: bool
    detail: str


def examine(params_file: Path) -> list[Finding]:
    """Look at the installation, the parameters, every encoder's weights and the cache."""
    return [*_machine(), _cache(), *_params(params_file)]


def _machine() -> Iterator[Finding]:
    yield Finding("python", True, f"{platform.python_version()} on {platform.platform()}")
    others = {name: version(name) for name in ("lightgbm", "dvc")}
    for library, found in (library_versions() | others).items():
        yield Finding(library, True, found)
    device = default_device()
    on_gpu = device.type == "cuda"
    name = torch.cuda.get_device_name() if on_gpu else f"{joblib.cpu_count()} processors"
    yield Finding("device", True, f"{device.type} ({name})")


def _cache() -> Finding:
    root = default_cache_root()
    folder = root if root.exists() else root.absolute().parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            free_gib = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        return Finding("cache", False, f"{root} cannot be written ({reason}): set ERI_CACHE")
    return Finding("cache", True, f"{root}, {free_gib:.1f} GiB free")


def _params(path: Path) -> Iterator[Finding]:
    try:
        params = load_params(path)
    except ParamsError as error:
        yield Finding(str(path), False, str(error))
        return
    yield Finding(str(path), True, f"{len(params.encoders)} encoders, {len(params.heads)} heads")
    yield from _data(params)
    for name, encoder in params.make_encoders().items():
        try:
            identity = encoder_identity(encoder, params.sampling)
        except EncoderError as error:
            yield Finding(f"encoders.{name}", False, str(error))
        else:
            weights = getattr(encoder.spec, "weights", encoder.weights_digest())
            detail = f"{encoder.spec.model}, {weights}, identity {identity}"
            yield Finding(f"encoders.{name}", True, detail)


def _data(params: Params) -> Iterator[Finding]:
    labels, media = params.data.labels, params.data.media
    if labels.is_relative_to(DEMO) and not labels.exists():
        yield Finding("data", True, f"{labels} is not there yet: `dvc repro` makes the demo corpus")
        return
    mend = "set it in params.yaml, bring data in with `eri import`, or fetch them with `dvc pull`"
    try:
        table = read_labels(labels, params.targets)
    except LabelError as error:
        missing = f"there is no label table {labels}: {mend}"
        yield Finding("data.labels", False, str(error) if labels.exists() else missing)
    else:
        yield Finding("data.labels", True, f"{labels}, {len(table)} clips")
    if media.is_dir():
        yield Finding("data.media", True, str(media))
    else:
        yield Finding("data.media", False, f"there is no folder {media}: {mend}")
