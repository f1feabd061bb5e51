"""`eri doctor`: looks at everything that a run needs, without running it."""

import platform
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from features.cache import EmbeddingCache, default_cache_root
from features.media.endings import list_media_folder
from features.places import address_of, kind_of, open_place
from pipeline.clip_table import check_columns, read_labels
from pipeline.errors import user_errors
from pipeline.params import ImportedTranscripts, Params, ParamsError, load_params
from pipeline.paths import DEMO, PARAMS, holds_outputs
from pipeline.terminal import Json, say
from pipeline.views import check_store

if TYPE_CHECKING:
    from features.encoders import Encoder


class Finding(NamedTuple):
    """What was looked at, whether a run can go on with it, and what was found or is to be done."""

    subject: str
    ok: bool
    detail: str


def doctor_command(as_json: Json = False) -> None:
    """Check all that a run needs, before a long one.

    That is the installation, params.yaml, labels and media, weights and the cache. Pretrained
    weights are fetched where they are missing. Status 1 when something would stop a run.

    Example: eri doctor
    """
    findings = examine()
    lines = [f"{'ok  ' if f.ok else 'FAIL'}  {f.subject:24} {f.detail}" for f in findings]
    say(as_json, [finding._asdict() for finding in findings], lines)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def examine() -> list[Finding]:
    """Look at the installation, the parameters, every encoder's weights and the cache."""
    from pipeline.transcripts import check_imported  # and all that extraction needs

    findings = [Finding(subject, True, found) for subject, found in _machine().items()]

    def look(subject: str, action: Callable[..., object], *arguments: Any) -> None:
        try:
            found = action(*arguments)
            detail = "valid" if isinstance(found, Params) else str(found)
            findings.append(Finding(subject, True, detail))
        except user_errors() as error:
            findings.append(Finding(subject, False, str(error)))

    look("cache", _cache)
    look(PARAMS.name, load_params)
    if findings[-1].ok:
        params = load_params()
        encoders = {f"encoders.{name}": each for name, each in params.encoders.items()}
        if isinstance(params.transcripts, ImportedTranscripts):
            look("transcripts", check_imported, params.transcripts)
        elif params.transcripts is not None:
            encoders["transcripts"] = params.transcripts
        look("data.labels", _labels, params)
        look("data.media", _media, params.data.media)
        for subject, encoder in encoders.items():
            look(subject, _encoder, encoder, params)
        for name in params.stores:
            look(f"stores.{name}", check_store, name, params)
    return findings


def _machine() -> dict[str, str]:
    from importlib.metadata import version

    import joblib
    import torch

    from features.encoders.torch_model import default_device
    from features.extraction.embedder import library_versions

    device = default_device()
    gpu = device.type == "cuda"
    name = torch.cuda.get_device_name() if gpu else f"{joblib.cpu_count()} processors"
    return {
        "python": f"{platform.python_version()} on {platform.platform()}",
        **library_versions(),
        **{name: version(name) for name in ("lightgbm", "dvc")},
        "device": f"{device.type} ({name})",
    }


def _cache() -> str:
    root = default_cache_root()
    files, path = open_place(root)
    mark = f"{path}/doctor-{uuid.uuid4().hex}"
    try:
        if files.is_local:
            Path(path).mkdir(parents=True, exist_ok=True)
        files.pipe_file(mark, b"")
        files.rm_file(mark)
    except OSError as error:
        raise OSError(f"{root} cannot be written ({error}): set ERI_CACHE") from error
    free = f", {shutil.disk_usage(path).free / 2**30:.1f} GiB free" if files.is_local else ""
    return f"{root}, which can be written{free}"


def _labels(params: Params) -> str:
    labels = params.data.labels
    if labels.is_relative_to(DEMO) and not labels.exists():
        return f"{labels} is not there yet: `dvc repro` makes the demo corpus"
    table = read_labels(labels, params.targets)
    check_columns(table, params)
    return f"{labels}, {len(table)} clips, with the columns that `evaluation` names"


def _media(media: Path) -> str:
    if holds_outputs(media) and media != DEMO:
        raise ParamsError(
            f"{media} holds what stages write, which DVC refuses: move the media to a folder of "
            "their own, and set it in params.yaml"
        )
    if kind_of(media) != "folder" and not media.is_relative_to(DEMO):
        done = "bring data in with `eri import`, or fetch them with `dvc pull`"
        raise ParamsError(f"there is no folder {media}: set it in params.yaml, {done}")
    if broken := list_media_folder(media).broken:
        path, why = next(iter(broken.items()))
        raise ParamsError(
            f"{len(broken)} files of {media} cannot be read ({path}: {why}), and DVC would stop "
            "there, or wait for ever: remove them, or give read access"
        )
    return address_of(media) or str(media)


def _encoder(encoder: "Encoder", params: Params) -> str:
    from features.encoders import EncoderError
    from features.identity import encoder_identity

    try:
        identity = encoder_identity(encoder, params.sampling)
    except EncoderError as error:
        if not encoder.optional:
            raise
        return f"optional, and LEFT OUT of a run: {error}"
    weights = getattr(encoder, "weights", encoder.weights_digest())
    n_cached = len(EmbeddingCache(default_cache_root(), identity).known)
    return (
        f"{encoder.model}, {weights}, {encoder.dimension()} numbers each, {n_cached} clips cached, "
        f"identity {identity}"
    )
