"""Ridge regressions with many penalties and targets on all training sets of folds at once."""
