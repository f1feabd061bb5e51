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

    def iou(self, other: "Box") -> float:
        """Return the shared area as a share of the area that both cover together."""
        right = min(self.left + self.width, other.left + other.width)
        bottom = min(self.top + self.height, other.top + other.height)
        width = max(right - max(self.left, other.left), 0.0)
        height = max(bottom - max(self.top, other.top), 0.0)
        return width * height / (self.area + other.area - width * height)


class _Sighting(NamedTuple):
    time_s: float
    box: Box
    across_px_per_s: float
    down_px_per_s: float

    def next(self, time_s: float, box: Box) -> "_Sighting":
        since_s = max(time_s - self.time_s, 1e-6)
        across = box.left + box.width / 2 - self.box.left - self.box.width / 2
        down = box.top + box.height / 2 - self.box.top - self.box.height / 2
        return _Sighting(time_s, box, across / since_s, down / since_s)

    def overlap(self, time_s: float, box: Box) -> float:
        """IoU with where the face was, or with where its pace has led since; the larger one."""
        since_s = time_s - self.time_s
        moved = self.box._replace(
            left=self.box.left + self.across_px_per_s * since_s,
            top=self.box.top + self.down_px_per_s * since_s,
        )
        return max(self.box.iou(box), moved.iou(box))


class Tracks:
    """Links the faces of one clip's frames, which come in the order of time."""

    def __init__(self) -> None:
        self._last: list[_Sighting] = []  # by track
        self._time_s = 0.0  # of the frame before

    def link(self, boxes: Iterable[Box], time_s: float) -> dict[int, Box]:
        """Return the boxes of the next frame by the numbers of their tracks, in ascending order."""
        new = sorted(boxes, key=lambda box: (-box.area, box))
        alive = [
            (track, last)
            for track, last in enumerate(self._last)
            if last.time_s == self._time_s or time_s - last.time_s <= MAX_GAP_S
        ]
        pairs = [(last.overlap(time_s, box), -track, box) for track, last in alive for box in new]
        linked: dict[int, Box] = {}
        for overlap, minus_track, box in sorted(pairs, reverse=True):
            if overlap >= SAME_PERSON_IOU and -minus_track not in linked and box in new:
                linked[-minus_track] = box
                new.remove(box)
        for track, box in linked.items():
            self._last[track] = self._last[track].next(time_s, box)
        for box in new:
            linked[len(self._last)] = box
            self._last.append(_Sighting(time_s, box, 0.0, 0.0))
        self._time_s = time_s
        return dict(sorted(linked.items()))


def by_rows(track: NDArray[np.integer]) -> NDArray[np.int32]:
    """Give tracks (n_rows,) new numbers: 0 to that of the most rows, of equal ones the first."""
    names, first, n_rows = np.unique(track, return_index=True, return_counts=True)
    number = np.empty(len(names), np.int32)
    number[np.lexsort((first, -n_rows))] = np.arange(len(names))
    return np.asarray(number[np.searchsorted(names, track)])
