"""Stage `extract`: from the clip table to one feature store per encoder."""

from features.extraction import extract
from pipeline.clip_table import read_clip_table
from pipeline.errors import run_or_exit
from pipeline.failures import report_extraction
from pipeline.params import load_params
from pipeline.paths import FEATURES


def main() -> None:
    """Write ``data/features``; stop when an encoder failed on too many clips."""
    params = load_params()
    clips = read_clip_table()
    encoders = params.encoders
    FEATURES.mkdir(parents=True, exist_ok=True)  # there may be imported features only
    report = extract(clips, encoders, params.sampling, FEATURES)
    report_extraction(report, len(clips), params.data.max_failed_share)


if __name__ == "__main__":
    run_or_exit(main)
