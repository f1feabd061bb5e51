"""The stack against the plain average: what it gains, and whether it is ever worse.

From the root of the repository: ``python -m benchmarks.stack_choice [--fast] [--members FOLDER]``

Simulated members with out-of-fold predictions of known make, scored on new people and out of fold.
Clips of one person are alike, and folds go by person. A second table has real (ridge) heads on
noise, where every score above zero is a leak. `--members` scores real tables too: files ``.npz`` of
``members`` [n_rows, n_members, n_targets], ``y``, ``folds``, ``new_members`` and ``new_y`` of other
people.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.common import describe
from models.folds import assign_folds
from models.metrics import mean_pearson
from models.stack import fit_stack, stack_oof
from models.stack import weights as stack_weights
from models.stack.weights import FoldedMembers, spread, standardize

Array = NDArray[np.float64]

REPEATS = {72: 6, 400: 4, 2_400: 2, 12_000: 1}
"""Data sets of each kind and shape, by number of rows."""
SHAPES = ((2, 5), (4, 7), (12, 1), (12, 7), (30, 3))
"""Members and targets."""
FAST_SHAPES = ((12, 7),)
NEW_ROWS = 3_000
WORSE = 0.002


@dataclass(frozen=True)
class Simulation:
    """Members and targets of people in folds, then of new rows."""

    members: Array
    y: Array
    folds: NDArray[np.int64]
    new_members: Array
    new_y: Array


@dataclass(frozen=True)
class Parts:
    """What members and targets are mixed from, each with variance 1 [n_rows, members, targets]."""

    rng: np.random.Generator
    signal: Array
    own: Array
    shared: Array


def main(
    fast: Annotated[bool, typer.Option(help="One shape, fewer rows.")] = False,
    members: Annotated[Path | None, typer.Option(help="Real tables, .npz files.")] = None,
) -> None:
    """Compare the stack with the plain average and with weights that are always fitted."""
    typer.echo(describe())
    for n_rows, repeats in REPEATS.items():
        if not fast or n_rows <= 400:
            compare(
                f"{n_rows} simulated rows",
                {
                    kind: [
                        simulate(kind, n_rows, *shape, seed)
                        for shape in (FAST_SHAPES if fast else SHAPES)
                        for seed in range(repeats)
                    ]
                    for kind in KINDS
                },
            )
    if members is not None:
        tables = {path.stem: [real(path)] for path in sorted(members.glob("*.npz"))}
        compare(f"tables of {members.name}", tables)
    leak(fast)


def compare(title: str, tables: dict[str, list[Simulation]]) -> None:
    """Print gains over the plain average's mean Pearson, by kind of table."""
    typer.echo(
        f"\n{title}; gain over the plain average\n{'':16}{'average':>9}{'oof':>10}"
        f"{'fitted':>10}{'stack':>10}{'worst':>10}"
    )
    gains = []
    for kind, several in tables.items():
        scores = np.array([score(each) for each in several])
        gains += list(scores[:, -1])
        means = "".join(f"{value:+10.4f}" for value in scores[:, 1:].mean(axis=0))
        typer.echo(f"{kind:16}{scores[:, 0].mean():9.3f}{means}{scores[:, -1].min():+10.4f}")
    worse = sum(gain < -WORSE for gain in gains)
    typer.echo(
        f"{len(gains)} tables: stack {np.mean(gains):+.4f} on average, {min(gains):+.4f} at worst, "
        f"{worse} worse by more than {WORSE}"
    )


def score(data: Simulation) -> list[float]:
    """Mean Pearson of the average on new rows; gains of the stack out of fold, then on new rows.

    On new rows also of weights that are always fitted.
    """
    folded = FoldedMembers(data.members, data.y, data.folds)
    variances = [np.square(spread(data.members[rows])) * rows.mean() for rows in folded.folds]
    scale = np.sqrt(np.sum(variances, axis=0))
    z_scores = standardize(data.new_members, data.members.mean(axis=0), scale)
    new = [
        np.einsum("nmt,tm->nt", z_scores, stack_weights.fit_weights(folded.sums(), share))
        for share in (0.0, 1.0)
    ]
    new.append(fit_stack(data.members, data.y, data.folds).predict(data.new_members))
    average, fitted, stack = (mean_pearson(data.new_y, each) for each in new)
    oof = [
        mean_pearson(data.y, each, data.folds)
        for each in (stack_oof(data.members, data.y, data.folds), average_oof(data))
    ]
    return [average, oof[0] - oof[1], fitted - average, stack - average]


def average_oof(data: Simulation) -> Array:
    """Average z-scored members of each fold, by centres and scales of the other folds."""
    combined = np.empty_like(data.y)
    for fold in np.unique(data.folds):
        own = data.folds == fold
        others = data.members[~own]
        z_scores = standardize(data.members[own], others.mean(axis=0), spread(others))
        combined[own] = z_scores.mean(axis=1)
    return combined


def real(path: Path) -> Simulation:
    """Read a table of real predictions; targets with events in fewer than three folds are left."""
    parts = np.load(path)
    y, folds = parts["y"], parts["folds"]
    kept = [len(np.unique(folds[column > column.min()])) > 2 for column in y.T]
    return Simulation(
        members=parts["members"][:, :, kept],
        y=y[:, kept],
        folds=folds,
        new_members=parts["new_members"][:, :, kept],
        new_y=parts["new_y"][:, kept],
    )


def simulate(kind: str, n_rows: int, n_members: int, n_targets: int, seed: int) -> Simulation:
    """Draw members and targets; a third of the noise is the person's."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), n_rows, n_members, n_targets])
    n_people = n_rows // (8 if n_rows > 100 else 4)
    people = rng.permutation(np.arange(n_rows) % n_people)
    person = np.concatenate([people, n_people + np.arange(NEW_ROWS) // 8])

    def noise(*shape: int) -> Array:
        own = rng.standard_normal((len(person), *shape))
        return (
            np.sqrt(0.7) * own + np.sqrt(0.3) * rng.standard_normal((len(person), *shape))[person]
        )

    mixing = rng.standard_normal((3, n_targets))
    common = noise(3) @ (mixing / np.linalg.norm(mixing, axis=0))
    share = 0.5 if n_targets > 1 else 0.0
    signal = np.sqrt(share) * common + np.sqrt(1 - share) * noise(n_targets)
    parts = Parts(rng, signal, noise(n_members, n_targets), noise(1, n_targets))
    signal, members = KINDS[kind](parts)
    y = 0.5 * signal + 0.87 * noise(n_targets)
    if kind == "shuffled":
        y = rng.permutation(y)
    n, folds = n_rows, assign_folds(people, 5, seed)
    if kind == "gaps":
        y[:n][rng.random((n, n_targets)) < 0.6] = np.nan
    return Simulation(members[:n], y[:n], folds, members[n:], y[n:])


def _seen(strength: Callable[[Parts], Array], noise: float, shared: float) -> "Kind":
    """Members see the signal by their strength, with noise of their own and noise they share."""

    def kind(parts: Parts) -> tuple[Array, Array]:
        signal = strength(parts) * parts.signal[:, None]
        return parts.signal, signal + noise * parts.own + shared * parts.shared

    return kind


def _alike(parts: Parts) -> Array:
    return np.ones((parts.own.shape[1], 1))


def _uneven(parts: Parts) -> Array:
    return parts.rng.uniform(0.3, 1, (parts.own.shape[1], 1))


def _patchy(parts: Parts) -> Array:
    return np.asarray(parts.rng.random(parts.own.shape[1:]) < 0.4, np.float64)


def _few_strong(parts: Parts) -> Array:
    strength = np.full((parts.own.shape[1], 1), 0.15)
    strength[: max(1, len(strength) // 6)] = 1
    return strength


def _last(strength: float) -> Callable[[Parts], Array]:
    return lambda parts: np.append(_alike(parts)[1:], [[strength]], axis=0)


def _mixed(parts: Parts) -> tuple[Array, Array]:
    """Every member confuses the targets in its own way."""
    _, n_members, n_targets = parts.own.shape
    confusion = parts.rng.standard_normal((n_members, n_targets, n_targets)) / np.sqrt(n_targets)
    mixing = np.eye(n_targets) + 0.8 * confusion
    return parts.signal, np.einsum("mts,ns->nmt", mixing, parts.signal) + 0.8 * parts.own


def _low_rank(parts: Parts) -> tuple[Array, Array]:
    """Two hidden causes of all targets: every prediction tells of every target."""
    n_targets = parts.own.shape[2]
    causes = parts.rng.standard_normal((len(parts.own), 2))
    signal = causes @ parts.rng.standard_normal((2, n_targets))
    signal /= signal.std(axis=0)
    return signal, signal[:, None] + 2.5 * parts.own + 0.3 * parts.shared


def _twins(parts: Parts) -> tuple[Array, Array]:
    """Half of the members are nearly the same."""
    members = parts.signal[:, None] + parts.own
    half = members.shape[1] // 2
    members[:, half:] = members[:, :1] + 0.05 * parts.own[:, half:]
    return parts.signal, members


Kind = Callable[[Parts], tuple[Array, Array]]
KINDS: dict[str, Kind] = {
    "equal": _seen(_alike, 1.5, 0.7),
    "correlated": _seen(_alike, 0.3, 1.2),
    "few strong": _seen(_few_strong, 1.0, 0.0),
    "uneven": _seen(_uneven, 1.2, 0.5),
    "one useless": _seen(_last(0.0), 1.5, 0.5),
    "one reversed": _seen(_last(-0.5), 1.0, 0.0),
    "per target": _seen(_patchy, 1.0, 0.3),
    "twins": _twins,
    "mixed targets": _mixed,
    "low rank": _low_rank,
    "gaps": _seen(_uneven, 1.2, 0.5),
    "shuffled": _seen(_alike, 1.5, 0.0),
    "noise": _seen(lambda parts: 0 * _alike(parts), 1.0, 0.0),
}
"""Signal and members of each kind."""


def leak(fast: bool) -> None:
    """Print what ridge heads on noise score out of fold: the average, fitted weights, the stack."""
    typer.echo(
        f"\n16 heads, 7 targets, no signal: mean Pearson\n{'rows':10}{'stack out of fold':>20}"
    )
    for n_rows, repeats in ((72, 20), (400, 10), (2_400, 4)):
        if fast and n_rows > 400:
            break
        scores = []
        for seed in range(repeats):
            members, y, folds = heads_on_noise(n_rows, 16, 7, seed)
            scores.append(mean_pearson(y, stack_oof(members, y, folds), folds))
        typer.echo(f"{n_rows:<10}{np.mean(scores):+20.3f}")


def heads_on_noise(
    n_rows: int, n_heads: int, n_targets: int, seed: int
) -> tuple[Array, Array, NDArray[np.int64]]:
    """Fit ridge heads out of fold on parts of 60 columns that say nothing of the targets."""
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n_rows, 60)), rng.standard_normal((n_rows, n_targets))
    folds = assign_folds(np.arange(n_rows), 5, seed)
    members = np.empty((n_rows, n_heads, n_targets))
    for head in range(n_heads):
        columns = rng.choice(60, rng.integers(5, 30), replace=False)
        penalty = rng.uniform(10, 300) * np.eye(len(columns))
        for fold in range(5):
            train, own = folds != fold, folds == fold
            inputs = x[train][:, columns]
            weights = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ y[train])
            members[own, head] = x[own][:, columns] @ weights
    return members, y, folds


if __name__ == "__main__":
    typer.run(main)
