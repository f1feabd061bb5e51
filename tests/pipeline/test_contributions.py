import numpy as np
import pytest

from pipeline.contributions import CONTRIBUTION_COLUMNS, contribution_table, modalities
from pipeline.leaderboard import score
from pipeline.params import ImportedStore

ENCODERS = ("clip", "resnet50", "egemaps")
JOINED = "clip+egemaps+resnet50"


@pytest.fixture
def members(rows):
    """Heads that are wrong in ways of their own, but for the visual ones, which are alike."""
    noise = np.random.default_rng(0).normal(size=(3, *rows.y.shape))
    sizes = np.array([0.3, 0.4, 0.3])[:, None, None]
    clip, egemaps, joined = np.nan_to_num(rows.y) + sizes * noise
    views = {"clip": clip, "resnet50": 2 * clip, "egemaps": egemaps, JOINED: joined}
    return {f"ridge/{view}": each for view, each in views.items()}


def test_encoders_are_sorted_by_what_they_look_at(params):
    stores = {"fau": ImportedStore(store="fau", sha256="ab")}
    assert modalities(params.model_copy(update={"stores": stores})) == {
        "vision": ("clip", "resnet50"),
        "sound": ("egemaps",),
        "imported": ("fau",),
    }


@pytest.mark.parametrize("split", ["val", "oof"])
def test_a_part_adds_what_no_other_knows(members, rows, params, split):
    table = contribution_table(members, rows, params, split).set_index("part")
    assert ["kind", *table.columns[1:]] == [each for each in CONTRIBUTION_COLUMNS if each != "part"]
    assert set(table.index) == {"vision", "sound", *ENCODERS}
    assert (table.loc[["vision", "sound"], "gain"] > 0.03).all()
    assert (table.loc[["vision", "sound"], "p_better"] > 0.9).all()
    assert table.loc["sound"].drop(["kind"]).equals(table.loc["egemaps"].drop(["kind"]))
    # Of two that say the same, neither is missed as both together are.
    assert table.loc["vision", "alone"] == pytest.approx(table.loc["clip", "alone"], abs=1e-5)
    assert (table.loc[["clip", "resnet50"], "gain"] < table.loc["vision", "gain"] - 0.03).all()
    assert (table["ci95_low"] <= table["gain"]).all()
    assert (table["gain"] <= table["ci95_high"]).all()


def test_alone_is_the_score_of_its_heads(members, rows, params):
    table = contribution_table(members, rows, params, "val").set_index("part")
    one = score({"only": members["ridge/egemaps"]}, rows, params, "val")["only"]
    found = table.loc["egemaps", ["alone", "alone_ci95_low", "alone_ci95_high"]].tolist()
    expected = [one.mean_pearson, one.interval.low, one.interval.high]
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_single_encoder_adds_to_nothing(members, rows, params):
    one = params.model_copy(update={"encoders": {"clip": params.encoders["clip"]}})
    table = contribution_table({"ridge/clip": members["ridge/clip"]}, rows, one, "val")
    assert table.columns.tolist() == CONTRIBUTION_COLUMNS
    assert table.empty


def test_with_one_modality_only_encoders_are_compared(members, rows, params):
    vision = {name: params.encoders[name] for name in ("clip", "resnet50")}
    table = contribution_table(members, rows, params.model_copy(update={"encoders": vision}), "val")
    assert table["kind"].unique().tolist() == ["encoder"]
