"""DVC stages, parameters and the command line: the only place that knows media and targets."""
