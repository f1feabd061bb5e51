"""Clips in, Parquet feature stores out: media, frozen encoders, the embedding cache.

Knows nothing of targets, folds or heads. The usual road through the package::

    clips.py -> extract.py -> store.py -> pool.py
                 |- workers.py  processes that decode and can be killed
                 |- media.py, reading.py, preprocessing.py  file -> frames and sound
                 |- encoders/, encoding.py  frames and sound -> embeddings
                 `- identity.py, cache.py  nothing is computed twice
"""
