"""What others reached on Hume-Reaction, the data of the paper: the only published figures shown."""

from typing import NamedTuple

NOT_AVAILABLE = "not available"
"""In place of a published figure that exists, but that we have not read in a public source."""


class Published(NamedTuple):
    """A published result.

    Attributes
    ----------
    published_val, published_test : str
        Mean Pearson over the seven targets of Hume-Reaction, with the digits of the source; empty
        where no figure is known to us.
    source : str
        The systems that it was published with, in the order of their figures in the project's notes
        of what others reached.
    """

    published_val: str
    published_test: str
    source: str


_LSTM = "eGeMAPS / DeepSpectrum / VGGFace2 / FAU, LSTM baseline"
_DUAL = "dual branch: audio / video / both"
_HKUST = "HKUST: audio / AU / face net / face+AU / face+audio / all"

PUBLISHED = {
    "eGeMAPS, LSTM baseline": Published("0.058", "", _LSTM),
    "DeepSpectrum, LSTM baseline": Published("0.109", "", _LSTM),
    "VGGFace2, LSTM baseline": Published("0.249", "", _LSTM),
    "FAU, LSTM baseline": Published("0.284", "0.2801", _LSTM),
    "ViPER": Published("0.3025", "", "ViPER (perceiver; frames, audio, CLIP text, FAU)"),
    "multi-task ensemble": Published("0.3254", "", "multi-task ensemble"),
    "MuSe 2022 winner": Published("", "0.3879", "MuSe 2022 winner"),
    "paper, ResNet50": Published("", "0.4080", "the paper, pre-trained ResNet50"),
    "dual branch, audio": Published("0.297", "", _DUAL),
    "dual branch, video": Published("0.350", "", _DUAL),
    "dual branch, both": Published("0.443", "0.4380", _DUAL),
    "HKUST, audio": Published("0.299", "", _HKUST),
    "HKUST, AU": Published("0.342", "", _HKUST),
    "HKUST, face net": Published("0.362", "", _HKUST),
    "HKUST, face+AU": Published("0.377", "", _HKUST),
    "HKUST, face+audio": Published("0.438", "", _HKUST),
    "HKUST, all": Published("0.455", "0.4547", _HKUST),
    "ABAW5 first place": Published("about 0.52", "about 0.47", "ABAW5 first place"),
}
"""By system, what it was in short; in the order of the table."""
