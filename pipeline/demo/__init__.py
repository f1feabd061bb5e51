"""The embedded demo corpus: talking faces and their voices, made by code from a seed.

Start at `corpus.write_corpus`; `intensities` states how a label is shown by face and sound.
"""
