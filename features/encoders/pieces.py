"""What of a clip an encoder takes: pieces of fixed shape, each with its time in the clip.

Decode workers make them, once for all encoders that take the same. No torch here: workers start
fast, and hand over small arrays. Pictures become floats on the encoder's device.
"""

import json
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from features.media.faces import Box, FaceDetection, align_face, crop_face

if TYPE_CHECKING:
    from features.media.sound import Track

SidePx = Annotated[int, Field(gt=0, le=8192)]
NO_TOKEN = -1

ColourLevel = Annotated[int, Field(ge=0, le=255)]


class Geometry(BaseModel):
    """How a picture of any shape becomes one of a fixed shape: scaled, then centred.

    Attributes
    ----------
    size_px : (int, int)
        Height and width of the result, cut out of the middle of the scaled picture. What the
        picture does not reach has the colour `fill`.
    mode : {"shortest", "longest", "squash"}
        What the picture is scaled to. ``shortest``: it covers a box of `resize_px`. ``longest``:
        it fits inside. ``squash``: it takes the box's shape.
    resize_px : (int, int) or None
        Height and width of that box; None: `size_px`.
    interpolation : {"nearest", "bilinear", "bicubic"}
        With antialiasing, as PIL resizes.
    fill : (int, int, int)
        Red, green and blue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    size_px: tuple[SidePx, SidePx]
    mode: Literal["shortest", "longest", "squash"] = "shortest"
    resize_px: tuple[SidePx, SidePx] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bicubic"
    fill: tuple[ColourLevel, ColourLevel, ColourLevel] = (0, 0, 0)

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Return the picture as a uint8 array of shape (3, height, width).

        Equal, value for value, to the transforms of torchvision, open_clip and timm on PIL images
        up to their conversion to float.
        """
        image = image.convert("RGB")
        scaled_size = self._scaled_size(image)
        if scaled_size != image.size:
            image = image.resize(scaled_size, Image.Resampling[self.interpolation.upper()])
        height, width = self.size_px
        if image.size != (width, height):
            result = Image.new("RGB", (width, height), self.fill)
            offset = _centre_offset(image.width, width), _centre_offset(image.height, height)
            result.paste(image, offset)
            image = result
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))

    def _scaled_size(self, image: Image.Image) -> tuple[int, int]:
        height, width = self.resize_px or self.size_px
        if self.mode == "squash":
            return width, height
        if self.mode == "shortest" and height == width:  # torchvision's Resize(int)
            shorter, longer = sorted(image.size)
            scaled = int(height * longer / shorter)
            return (width, scaled) if image.width <= image.height else (scaled, height)
        # ResizeKeepRatio of timm and open_clip
        choose = min if self.mode == "shortest" else max
        ratio = choose(image.width / width, image.height / height)
        return max(round(image.width / ratio), 1), max(round(image.height / ratio), 1)


class Preprocessing(BaseModel):
    """What a picture goes through before an encoder; it travels with the encoder's weights.

    Geometry, then ``(value / 255 - mean) / std`` per colour channel (red, green, blue).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    geometry: Geometry
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Pictures(BaseModel):
    """Pieces that are frames, or stacks of them: uint8 of shape ([n_frames,] 3, height, width).

    Attributes
    ----------
    frame_rate_hz : float
        Points per second of clip time, at each of which the frame on screen is taken.
    geometry : Geometry
        Size and shape of the pieces.
    face : FaceDetection or None
        How the face is found that frames are cropped to; None: whole frames.
    face_margin : float
        Added on each side of the face's box, as a share of its larger side.
    face_align : bool
        Whether eyes, nose and mouth are brought to the places that they have in ArcFace's pictures.
    face_missing : {"whole_frame", "leave_out"}
        What happens to a frame without a face.
    n_frames : int or None
        Frames to a stack; None: a piece is a single frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_rate_hz: float
    geometry: Geometry
    face: FaceDetection | None = None
    face_margin: float = 0.0
    face_align: bool = False
    face_missing: Literal["whole_frame", "leave_out"] = "whole_frame"
    n_frames: int | None = None

    def cut(self, image: Image.Image, boxes: Iterable[Box]) -> list[NDArray[np.uint8]]:
        """Make the pieces of a frame: one a face in it; the frame, or none, where there is none."""
        crop = align_face if self.face_align else crop_face
        crops = [crop(image, box, self.face_margin) for box in boxes]
        if not crops and (self.face is None or self.face_missing == "whole_frame"):
            crops = [image]
        return [self.geometry.apply(each) for each in crops]

    def take(self, frames: list[tuple[float, NDArray[np.uint8]]], at_end: bool) -> "Iterator[Cut]":
        """Take the pieces off a list of a clip's frames with their times, as they get full.

        Stacks lie side by side. At the clip's end the last one reaches back to be full, or repeats
        the last frame where there are too few. Its time is the middle of its frames.
        """
        if self.n_frames is None:
            stacks = [[frame] for frame in frames]
            frames.clear()
        else:
            n, stacks = self.n_frames, []
            while len(frames) >= 2 * n:
                stacks.append(frames[:n])
                del frames[:n]
            if at_end and frames:
                frames += [frames[-1]] * (n - len(frames))
                stacks.append(frames[:n])
                if len(frames) > n:
                    stacks.append(frames[-n:])
                frames.clear()
        if stacks:
            time_s = [(stack[0][0] + stack[-1][0]) / 2 for stack in stacks]
            pieces = np.stack([np.stack([picture for _, picture in stack]) for stack in stacks])
            yield np.array(time_s), pieces if self.n_frames else pieces[:, 0]


Cut = tuple[NDArray[np.float64], NDArray[Any]]
"""Times of pieces of shape (n,), in clip time, and the pieces, of shape (n, ...)."""


@dataclass(frozen=True)
class SoundPieces:
    """Pieces that a transform makes of all of a clip's sound.

    Attributes
    ----------
    sample_rate_hz : int
        Rate that sound is resampled to.
    transform : callable
        From samples of shape (n_samples,) in float32, one channel, and their rate, to pieces and
        their times since the first sample. It must pickle.
    windows_s : (float, float) or None
        Length and distance of the windows that it cuts; None: one window, of all the sound.
    """

    sample_rate_hz: int
    transform: Callable[[NDArray[np.float32], int], Cut]
    windows_s: tuple[float, float] | None = None

    def cut(self, track: "Track") -> Iterator[Cut]:
        """Make all pieces, but those in the middle of a gap: they say nothing of the person.

        Windows start at multiples of their distance in clip time. Where sound starts late, the
        first one holds at least three quarters of sound, behind silence. Sound too short for such a
        window is one of its own.
        """
        samples, start_s = self._on_grid(track)
        time_s, pieces = self.transform(samples, self.sample_rate_hz)
        time_s = time_s + start_s
        kept = ~track.is_gap(time_s)
        kept |= not kept.any()
        yield time_s[kept], pieces[kept]

    def _on_grid(self, track: "Track") -> tuple[NDArray[np.float32], float]:
        """Return samples that start on the windows' grid, and when they do."""
        if self.windows_s is not None:
            window_s, hop_s = self.windows_s
            start_s = math.ceil((track.start_s - window_s / 4) / hop_s) * hop_s
            late = round((start_s - track.start_s) * self.sample_rate_hz)
            if len(track.samples) - late >= round(window_s * self.sample_rate_hz):
                return np.pad(track.samples[max(late, 0) :], (max(-late, 0), 0)), start_s
        return track.samples, track.start_s


@dataclass(frozen=True)
class SoundWindows:
    """Pieces that are windows of a clip's sound side by side, each with the time it starts at.

    Samples are NaN where the clip has no sound: in gaps, and behind its end.

    Attributes
    ----------
    sample_rate_hz : int
        Rate that sound is resampled to.
    n_samples : int
        Length of a window.
    """

    sample_rate_hz: int
    n_samples: int

    def cut(self, track: "Track") -> Iterator[Cut]:
        """Cut the windows that hold sound, a minute or so at a time."""
        samples = track.samples.copy()
        for gap in np.rint((track.gaps_s - track.start_s) * self.sample_rate_hz).astype(int):
            samples[slice(*gap)] = np.nan
        at_a_time = self.n_samples * max(60 * self.sample_rate_hz // self.n_samples, 1)
        for first in range(0, len(samples), at_a_time):
            part = samples[first : first + at_a_time]
            missing = -len(part) % self.n_samples
            windows = np.pad(part, (0, missing), constant_values=np.nan)
            windows = windows.reshape(-1, self.n_samples)
            start_s = track.start_s + (first + np.arange(len(windows)) * self.n_samples) / (
                self.sample_rate_hz
            )
            kept = ~np.isnan(windows).all(axis=1)
            yield start_s[kept], windows[kept]


@dataclass(frozen=True)
class Texts:
    """Pieces that are texts as tokens, with `NO_TOKEN` behind their end.

    Attributes
    ----------
    tokenizer : str
        As the library tokenizers writes it.
    n_tokens : int
        Length of a piece; a longer text becomes several, each with the special tokens.
    """

    tokenizer: str
    n_tokens: int

    def cut(self, words: str) -> Iterator[Cut]:
        """Cut what is said in a clip: JSON, a list of [start_s, end_s, text]."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(self.tokenizer)
        tokenizer.enable_truncation(self.n_tokens)
        for start_s, end_s, text in json.loads(words):
            first = tokenizer.encode(text)
            parts = [first, *first.overflowing]
            pieces = np.full((len(parts), self.n_tokens), NO_TOKEN, np.int32)
            for piece, part in zip(pieces, parts, strict=True):
                piece[: len(part.ids)] = part.ids
            shares = (np.arange(len(parts)) + 0.5) / len(parts)
            yield start_s + shares * (end_s - start_s), pieces


PieceKind = Pictures | SoundPieces | SoundWindows | Texts
"""Equal kinds are equal pieces."""


def _centre_offset(size: int, room: int) -> int:
    """Where a side of length `size` starts in the middle of `room`; below 0 when it is cut."""
    # Odd differences fall as in torchvision: rounded when cutting, floored when padding.
    return -round((size - room) / 2) if size >= room else (room - size) // 2
