"""The bundle: all that prediction on new clips needs, in open formats, sealed by digests."""
