"""How good predictions are, for whom, and how sure that is."""
