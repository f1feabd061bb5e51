"""Any network of pictures in an ONNX file: expression recognisers, face recognisers, exports."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PositiveFloat, field_validator, model_validator

from features.encoders.base import FaceSpec, FrameEncoder, default_device
from features.encoders.preprocessing import Geometry, Preprocessing
from features.encoders.weights import RANDOM, weights_file
from features.files import file_sha256

if TYPE_CHECKING:
    import torch

    from features.encoders.onnx_model import OnnxFrameModel


class OnnxPreprocessing(Geometry):
    """What the network was trained to see: geometry, then ``(value - mean) / std``.

    Attributes
    ----------
    white : {1, 255}
        The value of a white pixel before `mean` and `std`, which are in the same units.
    mean, std : (float, float, float)
        Of red, green and blue, in this order whatever the network's own.
    """

    white: Literal[1, 255] = 1
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (1.0, 1.0, 1.0)


class OnnxSpec(FaceSpec):
    """What an ONNX encoder needs beside `kind`.

    Attributes
    ----------
    model : str
        A name for people, by default the file's. It is no part of an embedding's identity.
    weights : str
        A local file, or one on the Hugging Face hub (``hf://owner/repo/file``).
    preprocessing : OnnxPreprocessing
        A file does not say it; the page that it comes from does.
    channels : {"rgb", "bgr"}
        The network's order of colours.
    layout : {"nchw", "nhwc"}
        Colours before or after height and width.
    outputs : list of str or None
        Which of the network's outputs are embedded, one beside the other in this order. None: all.
    """

    kind: Literal["onnx"]
    model: str = Field(default="", exclude=True)
    weights: str
    preprocessing: OnnxPreprocessing
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    outputs: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    dtype: Literal["float16", "float32"] = "float16"

    @model_validator(mode="before")
    @classmethod
    def _named_like_the_file(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {"model": Path(str(entry.get("weights", ""))).stem, **entry}

    @field_validator("weights")
    @classmethod
    def _weights_are_a_file(cls, weights: str) -> str:
        if weights == RANDOM:
            raise ValueError("an ONNX file holds both network and weights: give its path")
        return weights

    @field_validator("outputs")
    @classmethod
    def _outputs_differ(cls, outputs: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if outputs is not None and len(set(outputs)) < len(outputs):
            raise ValueError(f"an output is named twice in {list(outputs)}")
        return outputs


class OnnxEncoder(FrameEncoder):
    """The outputs of an ONNX network, run by ONNX Runtime on the CPU or through CUDA."""

    Spec: ClassVar[type[FaceSpec]] = OnnxSpec

    @cached_property
    def preprocessing(self) -> Preprocessing:
        """The spec's, with mean and standard deviation as shares of white."""
        given: OnnxPreprocessing = self.spec.preprocessing
        return Preprocessing(
            geometry=Geometry(**given.model_dump(include=set(Geometry.model_fields))),
            mean=tuple(value / given.white for value in given.mean),
            std=tuple(value / given.white for value in given.std),
        )

    def weights_digest(self) -> str:
        """Digest of the file's bytes."""
        return file_sha256(self._path)

    def load_model(self, device: "torch.device | None" = None) -> "OnnxFrameModel":
        """Open the file on the CPU, or on a GPU where ONNX Runtime was built for it."""
        from features.encoders.torch_model import BATCH_SIZE

        device_type = (device or default_device()).type
        return self._open(device_type, BATCH_SIZE[device_type])

    def dimension(self) -> int:
        """Width of an embedding; this needs the file."""
        return sum(self.columns().values())

    def columns(self) -> dict[str, int]:
        """Width of each output in an embedding, in order: what takes it apart again."""
        return dict(self._columns)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return self._open("cpu", 1).columns()

    def _open(self, device_type: str, batch_size: int) -> "OnnxFrameModel":
        from features.encoders.onnx_model import OnnxFrameModel

        return OnnxFrameModel(
            self._path,
            self.preprocessing,
            bgr=self.spec.channels == "bgr",
            channels_last=self.spec.layout == "nhwc",
            outputs=self.spec.outputs,
            device_type=device_type,
            batch_size=batch_size,
        )

    @cached_property
    def _path(self) -> Path:
        return weights_file(self.spec.weights)
