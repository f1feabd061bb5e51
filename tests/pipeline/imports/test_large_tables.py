import tracemalloc

import numpy as np
import pandas as pd
import pytest

from pipeline import reading
from pipeline.findings import Findings
from pipeline.imports.features import Features


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet", "npy"])
def test_a_large_table_passes_in_parts(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(reading, "BLOCK_VALUES", 2**12)
    path, of_rows, ids = tmp_path / f"t.{ending}", None, [f"{k:05d}" for k in range(4096)]
    table = pd.DataFrame(np.ones((4096, 256), np.float32), ids).add_prefix("x")
    if ending == "npy":
        np.save(path, table.to_numpy(np.float64))
        (of_rows := tmp_path / "ids.txt").write_text("\n".join(ids))
    elif ending == "parquet":
        table.rename_axis("clip_id").to_parquet(path)
    else:
        table.to_csv(path, index_label="clip_id")
    tracemalloc.start()
    try:
        features = Features([path], of_rows, Findings())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert features.summary["n_clips"] == 4096
    assert peak < 8 * 2**20  # the numbers are a million
