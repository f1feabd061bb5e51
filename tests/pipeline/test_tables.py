import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from pipeline.breakdowns import CONTRIBUTION_COLUMNS, SLICE_COLUMNS
from pipeline.tables import read_run_table
from pipeline.views import IMPUTED_COLUMNS

IMPUTED = ("00017", "NA", "Val", "null", True, "null: read: nan")
SLICE = ("age", "NA", "oof", "stack", 10, 3, 0.5, np.nan, 0.75)
OTHER_SLICE = ("rated", "1.0", "oof", "stack", 12, 4, 0.25, 0.125, 0.5)
CONTRIBUTION = ("encoder", "NA", "NA none", 0.25, 0.0, 0.5, 0.125, np.nan, 0.25, 0.5)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame([IMPUTED], columns=IMPUTED_COLUMNS),
        pd.DataFrame([SLICE, OTHER_SLICE], columns=SLICE_COLUMNS),
        pd.DataFrame([OTHER_SLICE], columns=SLICE_COLUMNS),
        pd.DataFrame([CONTRIBUTION], columns=CONTRIBUTION_COLUMNS),
        pd.DataFrame([("ridge/NA", 0.5)], columns=["member", "joy"]),
        pd.DataFrame([("007", 0.5)], columns=["File_ID", "joy"]),
    ],
    ids=["imputed", "slices", "slice-of-a-number", "contributions", "weights", "predictions"],
)
def test_a_table_is_read_as_it_was_written(tmp_path, table):
    table.to_csv(tmp_path / "table.csv", index=False)
    assert_frame_equal(read_run_table(tmp_path / "table.csv"), table)
