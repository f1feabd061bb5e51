"""Heads on views: fitted once, out of fold and on all of Train, and kept by what they are."""
