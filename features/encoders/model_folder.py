"""Where a model of transformers lies on this machine, and which of its files are its weights."""

from pathlib import Path

from features.encoders.weights import PACKAGE, hub_folder, refuse_stand_in, weights_file
from features.errors import EncoderError

PROCESSORS = (
    *("preprocessor_config.json", "processor_config.json"),
    "video_preprocessor_config.json",
)
"""Files that say how input is prepared."""

DESCRIPTIONS = ("config.json", *PROCESSORS)
"""Files that say what a model is, beside its weights."""

_CHECKPOINTS = (
    ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json"),
)
"""What transformers loads, in the order of its choice: whole, or in parts with their index."""

_ADAPTER = "adapter_config.json"


def model_folder(
    model: str, weights: str, revision: str | None, more_files: tuple[str, ...]
) -> Path | None:
    """Find the folder of a model; from the hub it is fetched.

    Parameters
    ----------
    model, weights, revision : str
        As the attributes of `TransformersNetwork`.
    more_files : tuple of str
        What else of the hub's repository is needed.

    Returns
    -------
    Path or None
        None where nothing lies there, as random weights may have it.

    Raises
    ------
    EncoderError
        When it cannot be had, is not there, or holds an adapter to another model.
    """
    if weights.startswith(PACKAGE):
        return weights_file(weights).parent
    folder = Path(model).expanduser()
    if weights == "hub":
        wanted = (*DESCRIPTIONS, _ADAPTER, *more_files)
        for names in _CHECKPOINTS:  # most repositories hold both: one is enough
            folder = hub_folder(model, revision, (*wanted, *names))
            if _matching(folder, names):
                break
    if (folder / _ADAPTER).is_file():
        raise EncoderError(
            f"{model} is a LoRA adapter, which only adds to another model: load that, "
            f"`PeftModel.from_pretrained(model, {model!r}).merge_and_unload()`, save "
            "the result and its processor with `save_pretrained`, and name that folder"
        )
    if weights == "hub" or (folder / "config.json").is_file():
        return folder
    if weights == "folder":
        raise EncoderError(
            f"there is no {folder / 'config.json'}: expected `model:` to be a folder as "
            "`save_pretrained` writes it, or `weights: hub`"
        )
    return None


def checkpoint_files(folder: Path, model: str) -> list[Path]:
    """Return the files of a model's weights in its folder.

    Raises
    ------
    EncoderError
        When there are none, or one only stands for weights.
    """
    safe, pickled = (_matching(folder, names) for names in _CHECKPOINTS)
    if not safe and not pickled:
        raise EncoderError(
            f"{model} has no weights: expected {_CHECKPOINTS[0][0]}; what is left of one "
            "that was being fetched is made whole by running again with a network"
        )
    for path in safe or pickled:
        refuse_stand_in(path)
    return safe or pickled


def _matching(folder: Path, names: tuple[str, ...]) -> list[Path]:
    return [path for name in names for path in sorted(folder.glob(name))]
