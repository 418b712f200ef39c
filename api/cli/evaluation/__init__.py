"""`catalens eval` and `catalens doctor`: `options.py` parses, `commands.py` does it, `compare.py` compares two runs."""
