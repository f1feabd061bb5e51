"""People told apart through a clip: boxes in its frames, linked to tracks.

Greedily by overlap from frame to frame, as the IoU tracker (Bochinski, Eiselein and Sikora, 2017,
"High-Speed Tracking-by-Detection Without Using Image Information"); a track is also looked for
where its pace leads, as in SORT (Bewley et al., 2016), so that two people may pass each other.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SAME_PERSON_IOU = 0.1
"""A box that overlaps less is somebody else's.

Low, for frames are some 0.3 s apart here: a head may move by four fifths of its width, and the
greedy choice keeps neighbours apart.
"""

MAX_GAP_S = 2.0
"""Who is not seen for longer, and for more than a frame, comes back as somebody else."""


class Box(NamedTuple):
    """A face, in pixels of its picture, beyond whose edges it may reach.

    `points` are ten numbers, across and down: the eyes, the nose and the corners of the mouth, what
    is left in the picture first. Empty where they are not known.
    """

    left: float
    top: float
    width: float
    height: float
    score: float
    points: tuple[float, ...] = ()

    @property
    def area(self) -> float:
        """In square pixels."""
        return self.width * self.height

    @property
    def centre(self) -> complex:
        """Across + down."""
        return complex(self.left + self.width / 2, self.top + self.height / 2)

    def iou(self, other: "Box") -> float:
        """Return the shared area as a share of the area that both cover together."""
        right = min(self.left + self.width, other.left + other.width)
        bottom = min(self.top + self.height, other.top + other.height)
        width = max(right - max(self.left, other.left), 0.0)
        height = max(bottom - max(self.top, other.top), 0.0)
        return width * height / (self.area + other.area - width * height)


class Tracks:
    """Links the faces of one clip's frames, which come in the order of time."""

    def __init__(self) -> None:
        # By track: when it was seen last, where, and its pace in pixels per second.
        self._last: list[tuple[float, Box, complex]] = []
        self._time_s = 0.0  # of the frame before

    def link(self, boxes: Iterable[Box], time_s: float) -> dict[int, Box]:
        """Return the boxes of the next frame by the numbers of their tracks, in ascending order."""
        new = sorted(boxes, key=lambda box: (-box.area, box))
        pairs = []
        for track, (seen_s, before, pace) in enumerate(self._last):
            if seen_s == self._time_s or time_s - seen_s <= MAX_GAP_S:
                way = pace * (time_s - seen_s)
                led = before._replace(left=before.left + way.real, top=before.top + way.imag)
                pairs += [(max(before.iou(box), led.iou(box)), -track, box) for box in new]
        linked: dict[int, Box] = {}
        for overlap, minus_track, box in sorted(pairs, reverse=True):
            track = -minus_track
            if overlap >= SAME_PERSON_IOU and track not in linked and box in new:
                seen_s, before, _ = self._last[track]
                pace = (box.centre - before.centre) / max(time_s - seen_s, 1e-6)
                self._last[track] = time_s, box, pace
                linked[track] = box
                new.remove(box)
        for box in new:
            linked[len(self._last)] = box
            self._last.append((time_s, box, 0j))
        self._time_s = time_s
        return dict(sorted(linked.items()))


def by_rows(track: NDArray[np.integer]) -> NDArray[np.int32]:
    """Give tracks (n_rows,) new numbers: 0 to that of the most rows, of equal ones the first."""
    names, first, n_rows = np.unique(track, return_index=True, return_counts=True)
    number = np.empty(len(names), np.int32)
    number[np.lexsort((first, -n_rows))] = np.arange(len(names))
    return np.asarray(number[np.searchsorted(names, track)])
