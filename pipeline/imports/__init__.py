"""Other people's data, made into the label table that the pipeline reads.

One function per layout turns a folder into a `Collection`; checks, probing and writing are shared.
"""
