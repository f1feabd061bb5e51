"""The report of a run: printed, and as one self-contained HTML page."""
