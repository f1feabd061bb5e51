"""Features that others computed become a feature store, and an entry under `encoders:`."""
