import numpy as np
import pandas as pd
import yaml

from features.encoders import ENCODERS
from pipeline.breakdowns import SLICE_COLUMNS
from pipeline.report.model_card import LICENCES, render_model_card


def test_it_says_what_was_fitted_on_what_and_how_good_it_is(results, params, rows):
    card = render_model_card(results())
    for part in (
        *("## Model details", "## Intended use", "## Data", "## Scores", "## Where it is worse"),
        *("docs/responsible-use.md", "openSMILE's own licence", "Encoders with random weights"),
        *(", ".join(params.targets), "| Val | ", "| stack | ", "| baseline/mean | "),
    ):
        assert part in card
    assert yaml.safe_load(card.split("---\n")[1])["library_name"] == "eri"
    table = results().board.set_index("name")
    assert f"{table.loc['stack', 'val_mean_pearson']:+.3f}" in card
    best = table.index[~table.index.str.match("stack|baseline")][0]
    assert f"| {best} | " in card
    rows.y[rows.n_train :] = np.nan
    assert "Train, out of fold" in render_model_card(results())


def test_slices_below_the_overall_score_are_named_the_worst_first(results):
    overall = results().board.set_index("name").loc["stack", "val_mean_pearson"]
    rows = [
        ("age", name, "val", "stack", 5, 2, overall + shift, overall + shift - 0.1, high)
        for name, shift, high in (
            ("young", 0.01, overall + 0.1),
            ("middle", -0.01, overall + 0.1),
            ("old", -0.3, overall - 0.2),
        )
    ]
    card = render_model_card(results(slices=pd.DataFrame(rows, columns=SLICE_COLUMNS)))
    lines = [line for line in card.splitlines() if line.startswith("| age |")]
    assert [line.split(" | ")[1] for line in lines] == ["old", "middle"]
    assert ["surely" in line for line in lines] == [True, False]
    assert "not looked at" not in card
    assert "not looked at" in render_model_card(results())
    rows = [("duration_s", "[1, 2]", "val", "stack", 5, 2, 0.1, 0.0, 0.2)]  # says nothing of people
    card = render_model_card(results(slices=pd.DataFrame(rows, columns=SLICE_COLUMNS)))
    assert "Groups of people were not looked at" in card


def test_every_kind_of_encoder_has_its_licence_named():
    kinds = {key.partition(" ")[0] for key in ENCODERS}
    assert set(LICENCES) == kinds | {"whisper", "imported"}
