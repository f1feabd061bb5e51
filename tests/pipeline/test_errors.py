import pandas as pd
import pytest

from pipeline.errors import FailedClipsError, check_share, summary


def failures(**steps: int) -> pd.DataFrame:
    rows = [(f"{step}{k}", step, "why") for step, n in steps.items() for k in range(n)]
    return pd.DataFrame(rows, columns=["clip_id", "step", "reason"])


def test_the_summary_counts_by_step():
    text = summary("clip", 10, failures(stream=2, decode=1))
    assert text == "clip: 7 of 10 clips (1 not decodable, 2 without sound, video or words)"
    assert summary("clip", 10, failures()) == "clip: 10 of 10 clips"


def test_as_many_as_allowed_pass_and_one_more_stops_the_run_but_no_missing_stream():
    check_share("clip", 100, failures(decode=5, stream=50), 0.05)
    with pytest.raises(FailedClipsError, match=r"6 of 100 clips failed.*\n  decode0: decode: why"):
        check_share("clip", 100, failures(decode=6), 0.05)
