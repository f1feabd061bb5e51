"""The evidence page: what encoders and heads reach on open ratings, beside a control and peers.

From the root of the repository: ``python -m benchmarks.evidence [--fast] [--voice CREMA-D]
[--faces FOLDER]``, with a clone of CREMA-D, and a folder of FER+ (``images/``, ``labels.csv``).

Each is imported and embedded like anyone's data, in a folder of its own below ``--work``, and
compared as by `eri compare`. The tables go into the page one by one, between the lines that name
them. What was embedded and fitted before is not computed again, so a run that was ended goes on.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
import yaml
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import t as student
from scipy.stats import zscore
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from benchmarks.common import ROOT, describe, timed
from benchmarks.real_heads import SEVERAL, plain_peers, plain_predict
from models.evaluation.scores import Difference, Score, difference
from pipeline import stages
from pipeline.breakdowns import contribution_table, learning_curve_table
from pipeline.clip_table import Rows
from pipeline.compare import heading
from pipeline.comparison import Comparison, plan_comparison, run_comparison
from pipeline.fit import FitTask, Fitting, stack_members
from pipeline.leaderboard import STACK, leaderboard, score, score_table
from pipeline.params import load_params
from pipeline.paths import CLIPS, PARAMS
from pipeline.result_cache import digest_of, keep_result, load_result
from pipeline.tables import laid_out, markdown_page
from pipeline.terminal import TitledTable

ENCODERS = {"voice": ("egemaps", "whisper_tiny_en"), "faces": ("efficientnet_lite0",)}
IMPORTS = {
    "voice": "import cremad {data} --no-probe --ratings voice --split-by-person 0.7,0.3,0",
    "faces": "import table {data}/labels.csv --no-probe --media {data} --split-by-person "
    "0.75,0.25,0 --targets happiness,surprise,sadness,anger,disgust,fear,contempt",
    "gradients": "import features gradients.parquet --name gradients",
}
AVERAGED = ("ridge", "svr", "lightgbm")
"""Plain peers whose z-scores are averaged."""

N_DRAWS = 10
"""Of labels of other clips, for the control."""

PARTS = ["part", "r", "r_ci95_low", "r_ci95_high", "gain", "ci95_low", "ci95_high"]


def main(
    voice: Annotated[Path | None, typer.Option(help="A clone of CREMA-D.", exists=True)] = None,
    faces: Annotated[Path | None, typer.Option(help="A folder of FER+.", exists=True)] = None,
    page: Annotated[Path, typer.Option(help="The page to write into.")] = ROOT / "docs/evidence.md",
    work: Annotated[Path, typer.Option(help="Where the runs lie.")] = Path("evidence-run"),
    clips: Annotated[int, typer.Option(help="Of each table, at most; people are kept whole.")] = (
        5_000
    ),
    fast: Annotated[bool, typer.Option(help="1,000 clips of each.")] = False,
) -> None:
    """Write the tables of the evidence page."""
    cache, page = os.environ.get("ERI_CACHE", ""), page.resolve()
    os.environ["ERI_CACHE"] = str(Path(cache or work / "cache").resolve())
    for name, data in {"voice": voice, "faces": faces}.items():
        if data is not None:
            tables: list[TitledTable] = []
            folder = work.resolve() / name
            folder.mkdir(parents=True, exist_ok=True)
            with contextlib.chdir(folder):
                prepare(name, data.resolve(), 1_000 if fast else clips)
                for each in evidence():
                    tables.append(each)
                    write_tables(page, name, tables)


def write_tables(page: Path, name: str, tables: list[TitledTable]) -> None:
    """Put tables into the page, between the lines that name them."""
    begin, end = (f"<!-- {word} {name} -->" for word in ("begin", "end"))
    text = f"{begin}\n\n{markdown_page(tables, [f'{describe()}.'])}\n{end}"
    old = page.read_text(encoding="utf-8")
    new = re.sub(f"{begin}.*?{end}", lambda _: text, old, flags=re.DOTALL)
    page.write_text(new, encoding="utf-8")


def evidence() -> Iterator[TitledTable]:
    """Compare in the working folder; the tables with their titles, one by one as they are made."""
    found = run_comparison(plan_comparison(split="val"), tell=print)
    yield heading(found), board(found)
    yield "What each encoder adds", encoders(found)
    yield "What each head adds", heads(found)
    yield curve(found)
    control, n_zero, n_rows = shuffled(found)
    yield f"Labels shuffled: {n_zero} of {n_rows} intervals hold zero", control
    yield "Plain peers on all encoders joined", peers(found)


def prepare(name: str, data: Path, n_clips: int) -> None:
    """Do what `eri import` and the stages before `fit` do, with few clips of whole people."""
    from pipeline.cli import app

    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings["encoders"] = {each: settings["encoders"][each] for each in ENCODERS[name]}
    settings["pooling"] = {"statistics": ["mean"], "parts": ["whole"]}
    PARAMS.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    app(IMPORTS[name].format(data=data).split(), standalone_mode=False)
    labels = load_params().data.labels
    table = pd.read_csv(labels, dtype={"clip_id": str, "group": str})
    table[drawn(table["group"].to_numpy(object), n_clips)].to_csv(labels, index=False)
    stages.index()
    if name == "faces":
        write_gradients(data, Path("gradients.parquet"))
        app(IMPORTS["gradients"].split(), standalone_mode=False)
    for stage in (stages.extract, stages.pool, stages.folds):
        stage()


def drawn(people: NDArray[np.object_], n_clips: int) -> NDArray[np.bool_]:
    """Mark the clips of people drawn at random, about `n_clips` of them."""
    names, of_clip, sizes = np.unique(people, return_inverse=True, return_counts=True)
    order = np.random.default_rng(1).permutation(len(names))  # 0 drew their splits
    kept = order[np.cumsum(sizes[order]) <= max(n_clips, sizes[order[0]])]
    return np.isin(of_clip, kept)


def write_gradients(data: Path, path: Path) -> None:
    """Write histograms of gradients of the pictures of the clip table, in 1,764 columns.

    There are 8 x 8 cells of 6 pixels, 9 directions, and blocks of 2 x 2 cells of equal length.
    """
    clips = pd.read_parquet(CLIPS)
    faces = np.stack([np.asarray(Image.open(data / each).convert("L")) for each in clips["path"]])
    down, right = np.gradient(faces.astype(np.float32), axis=(1, 2))
    direction = (np.arctan2(down, right) % np.pi / np.pi * 9).astype(int) % 9
    parts = [np.hypot(down, right) * (direction == each) for each in range(9)]
    cells = np.stack([part.reshape(-1, 8, 6, 8, 6).sum((2, 4)) for part in parts], axis=-1)
    corners = [cells[:, i : i + 7, j : j + 7] for i in (0, 1) for j in (0, 1)]
    blocks = np.concatenate(corners, axis=-1)
    blocks /= np.linalg.norm(blocks, axis=-1, keepdims=True) + 10
    table = pd.DataFrame(blocks.reshape(len(faces), -1)).add_prefix("hog")
    table.insert(0, "clip_id", clips["clip_id"])
    table.to_parquet(path)


def board(found: Comparison) -> pd.DataFrame:
    """Lay out the leaderboard on Val and out of fold, with seconds."""
    by_split = {split: scored(found, split) for split in ("val", "oof")}
    table = leaderboard(by_split)
    table["fit_s"] = [found.fits[name].fit_s for name in table["name"]]
    names = {"name": "head/view", "val_mean_pearson": "Val r", "val_ci95_low": "95 % CI"}
    names |= {"oof_mean_pearson": "out of fold r", "oof_ci95_low": "95 % CI", "fit_s": "fit s"}
    return laid_out(table, names)


def scored(found: Comparison, split: str) -> pd.DataFrame:
    """Score all rows of a comparison on a split."""
    predictions = {name: fit.predictions for name, fit in found.fits.items()}
    scores = score(predictions, found.rows, found.params, split)
    return score_table(scores, found.params.targets, split)


def encoders(found: Comparison) -> pd.DataFrame:
    """Say what each encoder adds to a stack of heads on single encoders, on Val."""
    members = {name: found.fits[name].predictions for name in found.members}
    table = contribution_table(members, found.rows, found.params, "val")
    table = table[table["kind"] == "encoder"].reset_index(drop=True)
    names = {"part": "encoder", "alone": "stack of it r", "alone_ci95_low": "95 % CI"}
    return laid_out(table, names | {"gain": "adds to the others", "ci95_low": "95 % CI"})


def heads(found: Comparison) -> pd.DataFrame:
    """Say what each head adds to the stack of all, on Val."""
    lines, rows = [], found.rows
    for head in found.params.heads:
        own = [name for name in found.members if name.startswith(f"{head}/")]
        rest = [name for name in found.members if name not in own]
        stacks = {
            part: stack_members([found.fits[name].predictions for name in names], rows)[1]
            for part, names in {"alone": own, "rest": rest}.items()
        }
        scores = score(stacks, rows, found.params, "val")
        gain = difference(found.scores[STACK], scores["rest"])
        lines.append(line(head, scores["alone"], gain))
    names = {"part": "head", "r": "stack of it r", "r_ci95_low": "95 % CI"}
    names |= {"gain": "adds to the others", "ci95_low": "95 % CI"}
    return laid_out(pd.DataFrame(lines, columns=PARTS), names)


def peers(found: Comparison) -> pd.DataFrame:
    """Fit plain peers on all encoders joined, and say by how much the stack is ahead, on Val."""
    fitting, joined, n = Fitting(found.rows), found.tasks[-1], found.rows.n_train
    val = (found.rows.clips["split"] == "Val").to_numpy(bool)
    # The same as SVR() on standardised columns, and quicker; fewer bins, for the time.
    kinds = plain_peers() | {"svr": SVR(kernel=rbf_kernel)}
    kinds["lightgbm"].set_params(max_bin=63)
    predictions, took_s, targets = {}, {}, [*range(found.rows.y.shape[1])]
    for name, peer in kinds.items():
        takes_all = type(peer).__name__ in SEVERAL
        several = [targets] if takes_all else [[each] for each in targets]
        parts = [peer_part(fitting, joined, (name, peer), columns) for columns in several]
        held = np.concatenate([part["held"] for part in parts], axis=1)
        predictions[f"plain {name}"] = np.concatenate([found.rows.y[:n], held])
        took_s[f"plain {name}"] = float(sum(part["took_s"] for part in parts))
    z_scores = [zscore(predictions[f"plain {name}"][val]) for name in AVERAGED]
    average = np.zeros_like(found.rows.y)
    average[val] = np.mean(z_scores, axis=0)
    predictions["plain average"] = average
    scores = score(predictions, found.rows, found.params, "val")
    ahead = {name: difference(found.scores[STACK], own) for name, own in scores.items()}
    table = pd.DataFrame([line(name, scores[name], ahead[name]) for name in scores], columns=PARTS)
    table["fit_s"] = [
        took_s.get(name, sum(took_s[f"plain {each}"] for each in AVERAGED)) for name in scores
    ]
    names = {"part": "peer", "r": "r", "r_ci95_low": "95 % CI", "gain": "the stack is ahead by"}
    return laid_out(table, names | {"ci95_low": "95 % CI", "fit_s": "fit s"})


def peer_part(
    fitting: Fitting, task: FitTask, peer: tuple[str, Any], columns: list[int]
) -> dict[str, NDArray[Any]]:
    """Fit a peer on some targets, unless it was before: what it says of Val, and its seconds."""
    key = digest_of(peer=peer[0], of=fitting.key(task), columns=columns)
    kept = load_result(key)
    if kept is None:
        view = fitting.view(task)
        scaler, y = StandardScaler().fit(view.inputs), view.targets[:, columns]
        x, new = scaler.transform(view.inputs), scaler.transform(view.held_inputs)
        seconds, held = timed(lambda: plain_predict(peer[1], x, y, new))
        kept = {"held": held, "took_s": np.array(seconds)}
        keep_result(key, kept)
    return kept


def curve(found: Comparison) -> tuple[str, pd.DataFrame]:
    """Fit the best head on fewer people."""
    best = next(name for name in found.table()["name"] if name in found.members)
    table = learning_curve_table(Fitting(found.rows), found.members[best], found.params)
    columns = ["n_people", "n_rows", "n_fits", "mean_pearson", "ci95_low", "ci95_high"]
    return f"Learning curve of {best}, on Val", laid_out(table[columns])


def shuffled(found: Comparison) -> tuple[pd.DataFrame, int, int]:
    """Fit all heads on labels of other clips, `N_DRAWS` times; count the intervals that hold zero.

    A row has the mean of its draws, and Student's interval of that mean: intervals over people, as
    on the leaderboard, are of models that are fitted already, and miss what a draw did to them. All
    intervals of the table hold their means at once with 95 % (Bonferroni).
    """
    draws = [scores_of_draw(found, seed) for seed in range(N_DRAWS)]
    by_row = pd.concat(draws).groupby(level=0)
    mean = by_row.mean()
    half = by_row.sem() * student.ppf(1 - 0.025 / mean.size, N_DRAWS - 1)
    columns = {"name": mean.index}
    for split in mean:
        columns[split] = mean[split]
        columns[f"{split}_ci95_low"] = mean[split] - half[split]
        columns[f"{split}_ci95_high"] = mean[split] + half[split]
    names = {"name": "head/view", "val": "Val r", "val_ci95_low": "95 % CI"}
    names |= {"oof": "out of fold r", "oof_ci95_low": "95 % CI"}
    table = pd.DataFrame(columns).sort_values("val", ascending=False)
    return laid_out(table, names), int((mean.abs() <= half).sum().sum()), mean.size


def scores_of_draw(found: Comparison, seed: int) -> pd.DataFrame:
    """Fit all heads on clips that have the labels of others; mean Pearson by row and split.

    A fifth of the clips, which are others in each draw, but of all people.
    """
    rows, rng = found.rows, np.random.default_rng(seed)
    kept = rng.random(len(rows.clips)) < 1 / 5
    n, y = int(kept[: rows.n_train].sum()), rows.y[kept]
    again = plan_comparison(split="val")
    again.rows = Rows(
        rows.clips[kept].reset_index(drop=True),
        n,
        np.concatenate([rng.permutation(y[:n]), rng.permutation(y[n:])]),
        rows.people[kept],
        rows.fold_of_row[kept[: rows.n_train]],
    )
    run_comparison(again, tell=print)
    tables = {split: scored(again, split).set_index("name") for split in ("val", "oof")}
    return pd.DataFrame({split: table["mean_pearson"] for split, table in tables.items()})


def line(part: str, own: Score, gain: Difference) -> tuple[object, ...]:
    """Return a row of `PARTS`."""
    ends = own.interval, gain.interval
    return part, own.mean_pearson, ends[0].low, ends[0].high, gain.gain, ends[1].low, ends[1].high


if __name__ == "__main__":
    typer.run(main)
