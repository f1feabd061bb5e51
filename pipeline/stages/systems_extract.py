"""Stage `systems_extract`: feature stores of the encoders that only `systems.yaml` has."""

from features.extraction import extract
from pipeline.clip_table import read_clip_table
from pipeline.errors import run_or_exit
from pipeline.failures import report_extraction
from pipeline.params import load_params
from pipeline.paths import SYSTEM_FEATURES
from pipeline.systems.settings import load_systems


def main() -> None:
    """Write ``data/systems``; stop when an encoder failed on too many clips."""
    systems = load_systems(load_params(check_heads=False))
    clips = read_clip_table()
    made = systems.params.make_encoders()
    encoders = {name: made[name] for name in systems.encoders}
    SYSTEM_FEATURES.mkdir(parents=True, exist_ok=True)
    report = extract(clips, encoders, systems.params.sampling, SYSTEM_FEATURES)
    report_extraction(report, len(clips), systems.params.data.max_failed_share)


if __name__ == "__main__":
    run_or_exit(main)
