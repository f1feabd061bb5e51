"""Clips in, Parquet feature stores out: media, frozen encoders, the embedding cache.

Knows nothing of targets, folds or heads. The usual road through the package::

    extraction/   index.py: which files there are; stores.py: from them to stores; see there for
       |          the modules between
       |- media/      frames by time, sound, faces; in decode workers
       |- encoders/   one module per kind: which pieces of clips it takes, and what it makes of them
       `- identity.py, cache.py   nothing is computed twice
    store.py -> pool.py           what is read back, and one vector per clip

From a notebook: `features.extraction.embed_files` and `features.store.read_store`. To read it from
top to bottom: ``errors.py``, ``media/``, ``encoders/`` (``pieces.py`` and ``base.py`` first),
``identity.py``, ``cache.py``, ``extraction/`` (``reading.py``, ``embedder.py``,
``stores.py``), ``store.py``, ``pool.py``.
"""
