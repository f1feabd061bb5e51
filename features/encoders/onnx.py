"""Any network of pictures or of sound in an ONNX file: recognisers of faces, exports."""

from abc import abstractmethod
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, field_validator, model_validator

from features.encoders.base import Encoder, FrameEncoder
from features.encoders.pieces import Geometry, Preprocessing, SoundWindows
from features.encoders.weights import one_line, weights_file
from features.errors import EncoderError, MediaError
from features.files import file_sha256

if TYPE_CHECKING:
    import torch

    from features.encoders.torch_model import TorchModel
    from features.identity import Sampling

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


class _OnnxFile(Encoder):
    """What networks of pictures and of sound have in common.

    Attributes
    ----------
    model : str
        A name for people, by default the file's. It is no part of an embedding's identity.
    weights : str
        A file: local, of an installed package (``package://<import name>/<path>``), or of the
        Hugging Face hub (``hf://owner/repo/file``).
    outputs : list of str or None
        Which of the network's outputs are embedded, one beside the other in this order. None: all.
    """

    named_by_weights = frozenset({"model", "input"})

    kind: Literal["onnx"]
    weights: str
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

    def weights_digest(self) -> str:
        """Digest of the file's bytes."""
        return file_sha256(self._path)

    def load_model(self, device: "torch.device | None" = None) -> "TorchModel":
        """Open the file on the CPU, or on a GPU where ONNX Runtime was built for it."""
        import torch

        from features.encoders.torch_model import BATCH_SIZE, TorchModel, default_device

        device_type = (device or default_device()).type
        network = _Network(self, device_type)
        size = network.fixed_batch_size or BATCH_SIZE[device_type]
        return TorchModel(
            lambda pieces: torch.from_numpy(self._embed(network, pieces.numpy())),
            "fp32",
            torch.device("cpu"),  # ONNX Runtime copies to a GPU by itself
            **{"batch_size": {"cpu": size}, **self._batches()},
        )

    @abstractmethod
    def _embed(self, network: "_Network", pieces: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed a batch of prepared pieces to rows."""

    @abstractmethod
    def _batches(self) -> dict[str, Any]:
        """Return what `TorchModel` has to know of batches."""

    def columns(self) -> dict[str, int]:
        """Width of each output in an embedding, in order, found from the file."""
        return self._columns

    @cached_property
    def _columns(self) -> dict[str, int]:
        network = _Network(self, "cpu")
        nothing = np.zeros((network.fixed_batch_size or 1, *self._piece_shape()), np.float32)
        return {name: rows.shape[1] for name, rows in network.outputs(nothing).items()}

    @abstractmethod
    def _piece_shape(self) -> tuple[int, ...]:
        """Return the shape of what the network is called with, without the batch."""

    @cached_property
    def _path(self) -> Path:
        return weights_file(self.weights)


class OnnxEncoder(FrameEncoder, _OnnxFile):
    """The outputs of an ONNX network of pictures, run by ONNX Runtime on the CPU or through CUDA.

    Attributes
    ----------
    preprocessing : OnnxPreprocessing
        A file does not say it; the page that it comes from does.
    channels : {"rgb", "bgr"}
        The network's order of colours.
    layout : {"nchw", "nhwc"}
        Colours before or after height and width.
    """

    input: Literal["pictures"] = "pictures"
    preprocessing: OnnxPreprocessing
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"

    def picture_preprocessing(self) -> Preprocessing:
        """Return the entry's, with mean and standard deviation as shares of white."""
        given = self.preprocessing
        return Preprocessing(
            geometry=Geometry(**given.model_dump(include=set(Geometry.model_fields))),
            mean=tuple(value / given.white for value in given.mean),
            std=tuple(value / given.white for value in given.std),
        )

    def _embed(self, network: "_Network", pieces: NDArray[np.float32]) -> NDArray[np.float32]:
        batch = pieces[:, ::-1] if self.channels == "bgr" else pieces
        return network(batch.transpose(0, 2, 3, 1) if self.layout == "nhwc" else batch)

    def _batches(self) -> dict[str, Any]:
        return {"preprocessing": self.picture_preprocessing()}

    def _piece_shape(self) -> tuple[int, ...]:
        size_px = self.preprocessing.size_px
        return (*size_px, 3) if self.layout == "nhwc" else (3, *size_px)


class OnnxSoundEncoder(_OnnxFile):
    """The outputs of an ONNX network of raw waves, a row for each window of sound.

    Windows lie side by side. One with less sound goes in at its own length where the network takes
    any, else with zeros behind. Of an output over time (n, times, width) the mean counts.

    Attributes
    ----------
    sample_rate_hz : int
        The rate that the network was trained with; sound is resampled to it.
    window_s : float
        Length of a window; of a network for one length, that.
    min_window_s : float
        A window with less sound is left out.
    """

    modality = "sound"

    input: Literal["sound"]
    sample_rate_hz: int = Field(ge=1000, le=192_000)
    window_s: float = Field(default=10.0, ge=0.1, le=120)
    min_window_s: float = Field(default=0.1, ge=0.01)

    def pieces(self, sampling: "Sampling") -> SoundWindows:  # noqa: ARG002  # the network has its own
        """Take windows of sound at the network's rate."""
        return SoundWindows(self.sample_rate_hz, *self._piece_shape())

    def finish(
        self, time_s: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Leave out windows with too little sound; the others' times are the middle of theirs."""
        length_s = rows[:, 0].astype(np.float64) / self.sample_rate_hz
        if not length_s.any():
            raise MediaError("encode", f"there are no {self.min_window_s:g} s of sound")
        heard = length_s > 0
        return (time_s + length_s / 2)[heard], rows[heard, 1:]

    def _embed(self, network: "_Network", pieces: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed windows (n, n_samples), NaN where there is none, to their lengths and outputs."""
        heard = ~np.isnan(pieces)
        lengths = np.where(heard.any(axis=1), heard.shape[1] - heard[:, ::-1].argmax(axis=1), 0)
        rows = np.zeros((len(pieces), 1 + self.dimension()), np.float32)
        for length in set(lengths[lengths >= self.min_window_s * self.sample_rate_hz].tolist()):
            same = np.flatnonzero(lengths == length)
            n_each = network.fixed_batch_size or len(same)
            for some in np.split(same, range(n_each, len(same), n_each)):
                missing = n_each - len(some), max(network.n_samples - length, 0)
                sound = np.pad(np.nan_to_num(pieces[some, :length]), [(0, n) for n in missing])
                rows[some] = np.insert(network(sound)[: len(some)], 0, length, axis=1)
        return rows

    def _batches(self) -> dict[str, Any]:
        return {"batch_size": {"cpu": 8}, "padding": np.float32(np.nan)}

    def _piece_shape(self) -> tuple[int, ...]:
        return (round(self.window_s * self.sample_rate_hz),)


class _Network:
    """From a batch in float32 to the rows (n, width) of its outputs.

    `fixed_batch_size` is how many pieces it takes; None: any number. `n_samples`: how many values
    of the last axis; 0: any number.
    """

    def __init__(self, encoder: _OnnxFile, device_type: str) -> None:
        self._path = encoder._path
        self._session = _open_session(self._path, device_type)
        self._input = self._session.get_inputs()[0]
        self._outputs = encoder.outputs or [each.name for each in self._session.get_outputs()]
        shape = self._input.shape or [None]
        has_batch = len(shape) > 1 and isinstance(shape[0], int)
        self.fixed_batch_size = shape[0] if has_batch else None
        self.n_samples = shape[-1] if isinstance(shape[-1], int) else 0

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.hstack(list(self.outputs(batch).values()))

    def outputs(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        if is_sound := batch.ndim == 2:  # some networks have an axis of channels
            batch = batch.reshape(len(batch), *[1] * (len(self._input.shape) - 2), -1)
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
                if is_sound and output.ndim == 3:
                    output = output.mean(axis=1)
                rows[name] = np.reshape(output, (len(batch), -1)).astype(np.float32)
        except Exception as error:  # ONNX Runtime's own share no base class
            taken, given = (
                ", ".join(f"{end.name!r} ({end.type} of shape {end.shape})" for end in ends)
                for ends in (self._session.get_inputs(), self._session.get_outputs())
            )
            raise EncoderError(
                f"{self._path} cannot embed {batch.dtype} of shape {batch.shape}: "
                f"{one_line(error)} It takes {taken} and gives {given}: correct "
                "`size_px` and `layout`, or `window_s`; `outputs`; or the file."
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
