"""Size and seed of the demo corpus: what `params.yaml` says of it."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class DemoSettings(BaseModel):
    """Size and seed of the demo corpus.

    Parameters
    ----------
    n_people, clips_per_person
        Number of invented people, and of clips of each.
    min_duration_s, max_duration_s
        Clips last between these, whatever they show.
    frame_rate_hz, image_size_px
        Of the square pictures; the size is even, as H.264 wants it.
    seed
        Equal settings give equal files.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_people: int = Field(30, ge=16)
    clips_per_person: int = Field(4, ge=1)
    min_duration_s: float = Field(2.0, ge=1.0)
    max_duration_s: float = Field(4.0, le=60.0)
    frame_rate_hz: int = Field(15, ge=5, le=60)
    image_size_px: int = Field(192, ge=64, le=1024, multiple_of=2)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _durations_in_order(self) -> Self:
        if self.min_duration_s > self.max_duration_s:
            raise ValueError(
                f"min_duration_s is {self.min_duration_s} and max_duration_s only "
                f"{self.max_duration_s}: swap them, or give both the same value."
            )
        return self
