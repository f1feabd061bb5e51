"""Stage `folds`: which Train clip is in which fold, for all later stages."""

from pipeline.clip_table import make_folds, read_clip_table
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import FOLDS


def main() -> None:
    """Write ``data/folds.parquet``: ``clip_id, fold``."""
    folds = make_folds(read_clip_table(), load_params())
    folds.to_parquet(FOLDS, index=False)
    sizes = folds["fold"].value_counts().sort_index()
    print(f"{len(folds)} Train clips in folds of {', '.join(map(str, sizes))}")


if __name__ == "__main__":
    run_or_exit(main)
