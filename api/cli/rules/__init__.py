"""`catalens rules`: `options.py` parses, `commands.py` does it."""
