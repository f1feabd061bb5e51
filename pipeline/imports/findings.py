"""What an import noticed, as data: shown as text or as JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from pipeline.clip_ids import Matches

Severity = Literal["error", "warning", "note"]

_N_EXAMPLES = 3


class RefusedError(Exception):
    """Data that cannot be imported.

    Parameters
    ----------
    kind : str
        What is wrong, in a few words.
    items : iterable
        Where: files, columns or clips; at least one.
    message : str
        What came, what was expected and what to do.
    """

    def __init__(self, kind: str, items: Iterable[object], message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.items = tuple(str(item) for item in items)


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed.

    Attributes
    ----------
    kind : str
        What, in a few words.
    severity : {"error", "warning", "note"}
        An error keeps everything from being written.
    count : int
        How often.
    examples : tuple of str
        The first few.
    what_was_done : str
        How it was handled, or what to do about it.
    """

    kind: str
    severity: Severity
    count: int
    examples: tuple[str, ...]
    what_was_done: str

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        shown = f"{', '.join(self.examples)}{more}"
        return f"{self.severity:7}  {self.kind}: {self.count} ({shown}): {self.what_was_done}"


@dataclass
class Findings:
    """The findings of one import, in the order in which they were made."""

    all: list[Finding] = field(default_factory=list)
    prefix: str = ""
    """Comes before what is found next: the part that it is of."""

    def add(
        self, kind: str, severity: Severity, items: Iterable[object], what_was_done: str
    ) -> None:
        """Add a finding of these items; none, no finding."""
        texts = [str(item) for item in items]
        if texts:
            what = self.prefix + kind
            examples = tuple(texts[:_N_EXAMPLES])
            self.all.append(Finding(what, severity, len(texts), examples, what_was_done))

    def add_matches(self, matches: Matches, advice: str, missing: str, unknown: str) -> None:
        """Say how clips and what belongs to them were matched.

        Parameters
        ----------
        matches : Matches
            Of the ids of clips.
        advice : str
            What to do where several fit.
        missing, unknown : str
            What clips without a counterpart are called, and what belongs to no clip.
        """
        for what, found in matches.differing.items():
            pairs = [f"{theirs} -> {ours}" for ours, theirs in found.items()]
            self.add(f"ids that differ by {what}", "warning", pairs, "taken as the same clip")
        unclear = [
            f"{' or '.join(theirs)} for {ours}" for ours, theirs in matches.ambiguous.items()
        ]
        self.add("several that fit one clip, or several clips", "error", unclear, advice)
        done = "kept: predicted from what else there is, or as the training mean"
        self.add(missing, "warning", matches.missing, done)
        self.add(unknown, "warning", matches.unknown, "left alone; they are no clips")

    def refuse(self, error: RefusedError) -> None:
        """Add what an error says; errors of one kind become one finding, told by the first."""
        for number, found in enumerate(self.all):
            if (found.kind, found.severity) == (self.prefix + error.kind, "error"):
                examples = (found.examples + error.items)[:_N_EXAMPLES]
                count = found.count + len(error.items)
                self.all[number] = replace(found, count=count, examples=examples)
                return
        self.add(error.kind, "error", error.items, str(error))

    @property
    def have_errors(self) -> bool:
        """Whether something keeps the import from being written."""
        return any(finding.severity == "error" for finding in self.all)

    def as_json(self) -> list[dict[str, Any]]:
        """Return all of them for `json.dumps`."""
        return [asdict(found) for found in self.all]
