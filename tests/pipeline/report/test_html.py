import pandas as pd
import pytest

from pipeline.params import load_params
from pipeline.report.html import render_report


@pytest.fixture
def page_of(project):
    """Render a report of the project's clips with given warnings."""

    def render(warnings):
        params = load_params()
        score = {"mean_pearson": 0.1, "ci95": [0, 1]}
        table = pd.DataFrame({"name": ["stack"], "oof_foldwise_mean_pearson": 0.1})
        for column in ("mean_pearson", "official_mean_pearson", "ci95_low", "ci95_high"):
            table[f"oof_{column}"] = 0.1
        for target in params.targets:
            table[f"oof_{target}"] = 0.1
        failures = {name: pd.DataFrame() for name in params.encoders}
        imputed = pd.DataFrame({"clip_id": [], "split": [], "all_missing": []})
        stack = {"stack": {"oof": score}}
        return render_report(params, project.clips, stack, table, failures, imputed, warnings)

    return render


def test_warnings_are_shown_and_escaped(page_of):
    page = page_of(["two pairs of <b>near-identical</b> faces"])
    assert "two pairs of &lt;b&gt;near-identical&lt;/b&gt; faces" in page
    assert "near-identical" not in page_of([])
