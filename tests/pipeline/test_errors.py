import pandas as pd
import pytest

from pipeline.errors import FailedClipsError, check_share, summary


def failures(**steps: int) -> pd.DataFrame:
    rows = [(f"{step}{k}", step, "why") for step, n in steps.items() for k in range(n)]
    return pd.DataFrame(rows, columns=["clip_id", "step", "reason"])


def test_the_summary_counts_by_step():
    text = summary("clip", 10, failures(stream=2, decode=1))
    assert text == "clip: 7 of 10 clips (1 not decodable, 2 without such a stream)"
    assert summary("clip", 10, failures()) == "clip: 10 of 10 clips"


@pytest.mark.parametrize("step", ["read", "probe", "stream", "decode", "face", "encode", "weights"])
def test_every_step_has_a_meaning(step):
    assert summary("clip", 2, failures(**{step: 1})).startswith("clip: 1 of 2 clips (1 ")


def test_a_missing_stream_is_no_fault():
    check_share("sound", 10, failures(stream=10), 0.0)


def test_as_many_as_allowed_pass_and_one_more_stops_the_run():
    check_share("clip", 100, failures(decode=5), 0.05)
    with pytest.raises(FailedClipsError, match=r"6 of 100 clips failed.*\n  decode0: decode: why"):
        check_share("clip", 100, failures(decode=6), 0.05)
