"""Stage `folds`: which Train clip is in which fold, for all later stages."""

from pipeline.clip_table import make_folds, read_clips_of_people
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import FACES, FOLDS, FOLDS_REPORT
from pipeline.people import Record, find_leaks, write_record
from pipeline.views import join_tables


def main() -> None:
    """Write ``data/folds.parquet`` (``clip_id, fold``), and faces that leak in ``folds.json``."""
    params = load_params()
    folds = make_folds(read_clips_of_people(params), params)
    folds.to_parquet(FOLDS, index=False)
    sizes = folds["fold"].value_counts().sort_index()
    print(f"{len(folds)} Train clips in folds of {', '.join(map(str, sizes))}")
    leaks: Record = {}
    warnings: list[str] = []
    if params.people.encoder is not None:
        faces = join_tables([FACES], list(folds["clip_id"]))
        leaks, warnings = find_leaks(folds["clip_id"], faces, folds["fold"], "folds", params)
    write_record(FOLDS_REPORT, {"near_identical": leaks, "warnings": warnings})


if __name__ == "__main__":
    run_or_exit(main)
