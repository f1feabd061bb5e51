"""What the service says of a clip."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fastapi import HTTPException
from pydantic import BaseModel, Field

from pipeline.predict import Predictor

WINDOW_S, HOP_S = 2.0, 0.5
"""Length of the windows that intensities over time are of, and from one to the next."""


class Answer(BaseModel):
    """The prediction for one clip: by target, of the clip as a whole and over time."""

    name: str
    duration_s: float | None = Field(description="Null for a picture, or when it is not known.")
    has_video: bool
    has_audio: bool
    intensities: dict[str, float]
    encoders: list[str] = Field(description="Those that it was predicted from.")
    missing: dict[str, str] = Field(description="Encoders that could not be used, each with why.")
    random_weights: list[str] = Field(description="If there are any, the numbers mean nothing.")
    window_s: float
    time_s: list[float] = Field(description="The middle of each window.")
    over_time: dict[str, list[float | None]] = Field(
        description="By target, as long as `time_s`: read the shape, not the level."
    )


def answer_clip(
    predictor: Predictor, path: Path, name: str, cache_root: Path, max_duration_s: float
) -> Answer:
    """Predict one clip, as a whole and over time.

    Parameters
    ----------
    predictor : Predictor
    path, name : Path and str
        The clip, and what the answer calls it.
    cache_root : Path
        Where its embeddings go.
    max_duration_s : float
        Longest clip, in seconds.

    Raises
    ------
    HTTPException
        Status 422 when the clip is too long, or nothing in it can be used.
    """
    with predictor.embedded(
        [path], cache_root=cache_root, max_duration_s=max_duration_s, progress=False
    ) as embedded:
        clip = embedded.clips.iloc[0]
        missing = {name: str(error) for name, error in embedded.missing[clip["clip_id"]].items()}
        encoders = [each for each in predictor.description.encoders if each not in missing]
        if not encoders:
            reasons = "; ".join(f"{encoder}: {reason}" for encoder, reason in missing.items())
            raise HTTPException(422, f"nothing in this file can be used: {reasons}")
        table = predictor.table(embedded)
        windows = predictor.windows(embedded, window_s=WINDOW_S, hop_s=HOP_S)
    targets = predictor.description.targets
    return Answer(
        name=name,
        duration_s=_numbers([clip["duration_s"]])[0],
        has_video=bool(clip["has_video"]),
        has_audio=bool(clip["has_audio"]),
        intensities={target: float(table[target].iloc[0]) for target in targets},
        encoders=encoders,
        missing=missing,
        random_weights=predictor.random_encoders,
        window_s=WINDOW_S,
        time_s=windows["time_s"].tolist(),
        over_time={target: _numbers(windows[target].tolist()) for target in targets},
    )


def _numbers(values: Sequence[float]) -> list[float | None]:
    """JSON has no NaN."""
    return [float(each) if np.isfinite(each) else None for each in values]
