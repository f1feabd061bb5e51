"""Any network of pictures in an ONNX file: expression recognisers, face recognisers, exports."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, field_validator, model_validator

from features.encoders.base import FaceSpec, FrameEncoder, default_device
from features.encoders.preprocessing import Geometry, Preprocessing
from features.encoders.weights import RANDOM, one_line, weights_file
from features.errors import EncoderError
from features.files import file_sha256

if TYPE_CHECKING:
    import torch


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

    def load_model(self, device: "torch.device | None" = None) -> "OnnxModel":
        """Open the file on the CPU, or on a GPU where ONNX Runtime was built for it."""
        from features.encoders.torch_model import BATCH_SIZE

        device_type = (device or default_device()).type
        return OnnxModel(
            self._path, self.spec, self.preprocessing, device_type, BATCH_SIZE[device_type]
        )

    def dimension(self) -> int:
        """Width of an embedding; this needs the file."""
        return sum(self.columns().values())

    def columns(self) -> dict[str, int]:
        """Width of each output in an embedding, in order: what takes it apart again."""
        return dict(self._columns)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return OnnxModel(self._path, self.spec, self.preprocessing, "cpu", 1).columns()

    @cached_property
    def _path(self) -> Path:
        return weights_file(self.spec.weights)


class OnnxModel:
    """An ONNX network on a device; see `features.encoders.base.Model`.

    Every forward pass has the same shape, the last one padded: kernels choose their order of
    summation by shape, so only then does a frame's embedding not depend on its neighbours.

    Parameters
    ----------
    path : Path
        The ONNX file.
    spec : OnnxSpec
        How the network takes pictures, and the names of the outputs to embed.
    preprocessing : Preprocessing
        Its mean and standard deviation are applied here.
    device_type : {"cpu", "cuda"}
        Where to run it; on the CPU where ONNX Runtime lacks CUDA.
    batch_size : int
        Pictures per forward pass, unless the network itself fixes the number.
    """

    runs_beside = False

    def __init__(
        self,
        path: Path,
        spec: OnnxSpec,
        preprocessing: Preprocessing,
        device_type: str,
        batch_size: int,
    ) -> None:
        self._path = path
        self._session = _open_session(path, device_type)
        self._size_px = preprocessing.geometry.size_px
        self._bgr, self._channels_last = spec.channels == "bgr", spec.layout == "nhwc"
        self._input, self._dtype, n_fixed = self._checked_input()
        self.batch_size = n_fixed or batch_size
        self._outputs = self._checked_outputs(spec.outputs)
        mean, std = (
            np.array(values, np.float64).reshape(3, 1, 1)
            for values in (preprocessing.mean, preprocessing.std)
        )
        self._scale = (1 / (255 * std)).astype(np.float32)
        self._shift = (-mean / std).astype(np.float32)

    def new_batch(self, piece_shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return memory for a batch of pictures."""
        return np.empty((self.batch_size, *piece_shape), np.uint8)

    def submit(self, pieces: NDArray[np.uint8]) -> Callable[[], NDArray[np.float32]]:
        """Embed pictures (n, 3, height, width); call the result to get the embeddings."""
        rows = np.concatenate(self._run(pieces), axis=1)
        return lambda: rows

    def columns(self) -> dict[str, int]:
        """Width of each output, found by running a black picture."""
        black = np.zeros((1, 3, *self._size_px), np.uint8)
        widths = [rows.shape[1] for rows in self._run(black)]
        return dict(zip((output.name for output in self._outputs), widths, strict=True))

    def _run(self, pictures: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Rows (n, width) of each output."""
        values = np.zeros((self.batch_size, *pictures.shape[1:]), np.float32)
        values[: len(pictures)] = pictures
        values *= self._scale
        values += self._shift
        if self._bgr:
            values = values[:, ::-1]
        if self._channels_last:
            values = values.transpose(0, 2, 3, 1)
        if self._dtype is np.uint8:
            values = np.rint(values)
        names = [output.name for output in self._outputs]
        batch = np.ascontiguousarray(values, dtype=self._dtype)
        try:
            outputs = self._session.run(names, {self._input: batch})
        except Exception as error:  # ONNX Runtime's own share no base class
            raise EncoderError(
                f"{self._path} cannot embed a batch of {self.batch_size} pictures: "
                f"{one_line(error)}"
            ) from error
        return [
            self._rows(name, output)[: len(pictures)]
            for name, output in zip(names, outputs, strict=True)
        ]

    def _rows(self, name: str, output: NDArray[Any]) -> NDArray[np.float32]:
        if output.shape[:1] != (self.batch_size,):
            raise EncoderError(
                f"the output {name!r} of {self._path} has the shape {output.shape} for "
                f"{self.batch_size} pictures: expected one row per picture; choose others with "
                "`outputs:`"
            )
        return output.reshape(self.batch_size, -1).astype(np.float32)

    def _checked_input(self) -> tuple[str, type[np.generic], int | None]:
        """Name and dtype of the only input, and the number of pictures where it is fixed."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise EncoderError(
                f"{self._path} takes the inputs {[i.name for i in inputs]}: expected a single one, "
                "the pictures"
            )
        name, shape, kind = inputs[0].name, inputs[0].shape, inputs[0].type
        sides = (*self._size_px, 3) if self._channels_last else (3, *self._size_px)
        fits = len(shape) == 4 and all(
            have == want for have, want in zip(shape[1:], sides, strict=True) if type(have) is int
        )
        if not fits or kind not in _DTYPES:
            raise EncoderError(
                f"the input {name!r} of {self._path} is a {kind} of shape {shape}, which does not "
                f"fit pictures of shape {['n', *sides]}: correct `size_px`, `layout`, or the file"
            )
        return name, _DTYPES[kind], shape[0] if type(shape[0]) is int else None

    def _checked_outputs(self, names: tuple[str, ...] | None) -> list[Any]:
        known = {output.name: output for output in self._session.get_outputs()}
        unknown = [name for name in names or () if name not in known]
        if unknown:
            raise EncoderError(
                f"{self._path} has no output {unknown[0]!r}: expected some of {list(known)}"
            )
        chosen = [known[name] for name in names or known]
        for output in chosen:
            if not output.type.startswith("tensor(") or output.type == "tensor(string)":
                raise EncoderError(
                    f"the output {output.name!r} of {self._path} is a {output.type}: choose "
                    f"outputs of numbers with `outputs:`, from {list(known)}"
                )
        return chosen


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
