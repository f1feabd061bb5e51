import numpy as np
import pandas as pd
import pytest

from pipeline.report.html import render_report
from pipeline.scoring import leaderboard, score_splits
from pipeline.submission import IMPUTED_COLUMNS


@pytest.fixture
def render(rows, params):
    """Render the report of a stack, and of a second row if given."""

    def run(other=None, imputed=(), **changes):
        truth = np.nan_to_num(rows.y)
        predictions = {"stack": truth} | ({} if other is None else {"odd": other})
        scores = score_splits(predictions, rows, params)
        failures = {name: pd.DataFrame({"clip_id": []}) for name in params.encoders}
        return render_report(
            params.model_copy(update=changes),
            rows.clips,
            {"stack": scores["stack"]},
            leaderboard(scores, params.targets),
            failures,
            pd.DataFrame(imputed, columns=IMPUTED_COLUMNS),
        )

    return run


def test_the_official_score_is_a_column_only_where_it_differs(render, rows):
    assert "official" not in render()
    assert '<td class="ci">NaN</td>' in render(np.zeros(rows.y.shape))


def test_clips_without_features_are_counted_by_split(render):
    imputed = [("a", "[a]", "Val", "x", False, ""), ("b", "[b]", "Test", "x+y", True, "")]
    page = render(imputed=imputed)
    assert "imputed.csv" in page
    cells = [line for line in page.replace("</tr>", "\n").splitlines() if "<td>Test</td>" in line]
    assert [line.endswith("<td>1</td><td>1</td>") for line in cells] == [True]
    assert "imputed.csv" not in render()


def test_a_refit_is_said(render, params):
    final = params.final.model_copy(update={"refit_on": "train+val"})
    assert "refitted on Train and Val" in render(final=final)
    assert "refitted on Train and Val" not in render()
