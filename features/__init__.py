"""Clips in, Parquet feature stores out: media, frozen encoders, the embedding cache.

Knows nothing of targets, folds or heads. The usual road through the package::

    clips.py -> extract.py -> store.py -> pool.py
                 |- job.py         one encoder's share: what it lacks, what it got, what failed
                 |- engine.py      the loop over clips
                 |   |- workers.py   processes that can be killed (worker_process.py), and stream
                 |   |               what they make
                 |   |- reading.py   what they do: media.py, sound.py, faces.py, recipes.py,
                 |   |                 preprocessing.py
                 |   |- passes.py    encoders that are outputs of one network share its run
                 |   `- encoding.py  batches across clips, through encoders/
                 `- identity.py, cache.py, segments.py   nothing is computed twice
    catalogue.py, upkeep.py   what is configured and cached; list, verify, prune, seed

From a notebook: `features.extraction.embed_files` and `features.store.read_store`.
"""
