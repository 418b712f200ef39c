"""One module per set of weights that the project ships; each rebuilds them from data with one command."""
