from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from pipeline.imports.importing import import_data
from pipeline.imports.transcripts import add_transcripts

VTT = """WEBVTT

NOTE it was made by hand

1
00:01.000 --> 00:02.500 align:start
<v Ann>Tom &amp; I</v>
are glad.

02:00.250 --> 02:01.000
{\\an8}Oh.
"""
SRT = "\ufeff1\r\n00:00:00,500 --> 00:00:01,000\r\nWas f\u00fcr\r\nein Tag\r\n"


@pytest.fixture
def imported(folder):
    """Import into the working folder; return table, findings and summary."""

    def run(path):
        summary, findings = import_data("transcripts", partial(add_transcripts, path))
        place = Path("data/imports/transcripts.parquet")
        table = pd.read_parquet(place) if place.is_file() else None
        return table, findings, summary

    return run


def test_subtitles_are_cues_with_times_and_without_markup(imported, tmp_path):
    folder = tmp_path / "subtitles"
    folder.mkdir()
    (folder / "0.vtt").write_text(VTT)
    (folder / "[001].srt").write_bytes(SRT.encode())
    (folder / "2.srt").write_text("")
    (folder / "003.txt").write_bytes("caf\xe9\n".encode("cp1252"))
    (folder / "notes.pdf").write_text("")
    table, findings, summary = imported(folder)
    rows = table[["clip_id", "start_s", "end_s", "text"]].fillna(-1).to_numpy().tolist()
    assert rows == [
        ["[00000]", 1.0, 2.5, "Tom & I are glad."],
        ["[00000]", 120.25, 121.0, "Oh."],
        ["[00001]", 0.5, 1.0, "Was f\u00fcr ein Tag"],
        ["[00002]", 0.0, 0.0, ""],
        ["[00003]", -1, -1, "caf\xe9"],
    ]
    assert summary["n_clips_with_words"] == 3
    kinds = {each.kind for each in findings.all}
    assert {"ids that differ by zero padding"} <= kinds
    assert "labels without transcripts" in kinds


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_is_read_by_the_names_of_its_columns(imported, tmp_path, ending):
    given = pd.DataFrame({"File": ["1", "1", "2"], "Sentence": ["so", "well", None]})
    given["Start ms"], given["end_ms"], given["lang"] = [1500, 0, 0], [2000, 900, 10], ["de"] * 3
    path = tmp_path / f"said.{ending}"
    if ending == "csv":
        given.to_csv(path, index=False)
    else:
        given.to_parquet(path)
    table = imported(path)[0]
    assert table["text"].tolist() == ["well", "so", ""]
    assert table["start_s"].tolist() == [0, 1.5, 0]
    assert table["end_s"].tolist() == [0.9, 2, 0.01]
    assert table["language"].tolist() == ["de"] * 3
    again = imported(path)
    assert again[2]["written"] == []
    assert not again[1].have_errors


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,words\nother,hello\n", "ids of other clips"),
        ("id,number\n1,2\n", "missing columns"),
        ("name\n1\n", "files that cannot be read"),
        ("id,text,start,end\n1,oh,3,2\n", "rows that end before they begin"),
    ],
)
def test_what_cannot_be_used_is_an_error_and_nothing_is_written(imported, tmp_path, text, said):
    path = tmp_path / "said.csv"
    path.write_text(text)
    table, findings, summary = imported(path)
    assert table is None
    assert said in {each.kind for each in findings.all if each.severity == "error"}
    assert summary["written"] == []
