"""Networks of timm, up to the pooled vector before their classifier."""

import difflib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.torch_encoder import TorchEncoder
from features.encoders.weights import torch_hub_file
from features.errors import EncoderError

if TYPE_CHECKING:
    import torch

_MODES: dict[str, Literal["shortest", "longest", "squash"]] = {
    "center": "shortest",
    "border": "longest",
    "squash": "squash",
}
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


class TimmEncoder(TorchEncoder):
    """The input of the classifier; 2048 wide for ResNet50.

    Source: timm (Wightman); `model` is a name of ``timm.list_models()``, and the tags in `weights`
    are what follows the dot in ``timm.list_pretrained()``: for example ``resnet50`` with
    ``a1_in1k``.
    """

    distribution = "timm"

    kind: Literal["timm"]

    @cached_property
    def tags(self) -> Sequence[str]:
        """As ``timm.models.get_arch_pretrained_cfgs`` lists them, where they have weights."""
        import timm

        model = self.model
        if model not in timm.list_models():
            raise EncoderError(f"timm has no model {model!r}: {_hint(model)}")
        cfgs = timm.models.get_arch_pretrained_cfgs(model)
        return [name.partition(".")[2] for name, cfg in cfgs.items() if cfg.has_weights]

    def preprocessing_for(self, tag: str | None) -> Preprocessing:
        """Return the tag's evaluation transform, or that of the model's default tag."""
        return timm_preprocessing(self._cfg(tag))

    def fetch(self, tag: str) -> Path:
        """Fetch the file that timm would load, from the Hugging Face hub or the tag's address."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        cfg = self._cfg(tag)
        if not cfg.hf_hub_id:
            return torch_hub_file(cfg.url)
        *others, last = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _HUB_FILES
        for name in others:
            try:
                return Path(hf_hub_download(cfg.hf_hub_id, name))
            except EntryNotFoundError:
                continue
        return Path(hf_hub_download(cfg.hf_hub_id, last))

    def build(self, path: Path | None) -> "torch.nn.Module":
        """Build the network without classifier, and load the file through timm's own filters."""
        import timm

        # As if the file had been trained for another task: then timm drops its classifier,
        # whatever the number of classes.
        overlay = {"num_classes": -1} | ({} if path is None else {"file": str(path)})
        with _load_results() as results:
            model: torch.nn.Module = timm.create_model(
                self.model,
                pretrained=path is not None,
                pretrained_cfg=self.preprocessing_tag,  # also decides a fixed input size
                pretrained_cfg_overlay=overlay,
                num_classes=0,
            )
        if path is not None:
            _check_complete(results[model], self._cfg(self.preprocessing_tag).classifier)
        return model

    def _cfg(self, tag: str | None) -> Any:
        import timm

        name = self.model if tag is None else f"{self.model}.{tag}"
        return timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()


def timm_preprocessing(cfg: Any) -> Preprocessing:
    """Translate a ``timm.models.PretrainedCfg`` to what timm does with it for evaluation."""
    size_px = tuple(cfg.input_size[1:])
    mode = _MODES[cfg.crop_mode]
    geometry = Geometry(
        size_px=size_px,
        mode=mode,
        resize_px=tuple(math.floor(px / cfg.crop_pct) for px in size_px),
        interpolation=cfg.interpolation,
        fill=tuple(round(255 * mean) if mode == "longest" else 0 for mean in cfg.mean),
    )
    return Preprocessing(geometry=geometry, mean=cfg.mean, std=cfg.std)


def _hint(model: str) -> str:
    """Say what an unknown name may stand for; there are too many models to list them."""
    import timm

    renamed: str | None = timm.models.get_deprecated_models().get(model)
    name, _, tag = (renamed or model).partition(".")
    if name in (known := timm.list_models()):
        return f"set `model: {name}`" + (f" and `weights: {tag}`" if tag else "")
    near = difflib.get_close_matches(name, known, n=5)
    return f"expected a name of timm.list_models(), such as {near or ['resnet50']}"


@contextmanager
def _load_results() -> "Iterator[dict[torch.nn.Module, Any]]":
    """Keep what ``load_state_dict`` finds missing or unexpected.

    timm loads leniently as soon as the classifier is left out, and only logs what did not fit:
    weights of another network would leave random layers. It offers no way to the result, so the
    method is wrapped while it builds one model.
    """
    import torch

    results: dict[torch.nn.Module, Any] = {}
    load = torch.nn.Module.load_state_dict

    def load_and_keep(self: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        results[self] = load(self, *args, **kwargs)
        return results[self]

    torch.nn.Module.load_state_dict = load_and_keep  # type: ignore[method-assign]  # on purpose
    try:
        yield results
    finally:
        torch.nn.Module.load_state_dict = load  # type: ignore[method-assign]  # put back


def _check_complete(result: Any, classifier: str | tuple[str, ...] | None) -> None:
    """Refuse weights that left part of the network random, or belong to a larger one."""
    names = (classifier,) if isinstance(classifier, str) else classifier or ()
    heads = {name.partition(".")[0] for name in names}
    foreign = [key for key in result.unexpected_keys if key.partition(".")[0] not in heads]
    for keys, what in ((result.missing_keys, "lacks"), (foreign, "has unknown")):
        if keys:
            shown = ", ".join(keys[:3]) + (" …" if len(keys) > 3 else "")
            raise ValueError(f"it {what} {len(keys)} entries ({shown})")
