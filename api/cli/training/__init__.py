"""`catalens train`: `options.py` parses, `heads.py` and `reranker.py` do it, on what `data.py` reads."""
