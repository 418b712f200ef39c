"""`catalens rules`: `options.py` parses, `commands.py` does it, `preview.py` shows what rules would change."""
