"""The systems of `systems.yaml`: the paper's five and more, in one table beside published ones."""
