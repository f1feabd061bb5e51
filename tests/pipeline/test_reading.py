import gzip

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.findings import Findings, RefusedError
from pipeline.reading import read_text_table

cells = st.text(st.characters(codec="latin-1", exclude_categories=["C", "Z"]), min_size=1)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(cells, cells, cells), min_size=2, max_size=5),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    separator=st.sampled_from([",", ";", "\t"]),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_any_encoding_and_separator_gives_the_same_table(
    rows, encoding, separator, newline, tmp_path
):
    table = pd.DataFrame(rows, columns=["a", "b", "c"], dtype="string")
    path = tmp_path / "t.csv"
    table.to_csv(
        path, index=False, encoding=encoding, sep=separator, lineterminator=newline, quoting=1
    )
    assert read_text_table(path, Findings()).equals(table)


def test_latin_1_is_said_with_the_words_to_check(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes("id,who\n1,Zoë\n".encode("latin-1"))
    findings = Findings()
    assert read_text_table(path, findings)["who"][0] == "Zoë"
    assert findings.all[0].items == ["t.csv: cp1252"]


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("t.csv", b"a,b\n1,0,5\n", "decimal commas need semicolons"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.csv", b"a,a\n1,2\n", "several columns \\['a'\\]"),
        ("t.csv", b"just text\n", "no columns"),
        ("t.csv", b"", "nothing in it"),
        ("t.csv", b'a,b\n1,"x\n2,y\n', "quotes from line 2 on do not pair up"),
        ("t.csv", b'a,b\n1,"x\n2,y\n3,"z\n4,w\n', "quotes from line 2 on"),
        ("t.csv", b"PK\x03\x04", "an Excel workbook"),
        ("t.csv", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("t.xlsx", b"PK\x03\x04", "an Excel workbook"),
        ("t.sav", b"$FL2", "save as CSV"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n")[:10] + b"\xff" * 20, "cannot be read"),
        ("gone.csv", None, "No such file"),
    ],
)
def test_what_is_no_table_is_refused_and_named(tmp_path, name, content, match):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RefusedError, match=match):
        read_text_table(tmp_path / name, Findings())


@pytest.mark.parametrize(
    ("content", "n_rows"),
    [
        ("sep=;\nid;a\n1;0,5\n2;0,4\n", 2),
        ("# of 2020, by me\nid,a,b\n1,2,3\n", 1),
        ('id,a\nWho?,How much?\n"{""ImportId"":""x""}","{""ImportId"":""y""}"\n1,2\n', 1),
        ("id,a,,\n1,2,,\n,,,\n", 1),
        ("id,a,,\n1,2,,3\n", 1),
        ("Ratings,,\n,,\nid,a,b\n1,2,3\n", 1),
        ("# by\x0bme\nid,a\n1,2\n", 1),
        (",a\nx,2\n", 1),
        ("id,a\r1,2\r", 1),
    ],
)
def test_lines_that_programs_add_are_no_data(tmp_path, content, n_rows):
    (tmp_path / "t.csv").write_text(content)
    table = read_text_table(tmp_path / "t.csv", Findings())
    assert list(table)[:2] == ["id", "a"]
    assert len(table) == n_rows
