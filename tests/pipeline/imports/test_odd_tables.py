"""Of 200 odd tables beside odd media, every labelled clip and target is kept, or named."""

import os
import random
import unicodedata
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from features.media.endings import MEDIA_SUFFIXES
from pipeline.imports.importing import add_labels, import_data
from pipeline.imports.layouts import read_table
from tests.pipeline.imports.conftest import POINTER

BLANK = ["#N/A", "#DIV/0!", "<NA>", "n.a.", "--", ".", "?", "null", "missing", "-nan(ind)"]
ODD = [*BLANK, "1.#IND", "O.4", "1/5", "ja", "99", "-9", "-1"]
KINDS = ["pipe", "link", "loop", "pointer"]


def write_media(media: Path, names: list[str], rng: random.Random) -> dict[int, str]:
    """Write a file for each clip; of a few it is none. Returns what is odd of whom."""
    odd = {}
    (media / "below").mkdir()
    (media.parent / "elsewhere").mkdir()
    (media / "linked").symlink_to(media.parent / "elsewhere")
    for place, name in enumerate(names):
        form = unicodedata.normalize(rng.choice(["NFC", "NFD"]), name)
        folder = media / rng.choice([".", "below", "linked"])
        path = folder / f"{form}{rng.choice(sorted(MEDIA_SUFFIXES))}"
        what = rng.choice(["gone", "folder", *KINDS]) if rng.random() < 0.05 else ""
        if what == "pipe":
            os.mkfifo(path)
        elif what == "folder":
            path.mkdir()
        elif what in ("link", "loop"):
            path.symlink_to("nowhere.mp4" if what == "link" else path.name)
        elif what != "gone":
            path.write_text(POINTER if what == "pointer" else "")
        odd |= {place: what} if what else {}
    (media / ".hidden.mp4").touch()
    (media / "notes.docx").touch()
    (media / "round").symlink_to(media)
    return odd


@pytest.mark.parametrize("seed", range(200))
def test_nothing_is_lost_without_a_word(run, tmp_path, seed):
    rng = random.Random(seed)
    n, with_names = rng.randint(5, 25), seed % 3 == 0
    ids = [f"Zo\u00eb {k}" if with_names else f"{k:05d}" for k in range(n)]
    media = tmp_path / "media"
    media.mkdir()
    odd_media = write_media(media, ids, rng)
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
    title = f"Ratings{separator * 3}\n{separator * 3}\n"
    text = rng.choice(["", "# a comment\n", f"sep={separator}\n", title])
    text += "\n".join(separator.join(row) for row in rows)
    text += f"\n{separator * 3}" * rng.randint(0, 50)
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode(rng.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"])))
    read = partial(read_table, path, media, {}, [])
    summary, findings = import_data("t", partial(add_labels, read, probe=False))
    found = {each.kind: each for each in findings.all}
    pointers = [spelt[k] for k, what in odd_media.items() if what == "pointer"]
    gone = [spelt[k] for k, what in odd_media.items() if what != "pointer"]
    if gone:
        assert sorted(found["labels without media"].items) == sorted(gone)
    broken = [what for what in odd_media.values() if what in ("pipe", "link", "loop")]
    if findings.have_errors:  # too many odd cells for so few clips, or such media: refused by name
        errors = {kind: each.items for kind, each in found.items() if each.severity == "error"}
        assert sorted(errors.pop("media that are Git LFS pointers", [])) == sorted(pointers)
        assert len(errors.pop("media that cannot be read", [])) == len(broken)
        assert [*map(len, errors.values())] == [2] * len(errors)
        assert errors.keys() <= {"joy that is no number"}
        assert pointers or broken or errors
        return
    assert not pointers + broken
    said = [item for each in findings.all for item in each.items if each.kind.startswith("joy")]
    said += found["clips with some labels blank"].items if odd else []
    table = pd.read_csv("data/imports/t/labels.csv", dtype={"clip_id": str})
    assert (table["clip_id"].tolist(), summary["targets"]) == (spelt, ["joy", "awe"])
    for k, row in enumerate(table.itertuples()):
        assert (media / row.path).is_file() == (k not in odd_media)
        if k in odd:
            assert pd.isna(row.joy)
            assert any(item.startswith(f"{row.clip_id}:") for item in said)
        else:
            assert row.joy == pytest.approx(values[k])
