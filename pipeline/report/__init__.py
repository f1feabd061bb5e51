"""The report of a run as one self-contained HTML page, its model card, and what it is made of."""
