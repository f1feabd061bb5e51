"""Prediction files in the format of the challenge: written, and checked before handing in."""
