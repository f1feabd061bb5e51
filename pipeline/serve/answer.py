"""What the service says of a clip."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, Field

from pipeline.predict import Predictor
from pipeline.serve.limits import RefusedError

WINDOW_S, HOP_S = 2.0, 0.5
"""Of the timeline: length of its windows, and from one to the next."""


class Missing(BaseModel):
    """An encoder that could make nothing of the clip; the heads took the training mean for it."""

    encoder: str
    step: str = Field(description="`stream`: the clip never had it. Any other: what failed.")
    reason: str


class Timeline(BaseModel):
    """Windows that slide over the clip. Read the shape, not the level: heads know whole clips."""

    window_s: float
    hop_s: float
    time_s: list[float] = Field(description="The middle of each window.")
    intensities: dict[str, list[float | None]] = Field(
        description="By target, as long as `time_s`; null where a window holds nothing usable."
    )


class Answer(BaseModel):
    """The prediction for one clip."""

    name: str = Field(description="What the upload called the clip, without folders.")
    duration_s: float | None = Field(description="Null for a picture, or when it is not known.")
    has_video: bool
    has_audio: bool
    intensities: dict[str, float] = Field(description="By target, of the clip as a whole.")
    encoders: list[str] = Field(description="Those that it was predicted from.")
    missing: list[Missing]
    random_weights: list[str] = Field(
        description="Encoders with random weights. If there are any, the numbers mean nothing."
    )
    timeline: Timeline


class ErrorAnswer(BaseModel):
    """Why there is no prediction."""

    detail: str
    reasons: dict[str, str] | None = Field(
        None, description="By encoder, when nothing in a clip could be used."
    )


def answer_clip(
    predictor: Predictor, path: Path, name: str, cache_root: Path, max_duration_s: float
) -> Answer:
    """Predict one clip, as a whole and over time.

    Parameters
    ----------
    predictor : Predictor
        Used by one caller at a time.
    path : Path
        The clip.
    name : str
        What the answer calls it.
    cache_root : Path
        Where its embeddings go.
    max_duration_s : float
        Longest clip, in seconds.

    Raises
    ------
    RefusedError
        Status 422 when the clip is too long, or nothing in it can be used.
    """
    with predictor.embedded(
        [path], cache_root=cache_root, max_duration_s=max_duration_s, progress=False
    ) as embedded:
        clip = embedded.clips.iloc[0]
        errors = embedded.missing[clip["clip_id"]]
        if len(errors) == len(predictor.description.encoders):
            reasons = {encoder: str(error) for encoder, error in errors.items()}
            raise RefusedError(422, "nothing in this file can be used", reasons)
        table = predictor.table(embedded)
        windows = predictor.windows(embedded, window_s=WINDOW_S, hop_s=HOP_S)
    targets = predictor.description.targets
    duration_s = _numbers([clip["duration_s"]])[0]
    return Answer(
        name=name,
        duration_s=duration_s,
        has_video=bool(clip["has_video"]),
        has_audio=bool(clip["has_audio"]),
        intensities={target: float(table[target].iloc[0]) for target in targets},
        encoders=[each for each in predictor.description.encoders if each not in errors],
        missing=[
            Missing(encoder=encoder, step=error.step, reason=error.reason)
            for encoder, error in errors.items()
        ],
        random_weights=predictor.random_encoders,
        timeline=Timeline(
            window_s=WINDOW_S,
            hop_s=HOP_S,
            time_s=windows["time_s"].tolist(),
            intensities={target: _numbers(windows[target].tolist()) for target in targets},
        ),
    )


def _numbers(values: Sequence[float]) -> list[float | None]:
    """JSON has no NaN."""
    return [float(each) if np.isfinite(each) else None for each in values]
