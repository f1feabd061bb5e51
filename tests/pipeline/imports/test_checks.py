from pathlib import Path

import pandas as pd
import pytest

from pipeline.imports.checks import check_labels
from pipeline.imports.collection import Collection, collect
from pipeline.imports.columns import LabelColumns
from pipeline.imports.findings import Findings

SPLITS = ["Train", "Train", "Val", "Val", "Test"]


def found(joy: list[str | None]) -> dict[str, str]:
    """Check five clips with these labels; return the severity of each finding about labels."""
    table = pd.DataFrame(
        {"clip_id": list("abcde"), "path": list("abcde"), "split": SPLITS, "joy": joy},
        dtype="string",
    )
    table["group"] = table["clip_id"]
    findings = Findings()
    check_labels(Collection(table, ("joy",), Path()), findings)
    return {each.kind: each.severity for each in findings.all if "label" in each.kind}


@pytest.mark.parametrize(
    ("joy", "expected"),
    [
        (["0", "1", "0.5", "1", "0"], {}),
        (["0", "1", "0.5", "1", None], {"Test clips without labels": "note"}),
        (["0", "1", None, None, "1"], {"Val clips without labels": "warning"}),
        (
            [None, None, "0", "1", "1"],
            {"Train clips without labels": "warning", "targets without a label in Train": "error"},
        ),
    ],
)
def test_what_lacks_labels_is_found_by_split(joy, expected):
    assert found(joy) == expected


def test_what_cannot_be_told_apart_keeps_everything_from_being_written():
    files = ["x/b.mp4", "y/b.mp4", "c.mp4"]
    findings = Findings()
    table = pd.DataFrame({"id": ["a", "b"]})
    collect(table, LabelColumns(id="id"), Path(), files, findings)
    assert {each.kind: (each.severity, each.examples) for each in findings.all} == {
        "several that fit one clip, or several clips": ("error", ("x/b.mp4 or y/b.mp4 for b",)),
        "labels without media": ("warning", ("a",)),
        "media without labels": ("warning", ("c.mp4",)),
    }
