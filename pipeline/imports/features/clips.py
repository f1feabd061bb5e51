"""Which clips features are of: by the label table, and beside other imported stores."""

from collections.abc import Sequence

import pyarrow.parquet as pq

from features.store import shards_of
from pipeline.clip_ids import match_ids
from pipeline.imports.findings import Findings
from pipeline.params import Params


def name_clips(
    wanted: Sequence[str], have: Sequence[str], sources: Sequence[str], findings: Findings
) -> dict[str, str]:
    """Return the name in the store of every id in the files.

    Parameters
    ----------
    wanted : sequence of str
        The ids of the label table.
    have : sequence of str
        The ids of the files.
    sources : sequence of str
        Names of the files, for messages.
    findings : Findings
        Takes ids that are spelt otherwise, that cannot be told apart, and those of one side only.
    """
    add = findings.add
    if not have:
        if not findings.have_errors:
            add("features without any value", "error", sources, "no clip has a value")
        return {}
    matches = match_ids(wanted, have)
    pairs = [f"{' or '.join(theirs)} for {' or '.join(ours)}" for theirs, ours in matches.ambiguous]
    done = "they cannot be told apart: rename them as in the label table"
    add(
        "ids that several clips or files share when brackets, case and zeros do not count",
        "error",
        pairs,
        done,
    )
    if not matches.found and not matches.ambiguous:
        done = f"no id of the files is in the label table, which has {list(wanted[:3])}"
        add("ids of other clips", "error", have, done)
        return {}
    spelt = [f"{theirs} -> {ours}" for theirs, ours in matches.found.items() if theirs != ours]
    add("ids spelt otherwise than in the label table", "note", spelt, "taken as the same clip")
    done = "kept: other encoders predict them, or the training mean does"
    add("clips of the label table without features", "warning", matches.missing, done)
    done = "kept in the store under their own names; the stage `pool_store` leaves them out"
    add("features of no clip in the label table", "warning", matches.unknown, done)
    return {each: matches.found.get(each, each) for each in have}


def compare_stores(clips: set[str], name: str, params: Params, findings: Findings) -> None:
    """Say in which clips imported stores differ: joined in one view, they have gaps.

    Parameters
    ----------
    clips : set of str
        Those of the encoder `name`.
    name : str
        It is not compared with itself.
    params : Params
        Names the other imported stores.
    findings : Findings
        What is noticed is added; no clip in common is an error.
    """
    for other, entry in params.stores.items():
        folder = entry.store
        if other == name or not clips or not folder.is_dir():
            continue
        tables = (pq.read_table(shard, columns=["clip_id"]) for shard in shards_of(folder))
        others = {each for table in tables for each in table["clip_id"].unique().to_pylist()}
        if others and not others & clips:
            done = (
                f"the two have no clip in common: where `{other}` is of other clips, take it out "
                "of `stores` in params.yaml"
            )
            findings.add(f"clips that `{other}` has and these lack", "error", sorted(others), done)
            continue
        done = "joined in one view they have gaps there, which heads fill with the training mean"
        lacking = sorted(others - clips)
        findings.add(f"clips that `{other}` has and these lack", "warning", lacking, done)
        more = sorted(clips - others)
        findings.add(f"clips that `{other}` lacks and these have", "warning", more, done)
