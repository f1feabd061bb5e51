"""`eri doctor`: looks at everything that a run needs, without running it."""

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from features.cache import default_cache_root
from features.store import StoreError
from pipeline.clip_table import check_columns
from pipeline.labels import LabelError, read_labels
from pipeline.params import Params, ParamsError, load_params
from pipeline.paths import DEMO, PARAMS, holds_outputs
from pipeline.settings_files import read_keys, read_yaml
from pipeline.terminal import Json, ParamsFile, say
from pipeline.views import check_store


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


def doctor_command(params_file: ParamsFile = PARAMS, as_json: Json = False) -> None:
    """Check the installation, the parameters, the weights and the cache.

    Pretrained weights are fetched where they are missing. Status 1 when something would stop a run.

    Example: eri doctor
    """
    findings = examine(params_file)
    lines = [f"{'ok  ' if f.ok else 'FAIL'}  {f.subject:24} {f.detail}" for f in findings]
    say(as_json, [asdict(finding) for finding in findings], lines)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _machine() -> Iterator[Finding]:
    from importlib.metadata import version

    import joblib
    import torch

    from features.encoders.torch_model import default_device
    from features.extraction.embedder import library_versions

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
    from features.encoders import EncoderError
    from features.identity import encoder_identity

    try:
        params = load_params(path)
    except ParamsError as error:
        yield Finding(str(path), False, str(error))
        return
    n_features, n_heads = len(params.feature_names), len(params.heads)
    yield Finding(str(path), True, f"{n_features} encoders and stores, {n_heads} heads")
    yield from _followed_keys(path)
    yield from _data(params)
    for name, encoder in params.encoders.items():
        try:
            identity = encoder_identity(encoder, params.sampling)
        except EncoderError as error:
            yield Finding(f"encoders.{name}", False, str(error))
        else:
            weights = getattr(encoder, "weights", encoder.weights_digest())
            detail = f"{encoder.model}, {weights}, identity {identity}"
            yield Finding(f"encoders.{name}", True, detail)
    for name in params.stores:
        try:
            yield Finding(f"stores.{name}", True, str(check_store(name, params)))
        except StoreError as error:
            yield Finding(f"stores.{name}", False, str(error))


def _followed_keys(path: Path) -> Iterator[Finding]:
    """Look for the keys that DVC follows: it stops without them, also where we have a default."""
    dvc_file = path.with_name("dvc.yaml")
    if not dvc_file.is_file():
        return
    stages = read_yaml(dvc_file)["stages"].values()
    followed = {key for stage in stages for key in stage.get("do", stage).get("params", ())}
    content = read_keys(path, Params)
    lacking = []
    for key in sorted(key for key in followed if "${" not in key):
        section, _, name = key.partition(".")
        if section not in content or (name and name not in (content[section] or {})):
            lacking.append(key)
    detail = (
        f"it follows {', '.join(lacking)}, which {path} lacks: `dvc repro` would stop; "
        "put them in, if only with their defaults"
    )
    yield Finding("dvc.yaml", not lacking, detail if lacking else f"{path} has what it follows")


def _data(params: Params) -> Iterator[Finding]:
    labels, media = params.data.labels, params.data.media
    if labels.is_relative_to(DEMO) and not labels.exists():
        yield Finding("data", True, f"{labels} is not there yet: `dvc repro` makes the demo corpus")
        return
    mend = "set it in params.yaml, bring data in with `eri import`, or fetch them with `dvc pull`"
    try:
        table = read_labels(labels, params.targets)
        yield Finding("data.labels", True, f"{labels}, {len(table)} clips")
        check_columns(table, params)
        yield Finding("evaluation", True, "the label table or the index has each column")
    except LabelError as error:
        missing = f"there is no label table {labels}: {mend}"
        yield Finding("data.labels", False, str(error) if labels.exists() else missing)
    except ParamsError as error:
        yield Finding("evaluation", False, str(error))
    if holds_outputs(media) and media != DEMO:
        detail = f"{media} holds what stages write, which DVC refuses: move the media to a folder"
        yield Finding("data.media", False, f"{detail} of their own, and set it in params.yaml")
    elif media.is_dir():
        yield Finding("data.media", True, str(media))
    else:
        yield Finding("data.media", False, f"there is no folder {media}: {mend}")
