"""What was noticed in other people's tables, as data: shown as text or as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pipeline.clip_ids import Matches

Severity = Literal["error", "warning", "note"]

_N_SHOWN = 3


class RefusedError(Exception):
    """Data that cannot be imported: what is wrong in a few words, where, and what to do."""

    def __init__(self, kind: str, items: Iterable[object], message: str) -> None:
        super().__init__(message)
        self.kind, self.items = kind, list(items)


@dataclass
class Finding:
    """One thing that was noticed.

    Attributes
    ----------
    kind : str
        What, in a few words.
    severity : {"error", "warning", "note"}
        An error keeps everything from being written, or a file from being accepted.
    items : list of str
        Where: clips, columns or files, all of them.
    what_was_done : str
        How it was handled, or what to do about it.
    """

    kind: str
    severity: Severity
    items: list[str]
    what_was_done: str

    def __str__(self) -> str:
        shown = ", ".join(self.items[:_N_SHOWN]) + ", ..." * (len(self.items) > _N_SHOWN)
        return f"{self.severity:7}  {self.kind}: {len(self.items)} ({shown}): {self.what_was_done}"


class Findings:
    """The findings of one import or check, in the order in which they were made.

    Attributes
    ----------
    all : list of Finding
    prefix : str
        Comes before the kind of what is found next: the part that it is of.
    """

    def __init__(self) -> None:
        self.all: list[Finding] = []
        self.prefix = ""

    def add(
        self, kind: str, severity: Severity, items: Iterable[object], what_was_done: str
    ) -> None:
        """Add items to the finding of that kind, or make one of them, told by the first."""
        texts, kind = [str(item) for item in items], self.prefix + kind
        for finding in self.all:
            if (finding.kind, finding.severity) == (kind, severity):
                finding.items += texts
                return
        if texts:
            self.all.append(Finding(kind, severity, texts, what_was_done))

    def error(self, kind: str, items: Iterable[object], what_to_do: str) -> None:
        """Add what keeps everything from being written."""
        self.add(kind, "error", items, what_to_do)

    def warn(self, kind: str, items: Iterable[object], what_was_done: str) -> None:
        """Add what was handled, and may be wrong."""
        self.add(kind, "warning", items, what_was_done)

    def note(self, kind: str, items: Iterable[object], what_was_done: str) -> None:
        """Add what was handled as usual."""
        self.add(kind, "note", items, what_was_done)

    def refuse(self, error: RefusedError) -> None:
        """Add what an error says."""
        self.error(error.kind, error.items, str(error))

    def add_matches(self, matches: Matches, what: str, advice: str) -> None:
        """Say how clips were matched with media or features; `advice` is for where several fit."""
        for spelling, found in matches.differing.items():
            pairs = [f"{theirs} -> {ours}" for ours, theirs in found.items()]
            self.warn(f"ids that differ by {spelling}", pairs, "taken as the same clip")
        unclear = [f"{' or '.join(fit)} for {ours}" for ours, fit in matches.ambiguous.items()]
        self.error("several that fit one clip, or several clips", unclear, advice)
        done = "kept: predicted from what else there is, or as the training mean"
        self.warn(f"labels without {what}", matches.missing, done)
        self.warn(f"{what} without labels", matches.unknown, "left alone; they are no clips")

    @property
    def have_errors(self) -> bool:
        """Whether something keeps the import from being written."""
        return any(finding.severity == "error" for finding in self.all)

    def content(self) -> list[dict[str, object]]:
        """Return them for `json.dumps`, each with the number of its items."""
        return [{**vars(finding), "count": len(finding.items)} for finding in self.all]
