"""`catalens train`: `options.py` parses, `commands.py` does it."""
