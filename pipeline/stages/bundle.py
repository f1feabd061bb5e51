"""Stage `bundle`: what prediction on new clips needs, in one folder."""

from pipeline.bundling import make_bundle
from pipeline.clip_table import read_rows
from pipeline.errors import run_or_exit
from pipeline.params import load_params
from pipeline.paths import BUNDLE


def main() -> None:
    """Write ``results/bundle``."""
    params = load_params()
    description = make_bundle(params, read_rows(params), BUNDLE)
    training = description.training
    difference = training.largest_difference
    compared = "" if difference is None else f", at most {difference:.1e} from predictions.csv"
    print(f"{BUNDLE}: {len(description.members)} heads, {training.n_clips} clips{compared}")


if __name__ == "__main__":
    run_or_exit(main)
