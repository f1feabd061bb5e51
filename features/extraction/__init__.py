"""From clips to embeddings: the index, reading in workers, batches across clips, the loop.

``index_files`` makes the clip table; `extract` embeds its clips with several encoders and writes
stores; `embed_files` embeds files with one encoder and returns them. What a clip goes through::

    index.py -> stores.py -> embedder.py          the loop: what is lacking is read and embedded
                                |- reading.py     in a worker: one decode, pieces for all encoders
                                |   `- workers.py, worker_process.py   may hang, crash, be killed
                                `- batches.py     pieces of many clips to rows, each clip its own
                    `-> cluster.py            in its place: an embedder on each machine of a cluster
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from features.extraction.index import index_files
    from features.extraction.stores import ExtractReport, embed_files, extract

__all__ = ["ExtractReport", "embed_files", "extract", "index_files"]


def __getattr__(name: str) -> Any:
    """Import what is asked for: decode workers, which import this package, do without it all."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from features.extraction import index, stores

    return getattr(index if name == "index_files" else stores, name)
