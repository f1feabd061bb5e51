"""Of 200 odd tables, every labelled clip and target is kept with its value, or named."""

import random
import unicodedata
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from pipeline.imports.importing import import_data
from pipeline.imports.layouts import read_table

BLANK = [
    "#N/A",
    "#DIV/0!",
    "<NA>",
    "n.a.",
    "--",
    ".",
    "?",
    "null",
    "missing",
    "-nan(ind)",
    "1.#IND",
]
ODD = [*BLANK, "O.4", "1/5", "ja", "99", "-9"]


@pytest.mark.parametrize("seed", range(200))
def test_nothing_is_lost_without_a_word(run, tmp_path, seed):
    rng = random.Random(seed)
    n, with_names = rng.randint(5, 25), seed % 3 == 0
    ids = [f"Zo\u00eb {k}" if with_names else f"{k:05d}" for k in range(n)]
    media = tmp_path / "media"
    media.mkdir()
    for each in ids:
        name = unicodedata.normalize(rng.choice(["NFC", "NFD"]), each)
        (media / f"{name}{rng.choice(['.mp4', '.flv', '.wav'])}").touch()
    spelt = [
        rng.choice([x, f"[{x}]", f"{x}.mp4", *([] if with_names else [f"{int(x)}.0", str(int(x))])])
        for x in ids
    ]
    values = [round(rng.random(), 3) for _ in ids]
    commas = rng.random() < 0.4
    cells = [str(value).replace(".", "," if commas else ".") for value in values]
    odd = {place: rng.choice(ODD) for place in rng.sample(range(n), rng.randint(0, 2))}
    for place, cell in odd.items():
        cells[place] = cell
    separator = ";" if commas else rng.choice(",;\t")
    rows = [["clip", "split", "joy", "awe"]] + [
        [spelt[k], "train" if k < n - 2 else "dev", cells[k], str(k % 2)] for k in range(n)
    ]
    text = rng.choice(["", "# a comment\n", f"sep={separator}\n"])
    text += "\n".join(separator.join(row) for row in rows) + f"\n{separator * 3}" * rng.randint(
        0, 50
    )
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])))
    read = partial(read_table, path, media, {}, [])
    done = import_data(Path("params.yaml"), "t", read, probe=False)
    if done.findings.have_errors:  # too many odd cells for so few clips: refused by name
        errors = {each.kind: each for each in done.findings.all if each.severity == "error"}
        assert list(errors) == ["joy that is no number"]
        assert len(errors["joy that is no number"].items) == 2
        return
    said = [
        item
        for each in done.findings.all
        if "joy" in f"{each.kind}{each.items}"
        for item in each.items
    ]
    table = pd.read_csv("data/imports/t/labels.csv", dtype={"clip_id": str})
    assert (table["clip_id"].tolist(), done.summary["targets"]) == (spelt, ["joy", "awe"])
    for k, row in enumerate(table.itertuples()):
        assert (media / row.path).is_file()
        if k in odd:
            assert pd.isna(row.joy)
            assert any(item.startswith(f"{row.clip_id}:") for item in said)
        else:
            assert row.joy == pytest.approx(values[k])
