"""The embedded demo corpus: talking faces and their voices, made by code from a seed."""

from pydantic import Field

from pipeline.settings_files import Section


class DemoSettings(Section):
    """How many invented people, and clips of each, from which seed; equal settings, equal files."""

    n_people: int = Field(30, ge=16)
    clips_per_person: int = Field(4, ge=1)
    seed: int = Field(0, ge=0)
