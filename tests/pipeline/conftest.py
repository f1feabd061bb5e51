"""A clip table without media, for tests of what comes after extraction."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from pipeline.clip_table import Rows, arrange_rows, make_folds
from pipeline.params import Params, load_params

TARGETS = ["joy", "fear", "awe"]


@pytest.fixture
def params(request, tmp_path: Path) -> Params:
    content = yaml.safe_load((request.config.rootpath / "params.yaml").read_text())
    content["targets"] = TARGETS
    content["folds"]["n_folds"] = 3
    content["evaluation"]["n_resamples"] = 200
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_params(path)


@pytest.fixture
def clips() -> pd.DataFrame:
    n = 40
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"clip_id": [f"{k:03d}" for k in range(n)]})
    table["split"] = np.where(np.arange(n) % 4 == 3, "Val", "Train")
    table.loc[table.index[-6:], "split"] = "Test"
    table["group"] = [f"{split}{k % 5}" for k, split in enumerate(table["split"])]
    table["duration_s"] = rng.uniform(1, 4, n)
    for target in TARGETS:
        table[target] = rng.uniform(size=n)
    table.loc[table["split"] == "Test", TARGETS] = np.nan
    return table


@pytest.fixture
def rows(clips, params) -> Rows:
    return arrange_rows(clips, make_folds(clips, params), params)
