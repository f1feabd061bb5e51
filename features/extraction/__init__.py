"""From clips to embeddings: the index, reading in workers, batches across clips, the loop."""
