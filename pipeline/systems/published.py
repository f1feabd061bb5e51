"""What others reached on Hume-Reaction, the data of the paper: the only published figures shown."""

from dataclasses import dataclass

NOT_AVAILABLE = "not available"
"""In place of a published figure that exists, but that we have not read in a public source."""


@dataclass(frozen=True)
class Published:
    """A published result.

    Attributes
    ----------
    system : str
        What it was, in short.
    val, test : str
        Mean Pearson over the seven targets of Hume-Reaction, with the digits of the source; empty
        where no figure is known to us.
    source : str
        The systems that it was published with, in the order of their figures in the project's notes
        of what others reached.
    """

    system: str
    val: str
    test: str
    source: str


_LSTM = "eGeMAPS / DeepSpectrum / VGGFace2 / FAU, LSTM baseline"
_DUAL = "dual branch: audio / video / both"
_HKUST = "HKUST: audio / AU / face net / face+AU / face+audio / all"

_ROWS = (
    Published("eGeMAPS, LSTM baseline", "0.058", "", _LSTM),
    Published("DeepSpectrum, LSTM baseline", "0.109", "", _LSTM),
    Published("VGGFace2, LSTM baseline", "0.249", "", _LSTM),
    Published("FAU, LSTM baseline", "0.284", "0.2801", _LSTM),
    Published("ViPER", "0.3025", "", "ViPER (perceiver; frames, audio, CLIP text, FAU)"),
    Published("multi-task ensemble", "0.3254", "", "multi-task ensemble"),
    Published("MuSe 2022 winner", "", "0.3879", "MuSe 2022 winner"),
    Published("paper, ResNet50", "", "0.4080", "the paper, pre-trained ResNet50"),
    Published("dual branch, audio", "0.297", "", _DUAL),
    Published("dual branch, video", "0.350", "", _DUAL),
    Published("dual branch, both", "0.443", "0.4380", _DUAL),
    Published("HKUST, audio", "0.299", "", _HKUST),
    Published("HKUST, AU", "0.342", "", _HKUST),
    Published("HKUST, face net", "0.362", "", _HKUST),
    Published("HKUST, face+AU", "0.377", "", _HKUST),
    Published("HKUST, face+audio", "0.438", "", _HKUST),
    Published("HKUST, all", "0.455", "0.4547", _HKUST),
    Published("ABAW5 first place", "about 0.52", "about 0.47", "ABAW5 first place"),
)
PUBLISHED = {row.system: row for row in _ROWS}
"""By system, in the order of the table."""
