"""One module per DVC stage: read files, call `features` or `models`, write files."""
