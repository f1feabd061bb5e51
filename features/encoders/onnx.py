"""Any network of pictures in an ONNX file: expression recognisers, face recognisers, exports."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, field_validator, model_validator

from features.encoders.base import FrameEncoder
from features.encoders.pieces import Geometry, Preprocessing
from features.encoders.weights import one_line, weights_file
from features.errors import EncoderError
from features.files import file_sha256

if TYPE_CHECKING:
    import torch

    from features.encoders.torch_model import TorchModel

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
_ERRORS_ONLY = 3


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


class OnnxEncoder(FrameEncoder):
    """The outputs of an ONNX network, run by ONNX Runtime on the CPU or through CUDA.

    Attributes
    ----------
    model : str
        A name for people, by default the file's. It is no part of an embedding's identity.
    weights : str
        A file: local, of an installed package (``package://<import name>/<path>``), or of the
        Hugging Face hub (``hf://owner/repo/file``).
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

    @model_validator(mode="before")
    @classmethod
    def _named_like_the_file(cls, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {"model": Path(str(entry.get("weights", ""))).stem, **entry}

    @field_validator("outputs")
    @classmethod
    def _outputs_differ(cls, outputs: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if outputs is not None and len(set(outputs)) < len(outputs):
            raise ValueError(f"an output is named twice in {list(outputs)}")
        return outputs

    def picture_preprocessing(self) -> Preprocessing:
        """Return the entry's, with mean and standard deviation as shares of white."""
        given = self.preprocessing
        return Preprocessing(
            geometry=Geometry(**given.model_dump(include=set(Geometry.model_fields))),
            mean=tuple(value / given.white for value in given.mean),
            std=tuple(value / given.white for value in given.std),
        )

    def weights_digest(self) -> str:
        """Digest of the file's bytes."""
        return file_sha256(self._path)

    def load_model(self, device: "torch.device | None" = None) -> "TorchModel":
        """Open the file on the CPU, or on a GPU where ONNX Runtime was built for it."""
        import torch

        from features.encoders.torch_model import BATCH_SIZE, TorchFrameModel, default_device

        kind = (device or default_device()).type
        network = _Network(self, self._path, kind)
        return TorchFrameModel(
            lambda pictures: torch.from_numpy(np.hstack(list(network(pictures.numpy()).values()))),
            self.picture_preprocessing(),
            "fp32",
            torch.device("cpu"),  # ONNX Runtime copies to a GPU by itself
            {"cpu": network.fixed_batch_size or BATCH_SIZE[kind]},
        )

    def dimension(self) -> int:
        """Width of an embedding; this needs the file."""
        return sum(self.columns().values())

    def columns(self) -> dict[str, int]:
        """Width of each output in an embedding, in order: what takes it apart again."""
        return self._columns

    @cached_property
    def _columns(self) -> dict[str, int]:
        network = _Network(self, self._path, "cpu")
        shape = (network.fixed_batch_size or 1, 3, *self.preprocessing.size_px)
        return {name: rows.shape[1] for name, rows in network(np.zeros(shape, np.float32)).items()}

    @cached_property
    def _path(self) -> Path:
        return weights_file(self.weights)


class _Network:
    """From normalised pictures (n, 3, height, width) in float32 to the rows (n, width) of outputs.

    `fixed_batch_size` is how many pictures it takes; None: any number.
    """

    def __init__(self, encoder: OnnxEncoder, path: Path, device_type: str) -> None:
        self._encoder, self._path = encoder, path
        self._session = _open_session(path, device_type)
        self._input = self._session.get_inputs()[0]
        self._outputs = encoder.outputs or [each.name for each in self._session.get_outputs()]
        n_fixed = self._input.shape[0] if self._input.shape else None
        self.fixed_batch_size = n_fixed if isinstance(n_fixed, int) else None

    def __call__(self, pictures: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        batch = pictures[:, ::-1] if self._encoder.channels == "bgr" else pictures
        if self._encoder.layout == "nhwc":
            batch = batch.transpose(0, 2, 3, 1)
        dtype = _DTYPES.get(self._input.type, np.float32)
        batch = np.rint(batch) if dtype is np.uint8 else batch
        batch = np.ascontiguousarray(batch, dtype=dtype)
        rows = {}
        try:
            outputs = self._session.run(self._outputs, {self._input.name: batch})
            for name, output in zip(self._outputs, outputs, strict=True):
                if np.shape(output)[:1] != (len(batch),):
                    shape = np.shape(output)
                    raise ValueError(f"the output {name!r} has the shape {shape}, not a row each.")
                rows[name] = np.reshape(output, (len(batch), -1)).astype(np.float32)
        except Exception as error:  # ONNX Runtime's own share no base class
            taken, given = (
                ", ".join(f"{end.name!r} ({end.type} of shape {end.shape})" for end in ends)
                for ends in (self._session.get_inputs(), self._session.get_outputs())
            )
            raise EncoderError(
                f"{self._path} cannot embed {batch.dtype} of shape {batch.shape}: "
                f"{one_line(error)} It takes {taken} and gives {given}: correct `size_px`, "
                "`layout`, `outputs`, or the file."
            ) from error
        return rows


def _open_session(path: Path, device_type: str) -> Any:
    import onnxruntime  # not for decode workers

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # Weights beside the file would be missing in its digest: look for them where nothing can be.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path)
    )
    providers: list[Any] = ["CPUExecutionProvider"]
    if device_type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        # TF32 would move embeddings further from those of a CPU, under the same identity.
        providers.insert(0, ("CUDAExecutionProvider", {"use_tf32": "0"}))
    try:
        return onnxruntime.InferenceSession(path.read_bytes(), options, providers=providers)
    except Exception as error:  # ONNX Runtime's own share no base class
        raise EncoderError(
            f"the weights file {path} cannot be opened as an ONNX network: {one_line(error)} "
            "Expected one file that holds its weights; `onnx.save(onnx.load(path), path)` takes in "
            "those that lie beside it."
        ) from error
