"""Stage `index`: from the label table and the media folder to the clip table."""

from pipeline.clip_table import build_clip_table, people_across_splits
from pipeline.errors import run_or_exit
from pipeline.failures import check_share, summary
from pipeline.params import load_params
from pipeline.paths import CLIPS


def main() -> None:
    """Write ``data/clips.parquet``; stop when too many files cannot be used."""
    params = load_params()
    clips = build_clip_table(params)
    failed = clips.loc[clips["error_step"].notna(), ["clip_id", "error_step", "error_reason"]]
    failed = failed.rename(columns={"error_step": "step", "error_reason": "reason"})
    print(f"{len(clips)} clips: {dict(clips['split'].value_counts(sort=False))}")
    print(summary("files", len(clips), failed))
    check_share("files", len(clips), failed, params.data.max_failed_share)
    shared = people_across_splits(clips)
    if shared:
        print(f"warning: {len(shared)} groups have clips in several splits: {shared[:3]} …")
    CLIPS.parent.mkdir(parents=True, exist_ok=True)
    clips.to_parquet(CLIPS, index=False)


if __name__ == "__main__":
    run_or_exit(main)
