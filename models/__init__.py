"""Arrays, folds, heads, a stack and metrics: everything between feature matrices and scores.

Nothing here knows of media, Parquet, pipelines or target names. `X` is [n_rows, n_columns] and may
hold NaN where a modality was missing; `y` is [n_rows, n_targets] with NaN where a row is
unlabelled; `groups` names the person of each row.
"""
