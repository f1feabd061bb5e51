"""`eri tune`: a search over the settings of a head."""
