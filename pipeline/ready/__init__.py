"""Bundles that come with the package: what faces show, and what is heard in voices.

Of each there are its parameters (``voice.yaml``), the bundle (``voice/``) and its card
(``voice.md``), which says from which data it was made, whose rights they are, and how good it is.
"""
