"""Other people's data, brought into the form that the stages read: labels and features.

For labels, one function per layout turns a folder into a `Collection`; checks, probing and writing
are shared. Features become a feature store and an entry under `encoders`.
"""
